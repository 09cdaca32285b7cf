"""Five rules against torch.optim, against the equations, and against their own laws."""

import math
import re
from functools import partial

import pytest
import torch
from torch import nn

from dlnotes.optimization.adaptive_optimizers import (
    Optimizer,
    adagrad,
    adam,
    adamw,
    begin,
    descend,
    height,
    momentum,
    rmsprop,
    sgd,
    steps_until,
    valley,
)

ORACLES = {
    "sgd": (partial(sgd, rate=0.05), partial(torch.optim.SGD, lr=0.05)),
    "momentum": (
        partial(momentum, rate=0.01, beta=0.8),
        partial(torch.optim.SGD, lr=0.01, momentum=0.8),
    ),
    "adagrad": (partial(adagrad, rate=0.3), partial(torch.optim.Adagrad, lr=0.3)),
    "rmsprop": (
        partial(rmsprop, rate=0.02, beta=0.95, epsilon=1e-3),
        partial(torch.optim.RMSprop, lr=0.02, alpha=0.95, eps=1e-3),
    ),
    "adam": (
        partial(adam, rate=0.1, beta1=0.8, beta2=0.99, epsilon=1e-3),
        partial(torch.optim.Adam, lr=0.1, betas=(0.8, 0.99), eps=1e-3),
    ),
    "adam, as it comes": (adam, torch.optim.Adam),
    "adamw": (
        partial(adamw, rate=0.1, decay=0.2),
        partial(torch.optim.AdamW, lr=0.1, weight_decay=0.2),
    ),
}
RULES = {
    "sgd": sgd,
    "momentum": momentum,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
}


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def replay(rule, gradients, start=None):
    """Parameters after each of the given gradients."""
    theta = torch.zeros_like(gradients[0]) if start is None else start
    state, path = begin(theta), []
    for g in gradients:
        theta, state = rule(theta, g, state)
        path.append(theta)
    return torch.stack(path)


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.oracle(
    "torch.optim",
    of=["begin", "sgd", "momentum", "adagrad", "rmsprop", "adam", "adamw"],
    tolerance=1e-11,
)
def test_every_one_of_a_hundred_steps_equals_torch(name, agree):
    rule, make_oracle = ORACLES[name]
    # gradients of very different sizes, one of them tiny enough to meet epsilon
    gradients = noise(100, 6) * torch.logspace(-9, 3, 6, dtype=torch.float64)
    parameter = nn.Parameter(noise(6, seed=1))
    ours = replay(rule, gradients, parameter.detach().clone())
    oracle = make_oracle([parameter])
    for step in range(100):
        parameter.grad = gradients[step]
        oracle.step()
        agree(ours[step], parameter)


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.oracle("torch.optim", of="Optimizer", tolerance=1e-10)
def test_a_network_is_driven_exactly_as_torch_drives_it(name, agree):
    rule, make_oracle = ORACLES[name]
    inputs, targets = noise(32, 5), noise(32, 2, seed=1)
    torch.manual_seed(0)
    networks = [
        nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 2)).double() for _ in range(2)
    ]
    networks[1].load_state_dict(networks[0].state_dict())
    drivers = (
        Optimizer(networks[0].parameters(), rule),
        make_oracle(networks[1].parameters()),
    )
    for _ in range(100):
        for network, driver in zip(networks, drivers, strict=True):
            driver.zero_grad()
            nn.functional.mse_loss(network(inputs), targets).backward()
            driver.step()
    for ours, theirs in zip(*(n.parameters() for n in networks), strict=True):
        agree(ours, theirs)


def test_a_parameter_without_gradient_stays_where_it_is():
    used, idle = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = Optimizer([used, idle], partial(adamw, rate=0.1, decay=0.5))
    used.sum().backward()
    optimizer.step()
    assert (idle == 1).all()
    assert (used < 1).all()


@pytest.mark.oracle("a hand calculation", of="rmsprop", tolerance=1e-12)
def test_rmsprop_gives_the_numbers_of_a_hand_calculation(agree):
    theta, square = 0.0, 0.0
    for g in (1.0, 2.0, 0.5):
        square = 0.9 * square + 0.1 * g * g
        theta -= 0.1 * g / (math.sqrt(square) + 1e-8)
    gradients = torch.tensor([[1.0], [2.0], [0.5]], dtype=torch.float64)
    ours = replay(partial(rmsprop, rate=0.1, beta=0.9), gradients)
    agree(ours[-1].item(), theta)
    assert theta == pytest.approx(-0.675, abs=1e-3)


