"""Tables of binary operations, a network that groks them, and what its weights hold.

Paper: Power et al. (2022), sec. 2 and 3; Nanda et al. (2023), sec. 4 and 5, for the
Fourier picture; Zhong et al. (2023) for the hidden layer of `fourier_network`.
Chapter: book/generalization/grokking.ipynb

Differences from the paper: one hidden layer on two concatenated embeddings in place of
a transformer; all training pairs in every step; twenty times its learning rate, no
warm-up; float64, so that every machine draws the same curves.

Axes: n pairs, s symbols, w embedding width, h hidden units, f frequencies.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


class Table(NamedTuple):
    """Pairs of symbols, and for each pair the symbol that the operation gives."""

    left: Int[Tensor, " n"]
    right: Int[Tensor, " n"]
    result: Int[Tensor, " n"]
    symbols: int


def modular(operation: Callable[[Tensor, Tensor], Tensor], p: int) -> Table:
    """Tabulate ``operation(a, b)`` modulo ``p`` for all pairs of residues."""
    if p < 2:
        raise ValueError(f"a table needs at least two symbols, not {p}")
    left, right = torch.cartesian_prod(torch.arange(p), torch.arange(p)).T
    return Table(left, right, operation(left, right) % p, p)


def division(p: int) -> Table:
    """Tabulate a / b modulo a prime, for every a and every b but zero."""
    if p < 2 or any(p % d == 0 for d in range(2, math.isqrt(p) + 1)):
        raise ValueError(f"without a prime some residues have no inverse: {p=}")
    inverse = torch.tensor([0, *(pow(b, -1, p) for b in range(1, p))])
    full = modular(lambda a, b: a * inverse[b], p)
    some = full.right != 0
    return Table(full.left[some], full.right[some], full.result[some], p)


def dihedral(sides: int) -> Table:
    """Tabulate the symmetries of a regular polygon: its turns, then its mirrored turns."""

    def after(a: Tensor, b: Tensor) -> Tensor:
        mirrored = a // sides  # a mirror image turns the other way
        turn = (a + (1 - 2 * mirrored) * b) % sides
        return turn + sides * ((mirrored + b // sides) % 2)

    return modular(after, 2 * sides)


class Network(nn.Module):
    """One hidden layer on the two symbols' embeddings, laid end to end."""

    def __init__(
        self, symbols: int, width: int, hidden: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if min(symbols, width, hidden) < 1:
            raise ValueError(f"sizes must be positive: {symbols=}, {width=}, {hidden=}")

        def drawn(rows: int, fan_in: int) -> nn.Parameter:
            values = torch.rand(rows, fan_in, generator=generator, dtype=torch.float64)
            return nn.Parameter((2 * values - 1) / math.sqrt(fan_in))

        start = torch.randn(symbols, width, generator=generator, dtype=torch.float64)
        self.embedding = nn.Parameter(start)
        self.mix, self.unembedding = drawn(hidden, 2 * width), drawn(symbols, hidden)
        self.bias = nn.Parameter(torch.zeros(hidden, dtype=torch.float64))

    def read(self) -> tuple[Float[Tensor, "s h"], Float[Tensor, "s h"]]:
        """Return what each symbol adds to the hidden units as left and as right operand.

        A matrix times two vectors end to end is its left half times the first plus its
        right half times the second: s rows to multiply instead of n.
        """
        left, right = self.mix.chunk(2, dim=1)
        return self.embedding @ left.mT + self.bias, self.embedding @ right.mT

    def forward(self, left: Int[Tensor, " n"], right: Int[Tensor, " n"]) -> Float[Tensor, "n s"]:
        """Score every symbol as the result of every pair."""
        as_left, as_right = self.read()
        return (as_left[left] + as_right[right]).relu() @ self.unembedding.mT


@dataclass(frozen=True)
class Settings:
    """What a run depends on besides its table."""

    share: float = 0.5
    decay: float = 1.0
    rate: float = 0.02
    width: int = 64
    hidden: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 < self.share < 1 and self.decay >= 0 and self.rate > 0):
            raise ValueError(f"share in (0, 1), decay >= 0, rate > 0, not {self}")


class Look(NamedTuple):
    """How a network does after so many steps; in a `Run`, a tensor over all looks."""

    step: Any
    train_loss: Any
    train_accuracy: Any
    test_loss: Any
    test_accuracy: Any
    norm: Any


class Run(NamedTuple):
    """A finished run: the network, the rows of the table it was trained on, the curves."""

    network: Network
    rows: Int[Tensor, " n"]
    curves: Look
    seen: list[Any]


