import os
import random

import numpy as np
import pytest
import torch

from dlnotes.lab import seed_everything


@pytest.fixture(autouse=True)
def settings_put_back():
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    only_warns = torch.is_deterministic_algorithms_warn_only_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict, warn_only=only_warns)


def draws():
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_python_numpy_and_torch_all_start_over_at_the_same_seed():
    seed_everything(3)
    first = draws()
    seed_everything(3)
    assert draws() == first


def test_another_seed_changes_all_three():
    seed_everything(3)
    first = draws()
    seed_everything(4)
    assert all(one != other for one, other in zip(first, draws(), strict=True))


def test_each_generator_is_seeded_with_the_number_itself():
    seed_everything(11)
    expected = random.Random(11).random(), float(np.random.RandomState(11).rand())
    generator = torch.Generator().manual_seed(11)
    assert draws() == (*expected, float(torch.rand((), generator=generator)))


def test_deterministic_algorithms_are_asked_for_and_missing_ones_only_warn():
    torch.use_deterministic_algorithms(False)
    seed_everything(0)
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled()


@pytest.mark.parametrize("threads", [1, 2])
def test_the_thread_count_is_fixed_and_one_unless_said_otherwise(threads):
    torch.set_num_threads(3)
    seed_everything(0, **({} if threads == 1 else {"threads": threads}))
    assert torch.get_num_threads() == threads


def test_cublas_gets_a_deterministic_workspace_unless_the_reader_chose_one(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    seed_everything(0)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    seed_everything(0)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_smallest_and_the_largest_seed_are_taken_by_all_three(seed):
    seed_everything(seed)
    assert torch.initial_seed() == seed


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_numpy_would_refuse_is_refused_before_anything_is_seeded(seed):
    seed_everything(5)
    expected = draws()
    seed_everything(5)
    with pytest.raises(ValueError, match=f"not {seed}"):
        seed_everything(seed)
    assert draws() == expected


def test_less_than_one_thread_is_refused():
    with pytest.raises(ValueError, match="at least 1, not 0"):
        seed_everything(0, threads=0)