@pytest.mark.oracle(
    "sums over all past gradients (Kingma and Ba, sec. 3)", of="adam", tolerance=1e-12
)
def test_adam_solves_equations_one_to_four_of_its_paper(agree):
    """Sec. 3: v is the weighted sum of squares, the weights sum to 1 - beta2^t."""
    g, beta1, beta2 = noise(30), 0.7, 0.95
    steps = replay(partial(adam, rate=0.5, beta1=beta1, beta2=beta2), g.unsqueeze(1)).squeeze(1)
    age = torch.arange(29, -1, -1, dtype=torch.float64)
    m_hat = (beta1**age * g).sum() / (beta1**age).sum()
    v_hat = (beta2**age * g**2).sum() / (beta2**age).sum()
    step = -0.5 * m_hat / (v_hat.sqrt() + 1e-8)
    agree(steps[-1] - steps[-2], step)


@pytest.mark.oracle("the weighted sum of all past gradients", of="momentum", tolerance=1e-12)
def test_momentum_is_the_weighted_sum_of_all_past_gradients(agree):
    g = noise(12, 3)
    path = replay(partial(momentum, rate=0.1, beta=0.6), g)
    age = torch.arange(11, -1, -1, dtype=torch.float64)
    velocity = torch.einsum("t,ti->i", 0.6**age, g)
    agree(path[-2] - path[-1], 0.1 * velocity)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.99])
def test_averaging_only_rescales_the_rate(beta):
    g = noise(50, 3)
    summed = replay(partial(momentum, rate=0.1, beta=beta), g)
    averaged = replay(partial(momentum, rate=0.1 / (1 - beta), beta=beta, averaged=True), g)
    torch.testing.assert_close(summed, averaged)


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_the_first_step_of_adam_is_as_long_as_the_rate(size):
    theta = torch.zeros(2, dtype=torch.float64)
    g = theta.new_tensor([size, -size])
    moved, _ = adam(theta, g, begin(theta), rate=0.03)
    torch.testing.assert_close(moved, theta.new_tensor([-0.03, 0.03]), rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", ["adagrad", "rmsprop", "adam"])
def test_rescaling_every_coordinate_of_the_gradient_changes_nothing(name):
    rule = partial(RULES[name], rate=0.1, epsilon=1e-300)
    g, scale = noise(40, 4), torch.tensor([1e-3, 0.2, 7.0, 1e3]).double()
    torch.testing.assert_close(replay(rule, g), replay(rule, g * scale))


@pytest.mark.parametrize("name", RULES)
def test_coordinates_do_not_know_of_each_other(name):
    rule, g = partial(RULES[name], rate=0.1), noise(20, 5)
    order = [3, 1, 4, 0, 2]
    torch.testing.assert_close(replay(rule, g)[:, order], replay(rule, g[:, order]))
    torch.testing.assert_close(replay(rule, g)[:, :2], replay(rule, g[:, :2]))


@pytest.mark.parametrize("name", RULES)
def test_only_rules_without_a_division_turn_with_the_valley(name):
    rate = 0.01 if name in ("sgd", "momentum") else 0.5
    rule, angle = partial(RULES[name], rate=rate), math.radians(30)
    turn = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]],
        dtype=torch.float64,
    )
    start = torch.tensor([-10.0, 1.0]).double()
    upright, turned = valley(1.0, 100.0), valley(1.0, 100.0, angle=30.0)
    path = descend(rule, lambda x: upright @ x, start, 30)
    turned_path = descend(rule, lambda x: turned @ x, turn @ start, 30)
    same = torch.allclose(path @ turn.T, turned_path, rtol=0, atol=1e-9)
    assert same == (name in ("sgd", "momentum"))


def test_the_rate_of_adagrad_can_only_fall():
    theta, state, last = torch.zeros(1).double(), begin(torch.zeros(1).double()), 9e9
    for g in noise(50, 1):
        moved, state = adagrad(theta, g, state, rate=1.0)
        effective = ((theta - moved) / g).item()
        assert 0 < effective < last
        theta, last = moved, effective


