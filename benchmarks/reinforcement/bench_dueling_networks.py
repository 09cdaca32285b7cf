"""Agents side by side against the same layers of PyTorch, one agent after the other."""

import pytest
import torch
from torch import nn

from dlnotes.reinforcement.dueling_networks import Layer


def layers(agents):
    ours = Layer(32, 32, [torch.Generator().manual_seed(seed) for seed in range(agents)])
    theirs = [nn.Linear(32, 32, dtype=torch.float64) for _ in range(agents)]
    return ours, theirs, torch.randn(agents, 64, 32, dtype=torch.float64)


@pytest.mark.bench(peer="torch.nn.Linear", sizes=[4, 16], axis="agents")
def bench_layer_forward(size, race):
    ours, theirs, x = layers(size)
    race(
        ours=lambda: ours(x),
        peer=lambda: torch.stack([one(part) for one, part in zip(theirs, x, strict=True)]),
    )
