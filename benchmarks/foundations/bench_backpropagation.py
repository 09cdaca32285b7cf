"""A network of NumPy with gradients by hand against PyTorch's autograd."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dlnotes.foundations.backpropagation import backward, cost, forward, initialize

SIZES = [32, 512]


def both(width):
    """Make the same 64-width-10 network and 200 examples twice, in 64 bits."""
    rng = np.random.default_rng(0)
    layers, X = initialize([64, width, 10], rng), rng.normal(size=(64, 200))
    Y = np.eye(10)[rng.integers(0, 10, 200)].T
    twins = [torch.tensor(part, requires_grad=True) for layer in layers for part in layer]
    return layers, X, Y, twins, torch.tensor(X), torch.tensor(Y.T)


def logits(twins, X):
    W1, b1, W2, b2 = twins
    return W2 @ torch.tanh(W1 @ X + b1) + b2


@pytest.mark.bench(
    peer="torch.nn.functional.cross_entropy",
    sizes=SIZES,
    axis="hidden units",
    because="ours keeps every sum and activation for the way back, which the peer need not",
)
def bench_cost_forward(size, race):
    layers, X, Y, twins, tX, tY = both(size)

    def ours():
        return cost(forward(layers, X, output="softmax").Z[-1], Y, "softmax")

    def theirs():
        with torch.no_grad():
            return F.cross_entropy(logits(twins, tX).T, tY)

    race(ours=ours, peer=theirs)


@pytest.mark.bench(
    peer="torch.autograd.grad",
    sizes=SIZES,
    axis="hidden units",
    because="NumPy writes each intermediate result into new memory",
)
def bench_gradients_backward(size, race):
    layers, X, Y, twins, tX, tY = both(size)

    def ours():
        return backward(layers, forward(layers, X, output="softmax"), Y)

    def theirs():
        return torch.autograd.grad(F.cross_entropy(logits(twins, tX).T, tY), twins)

    race(ours=ours, peer=theirs)
