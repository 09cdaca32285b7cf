"""One step of each rule, against torch.optim."""

from functools import partial

import pytest
import torch
from torch import nn

from dlnotes.optimization.adaptive_optimizers import Optimizer, adagrad, adam, adamw, momentum
from dlnotes.optimization.adaptive_optimizers import rmsprop as our_rmsprop

PURE = (
    "ours computes each step as a formula that returns new tensors; torch overwrites its state in "
    "place with fused operations"
)
SIZES = [10_000, 1_000_000]


def step(size, race, rule, peer):
    ours, theirs = (nn.Parameter(torch.randn(size)) for _ in range(2))
    ours.grad, theirs.grad = torch.randn(size), torch.randn(size)
    race(ours=Optimizer([ours], rule).step, peer=peer([theirs]).step)


@pytest.mark.bench(peer="torch.optim.SGD", sizes=SIZES, axis="parameters", because=PURE)
def bench_momentum_step(size, race):
    step(
        size,
        race,
        partial(momentum, rate=0.1, beta=0.9),
        partial(torch.optim.SGD, lr=0.1, momentum=0.9),
    )


@pytest.mark.bench(peer="torch.optim.Adagrad", sizes=SIZES, axis="parameters", because=PURE)
def bench_adagrad_step(size, race):
    step(size, race, partial(adagrad, rate=0.1), partial(torch.optim.Adagrad, lr=0.1))


@pytest.mark.bench(peer="torch.optim.RMSprop", sizes=SIZES, axis="parameters", because=PURE)
def bench_rmsprop_step(size, race):
    step(size, race, partial(our_rmsprop, rate=0.1), partial(torch.optim.RMSprop, lr=0.1))


@pytest.mark.bench(peer="torch.optim.Adam", sizes=SIZES, axis="parameters", because=PURE)
def bench_adam_step(size, race):
    step(size, race, partial(adam, rate=0.1), partial(torch.optim.Adam, lr=0.1))


@pytest.mark.bench(peer="torch.optim.AdamW", sizes=SIZES, axis="parameters", because=PURE)
def bench_adamw_step(size, race):
    step(
        size,
        race,
        partial(adamw, rate=0.1, decay=0.01),
        partial(torch.optim.AdamW, lr=0.1, weight_decay=0.01),
    )