def test_decoupled_decay_shrinks_all_weights_alike():
    theta = torch.ones(2).double()
    g = torch.tensor([1.0, 1e-4]).double()  # L2 in the gradient would drown in the 1
    plain, _ = adam(theta, g, begin(theta), rate=0.1, epsilon=1e-12)
    decayed, _ = adamw(theta, g, begin(theta), rate=0.1, epsilon=1e-12, decay=0.5)
    torch.testing.assert_close(plain - decayed, 0.05 * theta)


@pytest.mark.parametrize("name", RULES)
def test_a_step_can_be_differentiated(name):
    rule = partial(RULES[name], rate=0.1)
    theta, g = noise(4).requires_grad_(), (noise(4, seed=2) + 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: rule(a, b, begin(a))[0], (theta, g))


def test_a_dead_gradient_moves_nothing_and_gives_no_nan():
    theta = torch.ones(3).double()
    for rule in (adagrad, rmsprop, adam):
        moved, _ = rule(theta, torch.zeros(3).double(), begin(theta), rate=0.1)
        assert torch.equal(moved, theta)


@pytest.mark.oracle("torch.linalg.eigvalsh", of="valley", tolerance=1e-12)
def test_the_valley_has_the_curvatures_and_the_angle_asked_for(agree):
    hessian = valley(1.0, 50.0, angle=20.0)
    turn = math.radians(20)
    floor = torch.tensor([math.cos(turn), math.sin(turn)], dtype=torch.float64)
    agree(hessian @ floor, floor)
    agree(torch.linalg.eigvalsh(hessian), [1, 50])


@pytest.mark.oracle("torch.autograd", of="height", tolerance=1e-12)
def test_the_gradient_of_the_height_is_hessian_times_parameters(agree):
    hessian, theta = valley(1.0, 50.0, angle=20.0), noise(3, 2).requires_grad_()
    height(hessian, theta).sum().backward()
    agree(theta.grad, theta.detach() @ hessian)
    assert height(hessian, torch.zeros(2).double()) == 0


@pytest.mark.oracle("counting by hand", of="steps_until", tolerance=0)
def test_steps_are_counted_to_the_first_loss_below_the_share(agree):
    losses = torch.tensor([[8.0, 8.0, 8.0], [0.7, 5.0, 8.0], [2.0, 0.1, 8.0]])
    agree(steps_until(losses, share=0.1), [1, 2, math.inf])


@pytest.mark.oracle("halving by hand", of="descend", tolerance=0)
def test_a_path_starts_at_the_start_and_has_one_point_more_than_steps(agree):
    start = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    path = descend(partial(sgd, rate=0.5), lambda x: x, start, 3)
    assert path.shape == (4, 2, 2)
    assert torch.equal(path[0], start)
    agree(path[-1], start / 8)


@pytest.mark.parametrize("name", RULES)
def test_a_rate_that_is_not_positive_is_refused(name):
    theta = torch.ones(1)
    with pytest.raises(ValueError, match=r"rate=0\.0"):
        RULES[name](theta, theta, begin(theta), rate=0.0)


@pytest.mark.parametrize(
    ("rule", "wrong", "message"),
    [
        (momentum, {"beta": 1.0}, "betas=(1.0,)"),
        (rmsprop, {"beta": -0.1}, "betas=(-0.1,)"),
        (rmsprop, {"epsilon": 0.0}, "epsilon=0.0"),
        (adagrad, {"epsilon": 0.0}, "epsilon=0.0"),
        (adam, {"beta2": 1.5}, "1.5"),
        (adam, {"epsilon": -1e-8}, "epsilon=-1e-08"),
        (adamw, {"decay": -1.0}, "decay=-1.0"),
    ],
)
def test_settings_without_meaning_are_refused(rule, wrong, message):
    theta = torch.ones(1)
    with pytest.raises(ValueError, match=re.escape(message)):
        rule(theta, theta, begin(theta), rate=0.1, **wrong)


def test_a_valley_without_curvature_is_refused():
    with pytest.raises(ValueError, match=r"flat=0\.0"):
        valley(0.0, 1.0)
