"""Scaled dot-product attention and the self-attention layer around it.

Paper: Vaswani et al. (2017), Attention Is All You Need, eq. 1 and sec. 3.2.1.
Chapter: book/attention/self_attention.ipynb

Differences from the paper: one head and no output matrix (several heads are a chapter
of their own); the divisor can be replaced, for experiments; a query that may read
nothing gets zeros (eq. 1 leaves that undefined).

Axes: b batch, q queries, k keys, c key width, v value width, w width of a token,
n length of a sequence.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


def attend(
    query: Float[Tensor, "*b q c"],
    key: Float[Tensor, "*b k c"],
    value: Float[Tensor, "*b k v"],
    mask: Bool[Tensor, "*#b q k"] | None = None,
    scale: float | None = None,
) -> tuple[Float[Tensor, "*b q v"], Float[Tensor, "*b q k"]]:
    """Average the values, weighted by how well each key answers the query (eq. 1).

    ``mask`` is True where a query may read a key; ``scale`` multiplies the scores and
    is one over the root of the key width unless given. Returns the averages and the
    weights; a row of weights sums to one, or to zero if it may read nothing.
    """
    if scale is None:
        scale = 1 / math.sqrt(key.shape[-1])
    scores = torch.einsum("...qc,...kc->...qk", query, key) * scale
    if mask is None:
        weights = scores.softmax(dim=-1)
    else:
        weights = scores.masked_fill(~mask, -math.inf).softmax(dim=-1)
        weights = weights.masked_fill(~mask, 0)  # a softmax over no keys is NaN
    return torch.einsum("...qk,...kv->...qv", weights, value), weights


def causal_mask(length: int) -> Bool[Tensor, "n n"]:
    """Let each position read itself and everything before it (sec. 3.2.3)."""
    if length < 1:
        raise ValueError(f"a sequence has at least one position: {length=}")
    return torch.ones(length, length, dtype=torch.bool).tril()


class SelfAttention(nn.Module):
    """Queries, keys and values as three learned linear images of the tokens."""

    def __init__(
        self, width: int, key_width: int | None = None, value_width: int | None = None
    ) -> None:
        super().__init__()
        key_width = width if key_width is None else key_width
        value_width = width if value_width is None else value_width
        if min(width, key_width, value_width) < 1:
            raise ValueError(f"widths must be positive: {width=}, {key_width=}, {value_width=}")
        self.to_query = nn.Linear(width, key_width, bias=False)
        self.to_key = nn.Linear(width, key_width, bias=False)
        self.to_value = nn.Linear(width, value_width, bias=False)

    def forward(
        self,
        x: Float[Tensor, "*b q w"],
        memory: Float[Tensor, "*b k w"] | None = None,
        mask: Bool[Tensor, "*#b q k"] | None = None,
        scale: float | None = None,
    ) -> tuple[Float[Tensor, "*b q v"], Float[Tensor, "*b q k"]]:
        """Let ``x`` read itself, or read ``memory`` if given (cross-attention)."""
        source = x if memory is None else memory
        return attend(self.to_query(x), self.to_key(source), self.to_value(source), mask, scale)


def multiply_adds(length: int, width: int) -> tuple[int, int]:
    """Multiplications of one layer with all widths equal: (projections, attention).

    Projections are three n x w by w x w products, attention the scores and the
    weighted sums: 3 n w^2 and 2 n^2 w (the latter is the n^2 d of the paper's Table 1).
    """
    if length < 1 or width < 1:
        raise ValueError(f"length and width must be positive: {length=}, {width=}")
    return 3 * length * width**2, 2 * length**2 * width