def begin(
    table: Table, settings: Settings, kind: type[Network] = Network
) -> tuple[Network, Int[Tensor, " n"]]:
    """Draw a network and the rows of the table that it may train on."""
    chance = torch.Generator().manual_seed(settings.seed)
    network = kind(table.symbols, settings.width, settings.hidden, chance)
    shuffled = torch.randperm(len(table.left), generator=chance)
    return network, shuffled[: round(settings.share * len(shuffled))]


def learn(
    network: Network, table: Table, rows: Tensor, settings: Settings, every: int = 5
) -> Iterator[Look]:
    """Train without end on the given rows, all in every step; look up every few steps."""
    device = network.embedding.device
    left, right, result = (part.to(device) for part in table[:3])
    held_out = torch.ones(len(left), dtype=torch.bool)
    held_out[rows] = False
    train, test = rows.to(device), held_out.nonzero().squeeze(1).to(device)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.rate, weight_decay=settings.decay, betas=(0.9, 0.98)
    )

    def judge(scores: Tensor, part: Tensor) -> tuple[float, float]:
        hits = (scores.argmax(dim=1) == result[part]).double()
        return cross_entropy(scores, result[part]).item(), hits.mean().item()

    for step in count():
        scores = network(left[train], right[train])
        if step % every == 0:
            with torch.no_grad():
                others = network(left[test], right[test])
                norm = nn.utils.parameters_to_vector(network.parameters()).norm().item()
            yield Look(step, *judge(scores, train), *judge(others, test), norm)
        optimizer.zero_grad()
        cross_entropy(scores, result[train]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def run(
    table: Table,
    settings: Settings,
    *,
    cap: int,
    beyond: int | None = 0,
    kind: type[Network] = Network,
    device: str | torch.device = "cpu",
    watch: Callable[[Network], Any] | None = None,
) -> Run:
    """Train up to ``cap`` steps, or ``beyond`` steps past 99% test accuracy if that is first.

    With ``beyond=None`` it always goes to the cap. What ``watch`` returns at each look is kept.
    """
    network, rows = begin(table, settings, kind)
    looks, seen, end = [], [], cap
    for look in learn(network.to(device), table, rows, settings):
        looks.append(look)
        seen.append(watch(network) if watch else None)
        if beyond is not None and look.test_accuracy >= 0.99:
            end = min(end, look.step + beyond)
            beyond = None
        if look.step >= end:
            break
    curves = Look(*torch.tensor(looks, dtype=torch.float64).mT)
    return Run(network.cpu(), rows, curves, seen)


def first_step(
    steps: Float[Tensor, " looks"], values: Float[Tensor, " looks"], level: float = 0.99
) -> float:
    """Return the first step at which a curve has reached a level; infinity if it never does."""
    reached = steps[values >= level]
    return reached[0].item() if len(reached) else math.inf


def spectrum(weights: Float[Tensor, "s w"]) -> Float[Tensor, " f"]:
    """Return each frequency's share of the power in the columns, without their means."""
    power = torch.fft.rfft(weights, dim=0).abs().square().sum(dim=1)[1:]
    return power / power.sum()


def fourier_network(p: int, frequencies: Sequence[int], phases: int = 7) -> Network:
    """Build by hand a network that adds modulo ``p``: circles, waves, and a vote.

    Each frequency k puts the symbols on a circle, at angle t = 2 pi k a / p. A hidden unit
    of phase u computes relu(cos(t_a + u) + cos(t_b + u)) and votes cos(t_c + 2 u) for c.
    Where a = b + p / 2 odd k are blind, and even k score c and c + p / 2 alike: p is odd.
    """
    if p < 3 or p % 2 == 0:
        raise ValueError(f"an even number of symbols cannot be added this way: {p=}")
    if not frequencies or any(not 0 < k < p for k in frequencies):
        raise ValueError(f"frequencies must lie between 1 and {p - 1}, not {frequencies}")
    if phases < 5 or phases % 2 == 0:
        raise ValueError(f"an odd number of at least 5 phases leaves no echo, not {phases}")
    turn = 2 * math.pi / p * torch.tensor(frequencies, dtype=torch.float64)
    angle = torch.arange(p)[:, None] * turn
    shift = torch.arange(phases, dtype=torch.float64) * 2 * math.pi / phases
    eye = torch.eye(len(frequencies), dtype=torch.float64)
    mix = torch.einsum("fg,xu->fuxg", eye, torch.stack([shift.cos(), -shift.sin()]))
    vote = (angle[:, :, None] + 2 * shift).cos()
    network = Network(p, 2 * len(frequencies), len(frequencies) * phases)
    with torch.no_grad():
        network.embedding.copy_(torch.cat([angle.cos(), angle.sin()], dim=1))
        network.mix.copy_(rearrange(mix, "f u x g -> (f u) (x g)").tile(1, 2))
        network.bias.zero_()
        network.unembedding.copy_(rearrange(vote, "c f u -> c (f u)"))
    return network
