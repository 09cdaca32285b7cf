"""Value plus advantage against loops over the equations; worlds against linear algebra."""

from collections import deque

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from dlnotes.reinforcement.dueling_networks import (
    RULES,
    Layer,
    QNetworks,
    Replay,
    corridor,
    exploration,
    join,
    join_jacobian,
    optimal_q,
    policy_q,
    snap,
    td_target,
)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_hand(value, advantage, rule):
    """Eqs. 7 to 9, one number after the other."""
    rows = []
    for v, row in zip(value.flatten().tolist(), advantage.tolist(), strict=True):
        if rule == "max":
            taken = max(row)
        elif rule == "mean":
            taken = sum(row) / len(row)
        else:
            taken = 0.0
        rows.append([v + a - taken for a in row])
    return rows


@pytest.mark.oracle("a loop over eqs. 7, 8 and 9", of="join", tolerance=1e-12)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("actions", [1, 2, 7])
def test_streams_are_joined_as_the_equations_say(rule, actions, agree):
    value, advantage = noise(6, 1), noise(6, actions, seed=1)
    agree(join(value, advantage, rule), by_hand(value, advantage, rule))


@pytest.mark.oracle("torch.autograd.functional.jacobian", of="join_jacobian", tolerance=1e-12)
@pytest.mark.parametrize("rule", RULES)
def test_the_jacobian_is_what_autograd_finds(rule, agree):
    for seed in range(5):  # the largest advantage stands somewhere else each time
        both = noise(6, seed=seed)
        theirs = torch.autograd.functional.jacobian(lambda x: join(x[:1], x[1:], rule), both)
        agree(join_jacobian(both[1:], rule), theirs)
        assert torch.linalg.matrix_rank(theirs) == 5


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_exactly_one_free_direction(rule):
    exchange = torch.tensor([1.0, -1, -1, -1]).double()
    lift = torch.tensor([0.0, 1, 1, 1]).double()
    jacobian = join_jacobian(noise(3), rule)
    assert torch.linalg.matrix_rank(jacobian) == 3
    free, bound = (exchange, lift) if rule == "none" else (lift, exchange)
    assert (jacobian @ free).abs().max() < 1e-12
    assert (jacobian @ bound).abs().max() > 0.9


def test_the_value_is_the_best_q_or_the_mean_q():
    value, advantage = noise(9, 1), noise(9, 4, seed=1)
    best = join(value, advantage, "max").amax(dim=1, keepdim=True)
    mean = join(value, advantage, "mean").mean(dim=1, keepdim=True)
    torch.testing.assert_close(best, value)
    torch.testing.assert_close(mean, value)


@pytest.mark.parametrize("rule", RULES)
def test_the_order_of_actions_is_that_of_the_advantages(rule):
    value, advantage = noise(9, 1), noise(9, 4, seed=1)
    order = join(value, advantage, rule).argsort(dim=1)
    assert torch.equal(order, advantage.argsort(dim=1))


@pytest.mark.parametrize("rule", RULES)
def test_joining_can_be_differentiated(rule):
    inputs = noise(5, 1).requires_grad_(), noise(5, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda v, a: join(v, a, rule), inputs)


@pytest.mark.oracle("the target of Mnih et al. by hand", of="td_target", tolerance=1e-12)
def test_targets_equal_a_loop_over_the_transitions(agree):
    reward, next_q = noise(8), noise(8, 3, seed=1)
    terminated = torch.tensor([0, 1, 0, 0, 1, 0, 0, 1]).double()
    hand = []
    for r, over, row in zip(reward.tolist(), terminated.tolist(), next_q.tolist(), strict=True):
        hand.append(r if over else r + 0.9 * max(row))
    agree(td_target(reward, terminated, next_q, 0.9), hand)


@pytest.mark.oracle("numpy.interp", of="exploration", tolerance=1e-12)
def test_exploration_falls_in_a_line_and_stays(agree):
    steps = range(0, 300, 7)
    ours = [exploration(t, until=200, start=0.9, end=0.1) for t in steps]
    agree(ours, np.interp(steps, [0, 200], [0.9, 0.1]))


