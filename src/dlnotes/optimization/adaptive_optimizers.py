"""Momentum, Adagrad, RMSprop, Adam and AdamW, each as one pure step.

Paper: Polyak (1964); Duchi, Hazan and Singer (2011), sec. 1.1, eq. 1; Tieleman and
Hinton (2012), lecture 6.5; Kingma and Ba (2015), alg. 1 and sec. 3; Loshchilov and
Hutter (2019), alg. 2.
Chapter: book/optimization/adaptive_optimizers.ipynb

Differences from the paper: epsilon stands outside the root everywhere, as in
torch.optim; AdamW's decay is multiplied by the rate, as in torch.optim (alg. 2 has
a separate schedule factor); Adagrad has no projection and no regularizer.

Axes: none. Every rule works on each element of ``theta`` alone, whatever its shape.
Letters: t steps taken, m first moment (or velocity), v second moment (or sum).
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

Values = Float[Tensor, "*shape"]


class State(NamedTuple):
    """All that a rule remembers of the past gradients of one tensor."""

    t: int
    m: Tensor
    v: Tensor


Rule = Callable[[Tensor, Tensor, State], tuple[Tensor, State]]


def begin(theta: Values) -> State:
    """Remember nothing yet."""
    return State(0, torch.zeros_like(theta), torch.zeros_like(theta))


def sgd(theta: Values, g: Values, state: State, *, rate: float) -> tuple[Values, State]:
    """Go down the gradient: no memory at all."""
    _refuse(rate)
    return theta - rate * g, state._replace(t=state.t + 1)


def momentum(
    theta: Values,
    g: Values,
    state: State,
    *,
    rate: float,
    beta: float = 0.9,
    averaged: bool = False,
) -> tuple[Values, State]:
    """Go down the velocity, a sum (or a moving average) of past gradients."""
    _refuse(rate, beta)
    m = beta * state.m + ((1 - beta) * g if averaged else g)
    return theta - rate * m, state._replace(t=state.t + 1, m=m)


def adagrad(
    theta: Values, g: Values, state: State, *, rate: float, epsilon: float = 1e-10
) -> tuple[Values, State]:
    """Divide by the root of the sum of all squared gradients."""
    _refuse(rate, epsilon=epsilon)
    v = state.v + g**2
    return theta - rate * g / (v.sqrt() + epsilon), state._replace(t=state.t + 1, v=v)


def rmsprop(
    theta: Values,
    g: Values,
    state: State,
    *,
    rate: float,
    beta: float = 0.99,
    epsilon: float = 1e-8,
) -> tuple[Values, State]:
    """Divide by the root of a moving average of the squared gradients."""
    _refuse(rate, beta, epsilon=epsilon)
    v = beta * state.v + (1 - beta) * g**2
    return theta - rate * g / (v.sqrt() + epsilon), state._replace(t=state.t + 1, v=v)


def adam(
    theta: Values,
    g: Values,
    state: State,
    *,
    rate: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> tuple[Values, State]:
    """Divide a corrected average by the root of a corrected average of squares."""
    _refuse(rate, beta1, beta2, epsilon=epsilon)
    t = state.t + 1
    m = beta1 * state.m + (1 - beta1) * g
    v = beta2 * state.v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)  # the weights gathered so far sum to 1 - beta^t
    v_hat = v / (1 - beta2**t)
    return theta - rate * m_hat / (v_hat.sqrt() + epsilon), State(t, m, v)


def adamw(
    theta: Values,
    g: Values,
    state: State,
    *,
    rate: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    decay: float = 0.01,
) -> tuple[Values, State]:
    """Shrink the parameters first, then let Adam see the loss's gradient only."""
    if not decay >= 0:
        raise ValueError(f"decay must not be negative: {decay=}")
    shrunk = (1 - rate * decay) * theta
    return adam(shrunk, g, state, rate=rate, beta1=beta1, beta2=beta2, epsilon=epsilon)


def valley(flat: float, steep: float, angle: float = 0.0) -> Float[Tensor, "2 2"]:
    """Hessian of a quadratic valley whose floor lies ``angle`` degrees off axis 0."""
    if not 0 < flat <= steep:
        raise ValueError(f"curvatures must be positive, flat first: {flat=}, {steep=}")
    turn = math.radians(angle)
    rotation = torch.tensor(
        [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]],
        dtype=torch.float64,
    )
    return rotation @ torch.diag(rotation.new_tensor([flat, steep])) @ rotation.mT


def height(hessian: Float[Tensor, "*#b d d"], theta: Float[Tensor, "*#b d"]) -> Tensor:
    """Loss of a quadratic with its minimum, zero, at the origin."""
    return torch.einsum("...i,...ij,...j->...", theta, hessian, theta) / 2


def descend(
    rule: Rule, gradient_of: Callable[[Tensor], Tensor], start: Values, steps: int
) -> Float[Tensor, " points *shape"]:
    """Apply a rule ``steps`` times; return the path with its starting point."""
    theta, state = start, begin(start)
    path = [theta]
    for _ in range(steps):
        theta, state = rule(theta, gradient_of(theta), state)
        path.append(theta)
    return torch.stack(path)


def steps_until(
    losses: Float[Tensor, " points *runs"], share: float = 1e-3
) -> Float[Tensor, "*runs"]:
    """Count steps to a loss below a share of the first; infinite if there is none."""
    below = losses < share * losses[0]
    first = below.int().argmax(dim=0).to(losses.dtype)
    return first.where(below.any(dim=0), torch.full_like(first, math.inf))


class Optimizer:
    """Drive the parameters of a network with a rule, as torch.optim would."""

    def __init__(self, parameters: Iterable[nn.Parameter], rule: Rule) -> None:
        self.rule = rule
        self.parameters = list(parameters)
        self.states = [begin(parameter.detach()) for parameter in self.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients, which backward() would otherwise add to."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Replace each parameter that has a gradient."""
        for i, parameter in enumerate(self.parameters):
            if parameter.grad is not None:
                theta, self.states[i] = self.rule(parameter, parameter.grad, self.states[i])
                parameter.copy_(theta)


def _refuse(rate: float, *betas: float, epsilon: float = 1.0) -> None:
    """Raise for settings under which no rule here makes sense."""
    if not rate > 0:
        raise ValueError(f"rate must be positive: {rate=}")
    if not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"each beta must lie in [0, 1): {betas=}")
    if not epsilon > 0:
        raise ValueError(f"epsilon must be positive: {epsilon=}")
