"""Oracles, properties, gradients and refusals of dlnotes.attention.self_attention."""

import math

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from dlnotes.attention.self_attention import (
    SelfAttention,
    attend,
    causal_mask,
    multiply_adds,
)

CAUSAL = torch.ones(5, 5, dtype=torch.bool).tril()
EMPTY_ROW = torch.tensor([[True, True], [False, False]])


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def normal(rng: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


# Oracles


@pytest.mark.oracle("the loops of eq. 1", of="attend", tolerance=1e-12)
def test_attend_follows_equation_1_written_as_loops(rng, agree):
    query, key, value = normal(rng, 3, 2), normal(rng, 4, 2), normal(rng, 4, 5)
    expected = torch.zeros(3, 5, dtype=torch.float64)
    for i in range(3):
        scores = [float(query[i] @ key[j]) / math.sqrt(2) for j in range(4)]
        total = sum(math.exp(s) for s in scores)
        for j in range(4):
            expected[i] += math.exp(scores[j]) / total * value[j]
    agree(attend(query, key, value)[0], expected)


@pytest.mark.parametrize("scale", [None, 1.0, 0.25])
@pytest.mark.parametrize("mask", [None, CAUSAL], ids=["full", "causal"])
@pytest.mark.oracle(
    "torch.nn.functional.scaled_dot_product_attention", of="attend", tolerance=1e-12
)
def test_attend_agrees_with_pytorch(rng, mask, scale, agree):
    query, key = normal(rng, 2, 3, 5, 4), normal(rng, 2, 3, 5, 4)
    value = normal(rng, 2, 3, 5, 7)
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
    agree(attend(query, key, value, mask, scale)[0], expected)


def test_a_row_that_may_read_nothing_is_zero_as_in_pytorch(rng):
    query, key, value = (normal(rng, 2, 3) for _ in range(3))
    read, weights = attend(query, key, value, EMPTY_ROW)
    assert (read[1] == 0).all()
    assert (weights[1] == 0).all()
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=EMPTY_ROW)
    torch.testing.assert_close(read, expected)


@pytest.mark.parametrize("cross", [False, True], ids=["self", "cross"])
@pytest.mark.oracle("torch.nn.MultiheadAttention", of="SelfAttention", tolerance=1e-12)
def test_the_layer_agrees_with_pytorch_module_of_one_head(rng, cross, agree):
    ours = SelfAttention(6).double()
    theirs = torch.nn.MultiheadAttention(6, 1, bias=False, batch_first=True).double()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(
            torch.cat([ours.to_query.weight, ours.to_key.weight, ours.to_value.weight])
        )
        theirs.out_proj.weight.copy_(torch.eye(6))
    x = normal(rng, 2, 5, 6)
    memory = normal(rng, 2, 7, 6) if cross else None
    source = x if memory is None else memory
    read, weights = theirs(x, source, source)
    for mine, its in zip(ours(x, memory), (read, weights), strict=True):
        agree(mine, its)


def test_the_hand_example_of_the_chapter_comes_out():
    scores_over_two = torch.tensor([0.0, 2.0, 0.0], dtype=torch.float64)
    expected = scores_over_two.exp() / (2 + math.exp(2))
    query = torch.tensor([[2.0, 2.0, 0.0, 0.0]], dtype=torch.float64)
    key = torch.zeros(3, 4, dtype=torch.float64)
    key[1, 0] = 2
    value = torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    read, weights = attend(query, key, value)
    torch.testing.assert_close(weights[0], expected)
    torch.testing.assert_close(read[0], expected @ value)


@pytest.mark.parametrize(("length", "width"), [(3, 4), (8, 2), (16, 16)])
@pytest.mark.oracle("torch.utils.flop_counter.FlopCounterMode", of="multiply_adds", tolerance=0)
def test_multiply_adds_are_what_pytorch_counts(length, width, agree):
    layer = SelfAttention(width)
    with FlopCounterMode(display=False) as counter:
        layer(torch.ones(length, width))
    # PyTorch counts a multiplication and an addition as two operations
    agree(2 * sum(multiply_adds(length, width)), counter.get_total_flops())


