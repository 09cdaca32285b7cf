"""A frozen matrix plus a product of two small ones that learns in its stead.

Paper: Hu et al. (2021), LoRA, eq. 3 and sec. 4.1; Eckart and Young (1936) for
``best_low_rank``.
Chapter: book/large_models/low_rank_adaptation.ipynb

Differences from the paper: A starts with variance 1/k (the paper says Gaussian and
gives no variance); no dropout; any linear layer may be adapted, not only attention's.

Axes: b batch, k inputs, d outputs, r rank.
Letters: W the frozen matrix (d k), A (r k) and B (d r) the trained pair, alpha a scale.
"""

import copy
import math
from collections.abc import Collection

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


def low_rank_update(
    A: Float[Tensor, "r k"], B: Float[Tensor, "d r"], alpha: float
) -> Float[Tensor, "d k"]:
    """Multiply the pair out and scale it: alpha / r times BA."""
    return alpha / len(A) * (B @ A)


def adapted_linear(
    x: Float[Tensor, "*b k"],
    W: Float[Tensor, "d k"],
    A: Float[Tensor, "r k"],
    B: Float[Tensor, "d r"],
    alpha: float,
    bias: Float[Tensor, " d"] | None = None,
) -> Float[Tensor, "*b d"]:
    """Send x through the frozen matrix and, beside it, through the pair (eq. 3)."""
    return F.linear(x, W, bias) + alpha / len(A) * F.linear(F.linear(x, A), B)


def merge(
    W: Float[Tensor, "d k"], A: Float[Tensor, "r k"], B: Float[Tensor, "d r"], alpha: float
) -> Float[Tensor, "d k"]:
    """Return the one matrix that does what ``adapted_linear`` does."""
    return W + low_rank_update(A, B, alpha)


def unmerge(
    W: Float[Tensor, "d k"], A: Float[Tensor, "r k"], B: Float[Tensor, "d r"], alpha: float
) -> Float[Tensor, "d k"]:
    """Take the update out again; exact up to rounding."""
    return W - low_rank_update(A, B, alpha)


class LoRALinear(nn.Module):
    """A linear layer that is frozen, and the pair that learns beside it."""

    def __init__(
        self,
        base: nn.Linear,
        rank: int,
        alpha: float,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        d, k = base.weight.shape
        if not 1 <= rank <= min(d, k):
            raise ValueError(f"rank must lie between 1 and {min(d, k)}, {d=}, {k=}: {rank=}")
        if not alpha > 0:
            raise ValueError(f"alpha must be positive: {alpha=}")
        self.base = base.requires_grad_(False)
        self.alpha = alpha
        A = torch.randn(rank, k, generator=generator) / math.sqrt(k)
        self.A = nn.Parameter(A.to(base.weight))
        self.B = nn.Parameter(base.weight.new_zeros(d, rank))  # so that nothing changes yet

    def forward(self, x: Float[Tensor, "*b k"]) -> Float[Tensor, "*b d"]:
        """Apply eq. 3 with the scale alpha / r."""
        return adapted_linear(x, self.base.weight, self.A, self.B, self.alpha, self.base.bias)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Return a plain linear layer that computes the same, and leave this one as it is."""
        linear = copy.deepcopy(self.base)
        linear.weight.copy_(merge(linear.weight, self.A, self.B, self.alpha))
        return linear


def adapt(
    model: nn.Module,
    names: Collection[str],
    rank: int,
    alpha: float,
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Return a model that shares all weights of ``model`` and adds a pair to some of them.

    Adapted is every linear layer whose own name (the last part of its path) is in ``names``.
    The weights are shared, not copied, so they are frozen in ``model`` too.
    """
    shared = {id(parameter): parameter.requires_grad_(False) for parameter in model.parameters()}
    adapted = copy.deepcopy(model, shared)
    found = set()
    for path, layer in list(adapted.named_modules()):
        parent, _, name = path.rpartition(".")
        if name in names and isinstance(layer, nn.Linear):
            pair = LoRALinear(layer, rank, alpha, generator)
            setattr(adapted.get_submodule(parent), name, pair)
            found.add(name)
    if missing := sorted(set(names) - found):
        raise ValueError(f"no linear layer is called {', '.join(missing)}")
    return adapted


def adapter_of(model: nn.Module) -> dict[str, Tensor]:
    """Return all that a task needs beside the base model: its pairs, by path."""
    return {
        f"{path}.{letter}": getattr(layer, letter).detach().clone()
        for path, layer in model.named_modules()
        if isinstance(layer, LoRALinear)
        for letter in "AB"
    }


def merge_adapters(model: nn.Module) -> nn.Module:
    """Return a copy in which every adapted layer is one plain linear layer again."""
    plain = copy.deepcopy(model)
    for path, layer in list(plain.named_modules()):
        if isinstance(layer, LoRALinear):
            parent, _, name = path.rpartition(".")
            setattr(plain.get_submodule(parent), name, layer.merged())
    return plain


def best_low_rank(
    matrix: Float[Tensor, "d k"], rank: int
) -> tuple[Float[Tensor, "r k"], Float[Tensor, "d r"]]:
    """Return the pair A, B whose product BA is nearest to the matrix (Eckart and Young)."""
    if not 1 <= rank <= min(matrix.shape):
        raise ValueError(f"rank must lie between 1 and {min(matrix.shape)}: {rank=}")
    U, sigma, Vh = torch.linalg.svd(matrix, full_matrices=False)
    root = sigma[:rank].sqrt()
    return root[:, None] * Vh[:rank], U[:, :rank] * root


def break_even(rows: int, columns: int) -> float:
    """Return the rank at which two factors hold as many numbers as the matrix."""
    if min(rows, columns) < 1:
        raise ValueError(f"a matrix has at least one row and column: {rows=}, {columns=}")
    return rows * columns / (rows + columns)
