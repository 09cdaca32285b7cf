import numpy as np
import pytest
from dlnotes.@PART@.@TOPIC@ import running_mean


def test_equals_the_mean_of_every_prefix() -> None:
    stream = np.random.default_rng(0).normal(size=50)
    prefixes = [stream[: n + 1].mean() for n in range(50)]
    np.testing.assert_allclose(running_mean(stream), prefixes, atol=1e-14)


def test_shifts_with_its_stream() -> None:
    stream = np.random.default_rng(1).normal(size=20)
    np.testing.assert_allclose(running_mean(stream + 3), running_mean(stream) + 3)


def test_refuses_an_empty_stream() -> None:
    with pytest.raises(ValueError, match="empty"):
        running_mean(np.array([]))