@pytest.mark.oracle(
    "torch.nn.Transformer.generate_square_subsequent_mask", of="causal_mask", tolerance=0
)
def test_a_causal_row_reads_what_pytorchs_mask_leaves_open(agree):
    agree(causal_mask(6), torch.nn.Transformer.generate_square_subsequent_mask(6) == 0)


# Properties


@pytest.mark.parametrize("width", [1, 16, 256])
def test_scores_of_independent_unit_vectors_have_unit_variance(rng, width):
    query, key = normal(rng, 2000, 1, width), normal(rng, 2000, 2, width)
    _, weights = attend(query, key, normal(rng, 2000, 2, 1))
    gap = (weights[..., 0] / weights[..., 1]).log()  # difference of two scores
    assert gap.var().item() == pytest.approx(2, rel=0.15)


def test_weights_are_a_distribution_over_readable_keys(rng):
    query, key, value = (normal(rng, 5, 4) for _ in range(3))
    _, weights = attend(query, key, value, CAUSAL)
    assert (weights >= 0).all()
    assert (weights[~CAUSAL] == 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(5, dtype=torch.float64))


def test_the_extremes_of_scale_are_lookup_and_plain_mean(rng):
    query, key, value = normal(rng, 3, 4), normal(rng, 6, 4), normal(rng, 6, 2)
    hard = value[(query @ key.T).argmax(-1)]
    torch.testing.assert_close(attend(query, key, value, scale=1e4)[0], hard)
    mean = value.mean(0).expand(3, 2)
    torch.testing.assert_close(attend(query, key, value, scale=0.0)[0], mean)


def test_permuting_tokens_permutes_outputs_unless_masked(rng):
    layer, x = SelfAttention(6, 3, 2).double(), normal(rng, 5, 6)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(layer(x[order])[0], layer(x)[0][order])
    masked = layer(x, mask=causal_mask(5))[0]
    assert not torch.allclose(layer(x[order], mask=causal_mask(5))[0], masked[order])


def test_a_causal_row_reads_itself_and_the_past_only():
    expected = [[True, False, False], [True, True, False], [True, True, True]]
    assert causal_mask(3).tolist() == expected


def test_causal_output_ignores_the_future_and_uses_the_present(rng):
    layer, past = SelfAttention(6).double(), normal(rng, 5, 6)
    future = past.clone()
    future[3:] += 1
    before = layer(past, mask=causal_mask(5))[0]
    after = layer(future, mask=causal_mask(5))[0]
    torch.testing.assert_close(before[:3], after[:3])
    assert ((before[3:] - after[3:]).abs() > 1e-6).any(-1).all()


def test_queries_come_from_x_and_keys_and_values_from_memory(rng):
    layer = SelfAttention(6, 3, 2).double()
    x, memory = normal(rng, 4, 6), normal(rng, 7, 6)
    query, key = x @ layer.to_query.weight.T, memory @ layer.to_key.weight.T
    value = memory @ layer.to_value.weight.T
    torch.testing.assert_close(layer(x, memory), attend(query, key, value))
    mask = torch.rand(4, 7, generator=rng) < 0.5
    torch.testing.assert_close(layer(x, memory, mask, 0.3), attend(query, key, value, mask, 0.3))


def test_large_scores_neither_overflow_nor_lose_the_winner():
    query, key = torch.full((1, 1), 1e4), torch.tensor([[1e4], [-1e4]])
    read, _ = attend(query, key, torch.tensor([[3.0], [5.0]]))
    assert read.item() == 3


# Gradients


@pytest.mark.parametrize("mask", [None, EMPTY_ROW], ids=["full", "empty row"])
def test_gradients_are_finite_and_right(rng, mask):
    query, key, value = (normal(rng, 2, 3).requires_grad_() for _ in range(3))
    assert torch.autograd.gradcheck(lambda *qkv: attend(*qkv, mask), (query, key, value))


# Refusals


@pytest.mark.parametrize("widths", [(0,), (4, 0), (4, 4, -1)])
def test_widths_must_be_positive(widths):
    with pytest.raises(ValueError, match="widths must be positive"):
        SelfAttention(*widths)


def test_a_mask_needs_a_position():
    with pytest.raises(ValueError, match="at least one position"):
        causal_mask(0)


def test_costs_of_nothing_are_refused():
    with pytest.raises(ValueError, match="must be positive"):
        multiply_adds(0, 8)