@pytest.mark.oracle("collections.deque", of="Replay", tolerance=0)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(capacity=st.integers(1, 12), added=st.integers(1, 40), agents=st.integers(1, 3))
def test_the_memory_holds_the_newest_and_nothing_else(capacity, added, agents, agree):
    replay, kept = Replay(capacity, agents, 2), deque(maxlen=capacity)
    for t in range(added):
        stamp = np.arange(agents) + 10.0 * t
        pair = np.stack([stamp, -stamp], axis=1)
        replay.add(pair, stamp.astype(int), stamp + 1, pair + 2, (stamp % 2 == 0) * 1.0)
        kept.append(stamp)
    assert len(replay) == len(kept)
    before, action, reward, after, terminated = replay.sample(400, np.random.default_rng(0))
    agree(after, before + 2)  # what was added together comes back together
    agree(reward, before[..., 0] + 1)
    agree(action, before[..., 0])
    agree(terminated, before[..., 0] % 2 == 0)
    for agent in range(agents):  # each agent its own, all of them, none that is gone
        agree(np.unique(action[agent]), sorted(stamp[agent] for stamp in kept))


@pytest.mark.oracle("torch.nn.Linear", of=["Layer", "QNetworks"], tolerance=1e-12)
@pytest.mark.parametrize("rule", ["single", *RULES])
def test_agents_side_by_side_equal_agents_one_by_one(rule, agree):
    networks, x = QNetworks([4, 7], 3, 5, rule, width=6), noise(2, 10, 3)

    def dense(layer, agent, inputs):
        linear = nn.Linear(*layer.weight.shape[1:], dtype=torch.float64)
        linear.weight.data = layer.weight[agent].T
        linear.bias.data = layer.bias[agent, 0]
        return linear(inputs)

    for agent in range(2):
        shared = torch.relu(dense(networks.trunk, agent, x[agent]))

        def stream(layers, agent=agent, shared=shared):
            return dense(layers[2], agent, torch.relu(dense(layers[0], agent, shared)))

        if rule == "single":
            q = stream(networks.q)
        else:
            q = by_hand(stream(networks.value), stream(networks.advantage), rule)
        agree(networks(x)[agent], q)


def test_an_agent_does_not_depend_on_its_neighbors():
    x = noise(1, 4, 3)
    alone = QNetworks([7], 3, 2, "mean")(x)
    second = QNetworks([4, 7], 3, 2, "mean")(x.expand(2, 4, 3))[1:]
    torch.testing.assert_close(alone, second, rtol=0, atol=1e-12)


def test_layers_begin_as_wide_as_those_of_torch():
    weight = Layer(16, 500, [torch.Generator().manual_seed(0)]).weight
    assert weight.abs().max() <= 0.25
    assert weight.std().item() == pytest.approx(nn.Linear(16, 500).weight.std().item(), rel=0.05)


def test_both_streams_reach_the_trunk():
    networks, x = QNetworks([0], 3, 4, "mean"), noise(1, 6, 3)
    for stream in networks.streams(x):
        loss = stream.square().sum()
        (gradient,) = torch.autograd.grad(loss, networks.trunk.weight, retain_graph=True)
        assert gradient.abs().max() > 0


@pytest.mark.parametrize("rule", ["max", "mean"])
def test_no_gradient_lifts_all_advantages_together(rule):
    value, advantage = noise(6, 1), noise(6, 4, seed=1).requires_grad_()
    loss = (join(value, advantage, rule) - noise(6, 4, seed=2)).square().sum()
    (gradient,) = torch.autograd.grad(loss, advantage)
    assert gradient.abs().max() > 0.1
    assert gradient.sum(dim=1).abs().max() < 1e-12


@pytest.mark.oracle("numpy.round", of="snap", tolerance=0)
def test_snapping_rounds_every_parameter(agree):
    networks = QNetworks([0, 1], 3, 2, "max")
    before = [parameter.detach().numpy().copy() for parameter in networks.parameters()]
    snap(networks, decimals=3)
    for parameter, old in zip(networks.parameters(), before, strict=True):
        agree(parameter, np.round(old, 3))


