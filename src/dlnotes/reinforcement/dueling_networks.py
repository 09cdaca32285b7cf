"""A Q-network split into value and advantage, and what is needed to train it.

Paper: Wang et al. (2016), eqs. 7 to 9 and sec. 4.1; Mnih et al. (2015) for the replay
memory and the target.
Chapter: book/reinforcement/dueling_networks.ipynb

Differences from the paper: several agents stand side by side in one network; small dense
layers instead of convolutions; the gradient into the trunk is not scaled by 1/sqrt(2) (sec.
4.2); a smaller corridor, whose only reward is one at its end.

Axes: n agents, b batch, o inputs, a actions, w width, s states, i in, u out.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

RULES = ("none", "max", "mean")


def join(
    value: Float[Tensor, "*b 1"], advantage: Float[Tensor, "*b a"], rule: str = "mean"
) -> Float[Tensor, "*b a"]:
    """Return Q from the two streams: eq. 7 (none), eq. 8 (max) or eq. 9 (mean)."""
    _known(rule, RULES)
    if rule == "none":
        return value + advantage
    if rule == "max":
        return value + advantage - advantage.amax(dim=-1, keepdim=True)
    return value + advantage - advantage.mean(dim=-1, keepdim=True)


def join_jacobian(advantage: Float[Tensor, " a"], rule: str = "mean") -> Float[Tensor, "a a+1"]:
    """Return the derivatives of Q by V (first column) and by each A, at one state."""
    _known(rule, RULES)
    taken = torch.zeros_like(advantage)
    if rule == "max":
        taken[advantage.argmax()] = 1
    if rule == "mean":
        taken += 1 / len(advantage)
    by_advantage = torch.eye(len(advantage), dtype=advantage.dtype) - taken
    return torch.cat([torch.ones_like(advantage)[:, None], by_advantage], dim=1)


def td_target(
    reward: Float[Tensor, "*b"],
    terminated: Float[Tensor, "*b"],
    next_q: Float[Tensor, "*b a"],
    discount: float,
) -> Float[Tensor, "*b"]:
    """Return the reward plus, unless the episode is over, the best that can follow."""
    if not 0 <= discount <= 1:
        raise ValueError(f"discount must lie in [0, 1]: {discount=}")
    return reward + discount * (1 - terminated) * next_q.amax(dim=-1)


def exploration(step: int, *, until: int, start: float = 1.0, end: float = 0.05) -> float:
    """Return the chance of a random action: falling in a line to ``end``, then constant."""
    if until < 1 or not 0 <= end <= start <= 1:
        raise ValueError(f"needs until >= 1 and 0 <= end <= start <= 1: {until=}, {start=}, {end=}")
    return max(end, start - (start - end) * step / until)


class Replay:
    """The last ``capacity`` transitions of each of n agents; the oldest make room."""

    def __init__(self, capacity: int, agents: int, inputs: int) -> None:
        if min(capacity, agents, inputs) < 1:
            raise ValueError(f"sizes must be positive: {capacity=}, {agents=}, {inputs=}")
        self.seen = 0
        self.before, self.after = np.zeros((2, capacity, agents, inputs))
        self.action = np.zeros((capacity, agents), dtype=np.int64)
        self.reward, self.terminated = np.zeros((2, capacity, agents))

    def __len__(self) -> int:
        return min(self.seen, len(self.action))

    def add(
        self,
        before: Float[np.ndarray, "n o"],
        action: Int[np.ndarray, " n"],
        reward: Float[np.ndarray, " n"],
        after: Float[np.ndarray, "n o"],
        terminated: Float[np.ndarray, " n"],
    ) -> None:
        """Write one transition of every agent over the oldest."""
        at = self.seen % len(self.action)
        for store, new in zip(
            self._stores(), (before, action, reward, after, terminated), strict=True
        ):
            store[at] = new
        self.seen += 1

    def sample(self, size: int, rng: np.random.Generator) -> list[Tensor]:
        """Draw ``size`` transitions per agent, with replacement, in the order of `add`."""
        if not len(self):
            raise ValueError("nothing to sample from: add transitions first")
        agents = np.arange(self.action.shape[1])[:, None]
        rows = rng.integers(len(self), size=(len(agents), size))
        return [torch.from_numpy(store[rows, agents]) for store in self._stores()]

    def _stores(self) -> tuple[np.ndarray, ...]:
        return self.before, self.action, self.reward, self.after, self.terminated


class Layer(nn.Module):
    """A linear layer for each of n agents, begun as `nn.Linear` begins, from its own seed."""

    def __init__(self, inputs: int, outputs: int, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        weights, biases = [], []
        for generator in generators:
            begin = [
                torch.rand(rows, outputs, generator=generator, dtype=torch.float64) * 2 - 1
                for rows in (inputs, 1)
            ]
            weights.append(begin[0] / inputs**0.5)
            biases.append(begin[1] / inputs**0.5)
        self.weight = nn.Parameter(torch.stack(weights))
        self.bias = nn.Parameter(torch.stack(biases))

    def forward(self, x: Float[Tensor, "n b i"]) -> Float[Tensor, "n b u"]:
        """Multiply agent by agent."""
        return torch.baddbmm(self.bias, x, self.weight)


class QNetworks(nn.Module):
    """n Q-networks side by side: a plain one ("single"), or two streams and a rule."""

    def __init__(
        self, seeds: Sequence[int], inputs: int, actions: int, rule: str, width: int = 32
    ) -> None:
        super().__init__()
        _known(rule, ("single", *RULES))
        if min(len(seeds), inputs, actions) < 1 or width < 2 or width % 2:
            raise ValueError(
                f"needs seeds, inputs, actions and an even width: {seeds=}, {inputs=}, "
                f"{actions=}, {width=}"
            )
        chance = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.rule, half = rule, width // 2
        self.trunk = Layer(inputs, width, chance)
        if rule == "single":
            self.q = nn.Sequential(
                Layer(width, width, chance), nn.ReLU(), Layer(width, actions, chance)
            )
        else:
            self.value = nn.Sequential(
                Layer(width, half, chance), nn.ReLU(), Layer(half, 1, chance)
            )
            self.advantage = nn.Sequential(
                Layer(width, half, chance), nn.ReLU(), Layer(half, actions, chance)
            )

    def streams(self, x: Float[Tensor, "n b o"]) -> tuple[Tensor, Tensor]:
        """Return V (n, b, 1) and A (n, b, a), as they leave the two streams."""
        if self.rule == "single":
            raise ValueError("a single-stream network has no value and no advantage")
        shared = self.trunk(x).relu()
        return self.value(shared), self.advantage(shared)

    def forward(self, x: Float[Tensor, "n b o"]) -> Float[Tensor, "n b a"]:
        """Return Q for every action."""
        if self.rule == "single":
            return self.q(self.trunk(x).relu())
        return join(*self.streams(x), self.rule)


@torch.no_grad()
def snap(network: nn.Module, decimals: int = 5) -> None:
    """Round every parameter, so that processors which add in another order train alike."""
    for parameter in network.parameters():
        parameter.copy_(parameter.round(decimals=decimals))


class Corridor(NamedTuple):
    """Where each action leads from each state, what it pays, and which state ends it all."""

    follows: Int[np.ndarray, "s a"]
    reward: Float[np.ndarray, "s a"]
    goal: int


def corridor(vertical: int, horizontal: int, actions: int) -> Corridor:
    """Build an S of three corridors: up, right, up; further actions do nothing (sec. 4.1)."""
    if vertical < 2 or horizontal < 2 or actions < 4:
        raise ValueError(f"needs 2 cells a side, 4 actions: {vertical=}, {horizontal=}, {actions=}")
    cells = [(0, y) for y in range(vertical)]
    cells += [(x, vertical - 1) for x in range(1, horizontal)]
    cells += [(horizontal - 1, y) for y in range(vertical, 2 * vertical - 1)]
    number = {cell: s for s, cell in enumerate(cells)}
    moves = [(0, 1), (0, -1), (-1, 0), (1, 0)] + [(0, 0)] * (actions - 4)  # up down left right
    follows = np.array(
        [[number.get((x + dx, y + dy), s) for dx, dy in moves] for s, (x, y) in enumerate(cells)]
    )
    goal = len(cells) - 1
    follows[goal] = goal
    reward = (follows == goal).astype(float)
    reward[goal] = 0.0
    return Corridor(follows, reward, goal)


def optimal_q(world: Corridor, discount: float) -> Float[np.ndarray, "s a"]:
    """Return Q* by value iteration."""
    _below_one(discount)
    q = np.zeros_like(world.reward)
    while True:
        new = world.reward + discount * q.max(axis=1)[world.follows] * (world.follows != world.goal)
        if np.abs(new - q).max() < 1e-13:
            return new
        q = new


def policy_q(
    world: Corridor, policy: Float[np.ndarray, "s a"], discount: float
) -> Float[np.ndarray, "s a"]:
    """Return Q of a policy, from one system of linear equations for V."""
    _below_one(discount)
    if not np.allclose(policy.sum(axis=1), 1) or (policy < 0).any():
        raise ValueError("each row of policy must be probabilities that sum to one")
    states = np.arange(len(policy))
    to = np.zeros((len(policy), len(policy)))  # chance to get from state to state
    for s in states[: world.goal]:
        np.add.at(to[s], world.follows[s], policy[s])
    v = np.linalg.solve(np.eye(len(to)) - discount * to, (policy * world.reward).sum(axis=1))
    return world.reward + discount * v[world.follows] * (world.follows != world.goal)


def _known(rule: str, rules: tuple[str, ...]) -> None:
    if rule not in rules:
        raise ValueError(f"rule must be one of {', '.join(rules)}, not {rule!r}")


def _below_one(discount: float) -> None:
    if not 0 <= discount < 1:
        raise ValueError(f"discount must lie in [0, 1): {discount=}")
