"""A fully connected network whose gradients are written out by hand.

Paper: Rumelhart, Hinton and Williams (1986), a layer at a time; weights drawn as in
Glorot and Bengio (2010), eq. 12, or He et al. (2015), eq. 10.
Chapter: book/foundations/backpropagation.ipynb

Differences from the paper: examples are columns, so that a layer is one matrix product;
tanh or ReLU units and three kinds of output, each with the loss that belongs to it (1986
has logistic units and squared error); normal instead of uniform random weights.

Axes: d inputs of the network, m examples, i inputs and o outputs of one layer.
Letters: Z = W A + b weighted sums, A = g(Z) activations, Y targets. The gradient of the
cost with respect to a thing is written d in front of it, and has the shape of that thing.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray


class Layer(NamedTuple):
    """Weights and biases of a layer, or the gradients of the cost with respect to them."""

    W: Float[ndarray, "o i"]
    b: Float[ndarray, "o 1"]


class Trace(NamedTuple):
    """What a forward pass leaves behind: A[0] is the input, layer l adds Z[l] and A[l + 1]."""

    Z: list[ndarray]
    A: list[ndarray]


def initialize(
    widths: Sequence[int], rng: np.random.Generator, rule: str = "xavier"
) -> list[Layer]:
    """Draw weights with a variance that suits the widths; set biases to zero.

    ``widths`` counts the inputs, the units of each hidden layer, and the outputs; ``rule``
    is "xavier" (for tanh) or "he" (for ReLU).
    """
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(f"widths are two or more positive numbers: {widths=}")
    if rule not in ("xavier", "he"):
        raise ValueError(f"rule is xavier or he, not {rule!r}")
    layers = []
    for i, o in pairwise(widths):
        variance = 2 / (i + o) if rule == "xavier" else 2 / i
        layers.append(Layer(math.sqrt(variance) * rng.normal(size=(o, i)), np.zeros((o, 1))))
    return layers


def forward(
    layers: Sequence[Layer],
    X: Float[ndarray, "d m"],
    hidden: str = "tanh",
    output: str = "sigmoid",
) -> Trace:
    """Compute the network's output, and keep all that was computed on the way.

    ``hidden`` is "tanh" or "relu", ``output`` "sigmoid", "softmax" or "identity".
    """
    if hidden not in _HIDDEN or output not in _OUTPUT:
        raise ValueError(f"unknown activation: {hidden=}, {output=}")
    trace = Trace([], [X])
    for number, (W, b) in enumerate(layers, start=1):
        A = trace.A[-1]
        if W.shape[1] != len(A) or b.shape != (len(W), 1):
            raise ValueError(
                f"layer {number} has weights {W.shape} and biases {b.shape}: "
                f"wants {(len(W), len(A))} and {(len(W), 1)} after activations {A.shape}"
            )
        g = _OUTPUT[output] if number == len(layers) else _HIDDEN[hidden]
        trace.Z.append(W @ A + b)
        trace.A.append(g(trace.Z[-1]))
    return trace


def cost(
    Z: Float[ndarray, "o m"],
    Y: Float[ndarray, "o m"],
    output: str = "sigmoid",
) -> float:
    """Average the loss that belongs to the output, from its sums Z: no logarithm of 0.

    That is the log loss for a sigmoid, cross-entropy for a softmax (each column of Y sums
    to one), and half the squared error for the identity.
    """
    if output not in _OUTPUT:
        raise ValueError(f"unknown activation: {output=}")
    if Z.shape != Y.shape:  # NumPy would stretch one of them
        raise ValueError(f"targets {Y.shape} for sums {Z.shape}")
    if output == "softmax" and not np.allclose(Y.sum(axis=0), 1):
        raise ValueError("each column of Y must sum to 1 for a softmax")
    if output == "sigmoid":
        losses = np.logaddexp(0, Z) - Y * Z
    elif output == "softmax":
        losses = Y * (np.logaddexp.reduce(Z, axis=0, keepdims=True) - Z)
    else:
        losses = (Z - Y) ** 2 / 2
    return float(losses.sum() / Z.shape[1])


def backward(
    layers: Sequence[Layer],
    trace: Trace,
    Y: Float[ndarray, "o m"],
    hidden: str = "tanh",
) -> list[Layer]:
    """Compute the gradient of the cost with respect to every weight and bias.

    The first line of it holds for all three outputs, each with the loss that belongs to it.
    """
    if Y.shape != trace.A[-1].shape or hidden not in _SLOPE:
        raise ValueError(f"targets {Y.shape} for outputs {trace.A[-1].shape}, {hidden=}")
    gradients = []
    dZ = (trace.A[-1] - Y) / Y.shape[1]
    for (W, _), A in zip(reversed(layers), reversed(trace.A[:-1]), strict=True):
        gradients.append(Layer(dZ @ A.T, dZ.sum(axis=1, keepdims=True)))
        if len(gradients) < len(layers):  # nobody asks for the gradient of the input
            dZ = (W.T @ dZ) * _SLOPE[hidden](A)
    return gradients[::-1]


def update(layers: Sequence[Layer], gradients: Sequence[Layer], rate: float) -> list[Layer]:
    """Take one step down the gradient."""
    if not rate > 0:
        raise ValueError(f"rate must be positive: {rate=}")
    return [
        Layer(W - rate * dW, b - rate * db)
        for (W, b), (dW, db) in zip(layers, gradients, strict=True)
    ]


def differences(
    cost_of: Callable[[list[Layer]], float], layers: Sequence[Layer], h: float = 1e-5
) -> list[Layer]:
    """Estimate the gradient by moving one number at a time, up by h and down by h.

    Two forward passes per number: for checks only.
    """
    if not h > 0:
        raise ValueError(f"the step must be positive: {h=}")
    moved = [Layer(W.copy(), b.copy()) for W, b in layers]
    slopes = [Layer(np.zeros_like(W), np.zeros_like(b)) for W, b in layers]
    for layer, slope in zip(moved, slopes, strict=True):
        for array, out in zip(layer, slope, strict=True):
            for place in np.ndindex(array.shape):
                here = array[place]
                array[place] = here + h
                up = cost_of(moved)
                array[place] = here - h
                out[place] = (up - cost_of(moved)) / (2 * h)
                array[place] = here
    return slopes


def relative_error(ours: Sequence[Layer], theirs: Sequence[Layer]) -> float:
    """Divide the length of the difference of two gradients by the sum of their lengths."""
    flat = [[part for layer in gradient for part in layer] for gradient in (ours, theirs)]
    shapes = [[part.shape for part in parts] for parts in flat]
    if shapes[0] != shapes[1]:
        raise ValueError(f"gradients of different shapes: {shapes[0]} and {shapes[1]}")
    a, b = (np.concatenate([part.ravel() for part in parts]) for parts in flat)
    lengths = np.linalg.norm(a) + np.linalg.norm(b)
    return float(np.linalg.norm(a - b) / lengths) if lengths else 0.0


class Scale(NamedTuple):
    """Mean and deviation of each input, as measured on the training part."""

    mean: Float[ndarray, "d 1"]
    deviation: Float[ndarray, "d 1"]


def measure_scale(X: Float[ndarray, "d m"]) -> Scale:
    """Measure each input's mean and deviation; a constant one gets a deviation of 1."""
    deviation = X.std(axis=1, keepdims=True)
    # what is left of a constant after subtracting its rounded mean is no variation
    constant = X.min(axis=1, keepdims=True) == X.max(axis=1, keepdims=True)
    return Scale(X.mean(axis=1, keepdims=True), np.where(constant, 1.0, deviation))


def standardize(X: Float[ndarray, "d m"], scale: Scale) -> Float[ndarray, "d m"]:
    """Shift and divide each input by a scale that was measured before."""
    if len(X) != len(scale.mean):
        raise ValueError(f"{len(X)} inputs, but the scale is of {len(scale.mean)}")
    return (X - scale.mean) / scale.deviation


def _softmax(Z: ndarray) -> ndarray:
    E = np.exp(Z - Z.max(axis=0, keepdims=True))
    return E / E.sum(axis=0, keepdims=True)


_HIDDEN: dict[str, Callable[[ndarray], ndarray]] = {
    "tanh": np.tanh,
    "relu": lambda Z: np.maximum(Z, 0),
}
_SLOPE: dict[str, Callable[[ndarray], ndarray]] = {  # from the activation, not from the sum
    "tanh": lambda A: 1 - A**2,
    "relu": lambda A: (A > 0).astype(A.dtype),
}
_OUTPUT: dict[str, Callable[[ndarray], ndarray]] = {
    "sigmoid": lambda Z: np.exp(-np.logaddexp(0, -Z)),  # never overflows
    "softmax": _softmax,
    "identity": lambda Z: Z,
}