def chain_by_hand(vertical, horizontal, actions):
    """Walk an S drawn as text: what each of four moves does, cell by cell."""
    rows = [" " * (horizontal - 1) + "#"] * (vertical - 1) + ["#" * horizontal]
    rows += ["#" + " " * (horizontal - 1)] * (vertical - 1)
    free = {(r, c) for r, row in enumerate(rows) for c, mark in enumerate(row) if mark == "#"}
    path = sorted(free, key=lambda cell: (-cell[0], cell[1]))  # from the bottom left
    moves = [(-1, 0), (1, 0), (0, -1), (0, 1)] + [(0, 0)] * (actions - 4)
    follows = []
    for r, c in path[:-1]:
        wished = [(r + dr, c + dc) for dr, dc in moves]
        follows.append([path.index(cell if cell in free else (r, c)) for cell in wished])
    return follows


@pytest.mark.oracle("the corridors drawn as text", of=["corridor", "Corridor"], tolerance=0)
@pytest.mark.parametrize("size", [(2, 2, 4), (4, 6, 9)])
def test_corridors_lead_where_the_drawing_leads(size, agree):
    world = corridor(*size)
    follows = chain_by_hand(*size)
    agree(world.follows[: world.goal], follows)
    agree(world.reward[: world.goal], np.array(follows) == len(follows))
    assert (world.follows[world.goal] == world.goal).all()
    assert (world.reward[world.goal] == 0).all()


@pytest.mark.oracle("numpy.linalg.solve, for the greedy policy", of="optimal_q", tolerance=1e-9)
def test_value_iteration_solves_the_equations_of_its_greedy_policy(agree):
    world = corridor(3, 5, 6)
    ours = optimal_q(world, 0.9)
    states, actions = ours.shape
    system, best = np.eye(states * actions), ours.argmax(axis=1)
    for s in range(states):
        for a in range(actions):
            to = world.follows[s, a]
            if to != world.goal:
                system[s * actions + a, to * actions + best[to]] -= 0.9
    agree(ours.ravel(), np.linalg.solve(system, world.reward.ravel()))


@pytest.mark.oracle(
    "Bellman's equation, swept until it stands still", of="policy_q", tolerance=1e-9
)
def test_a_policy_is_valued_as_repeated_sweeps_value_it(agree):
    world = corridor(3, 4, 5)
    policy = np.random.default_rng(0).dirichlet(np.ones(5), size=len(world.reward))
    q = np.zeros_like(world.reward)
    for _ in range(600):
        new = np.zeros_like(q)
        for s, a in np.ndindex(q.shape):
            to = world.follows[s, a]
            later = 0.0 if to == world.goal else sum(policy[to, b] * q[to, b] for b in range(5))
            new[s, a] = world.reward[s, a] + 0.9 * later
        q = new
    agree(policy_q(world, policy, 0.9), q)


def test_no_policy_is_worth_more_than_the_best():
    world, rng = corridor(3, 4, 5), np.random.default_rng(1)
    best = optimal_q(world, 0.9)
    for _ in range(5):
        policy = rng.dirichlet(np.ones(5), size=len(world.reward))
        assert (policy_q(world, policy, 0.9) <= best + 1e-12).all()


REFUSED = {
    "rule": lambda: join(noise(2, 1), noise(2, 3), "median"),
    "rule must": lambda: join_jacobian(noise(3), "single"),
    "discount": lambda: td_target(noise(2), noise(2), noise(2, 3), 1.5),
    "until": lambda: exploration(3, until=0),
    "positive": lambda: Replay(0, 1, 1),
    "add transitions first": lambda: Replay(3, 1, 1).sample(1, np.random.default_rng(0)),
    "even width": lambda: QNetworks([0], 3, 2, "mean", width=5),
    "no value": lambda: QNetworks([0], 3, 2, "single").streams(noise(1, 2, 3)),
    "4 actions": lambda: corridor(3, 3, 3),
    "discount must": lambda: optimal_q(corridor(2, 2, 4), 1.0),
    "sum to one": lambda: policy_q(corridor(2, 2, 4), np.ones((4, 4)), 0.9),
}


@pytest.mark.parametrize("message", REFUSED)
def test_bad_input_is_refused_with_the_reason(message):
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()
