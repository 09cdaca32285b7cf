"""Tables against arithmetic, training against plain PyTorch, waves against NumPy."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dlnotes.generalization.grokking import (
    Look,
    Network,
    Run,
    Settings,
    Table,
    begin,
    dihedral,
    division,
    first_step,
    fourier_network,
    learn,
    modular,
    run,
    spectrum,
)


def add(a, b):
    return a + b


def square(table):
    """A full table as a matrix of results."""
    return table.result.reshape(table.symbols, table.symbols)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.oracle("Python's integers, entry by entry", of=["modular", "Table"], tolerance=0)
@pytest.mark.parametrize("p", [2, 7, 12])
def test_modular_tables_are_arithmetic_entry_by_entry(agree, p):
    for operation in (add, lambda a, b: a - b, lambda a, b: a * a + a * b + b * b):
        table = modular(operation, p)
        assert isinstance(table, Table)
        pairs = list(itertools.product(range(p), range(p)))
        assert list(zip(table.left.tolist(), table.right.tolist(), strict=True)) == pairs
        agree(table.result, torch.tensor([operation(a, b) % p for a, b in pairs]))


@pytest.mark.oracle("multiplying back", of="division", tolerance=0)
@pytest.mark.parametrize("p", [2, 3, 13, 59])
def test_a_quotient_times_the_divisor_is_the_dividend(agree, p):
    table = division(p)
    assert len(table.left) == p * (p - 1)
    assert (table.right > 0).all()
    agree(table.result * table.right % p, table.left)


@pytest.mark.oracle("2 by 2 matrices of turns and mirrors", of="dihedral", tolerance=0)
@pytest.mark.parametrize("sides", [3, 5, 8])
def test_the_polygon_table_multiplies_matrices(agree, sides):
    def matrix(symbol):
        t = 2 * math.pi * (symbol % sides) / sides
        turn = np.array([[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]])
        return turn @ np.diag([1.0, -1.0]) if symbol >= sides else turn

    shapes = np.stack([matrix(s) for s in range(2 * sides)])
    products = np.einsum("aij,bjk->abik", shapes, shapes)
    gaps = np.abs(products[:, :, None] - shapes).max(axis=(3, 4))
    agree(square(dihedral(sides)).numpy(), gaps.argmin(axis=2))


@pytest.mark.parametrize(
    ("table", "abelian"), [(modular(add, 11), True), (dihedral(5), False), (dihedral(6), False)]
)
def test_group_tables_obey_the_axioms(table, abelian):
    grid, everyone = square(table), torch.arange(table.symbols)
    neutral = [e for e in everyone.tolist() if (grid[e] == everyone).all()]
    assert len(neutral) == 1
    assert (grid[:, neutral[0]] == everyone).all()
    assert ((grid == neutral[0]).sum(dim=1) == 1).all()
    assert torch.equal(grid[grid], grid[everyone[:, None, None], grid[None]])  # (ab)c = a(bc)
    assert torch.equal(grid, grid.T) == abelian


@pytest.mark.oracle("torch.nn.Linear on torch.cat", of="Network", tolerance=1e-12)
def test_splitting_the_matrix_is_concatenating_the_embeddings(agree):
    network = Network(7, 5, 11)
    with torch.no_grad():
        network.bias.copy_(noise(11))
    layer = nn.Linear(10, 11).double()
    layer.weight, layer.bias = network.mix, network.bias
    a, b = torch.cartesian_prod(torch.arange(7), torch.arange(7)).mT
    ends = torch.cat([network.embedding[a], network.embedding[b]], dim=1)
    agree(network(a, b), layer(ends).relu() @ network.unembedding.T)


def test_the_two_operands_are_told_apart():
    network, table = Network(7, 5, 11), modular(add, 7)
    scores, mirrored = (
        network(x, y) for x, y in ((table.left, table.right), (table.right, table.left))
    )
    apart = table.left != table.right
    assert ((scores - mirrored).abs().max(dim=1).values[apart] > 1e-3).all()


@pytest.mark.oracle(
    "a loop of torch.nn and torch.optim", of=["learn", "begin", "Look"], tolerance=1e-9
)
def test_fifty_steps_equal_a_loop_of_plain_layers(agree):
    table, settings = modular(add, 11), Settings(width=6, hidden=9, decay=0.7, rate=0.01, seed=3)
    network, rows = begin(table, settings)
    embed, layer = nn.Embedding(11, 6).double(), nn.Linear(12, 9).double()
    vote = nn.Linear(9, 11, bias=False).double()
    with torch.no_grad():
        for theirs, ours in (
            (embed.weight, network.embedding),
            (layer.weight, network.mix),
            (layer.bias, network.bias),
            (vote.weight, network.unembedding),
        ):
            theirs.copy_(ours)
    everything = [*embed.parameters(), *layer.parameters(), *vote.parameters()]
    optimizer = torch.optim.AdamW(everything, lr=0.01, weight_decay=0.7, betas=(0.9, 0.98))
    hidden_rows = torch.tensor([i for i in range(121) if i not in rows.tolist()])
    looks = learn(network, table, rows, settings, every=1)
    for step, look in zip(range(50), looks, strict=False):
        losses, shares = [], []
        for part in (rows, hidden_rows):
            ends = torch.cat([embed(table.left[part]), embed(table.right[part])], dim=1)
            scores = vote(layer(ends).relu())
            losses.append(cross_entropy(scores, table.result[part]))
            shares.append((scores.argmax(1) == table.result[part]).double().mean())
        norm = sum(p.square().sum() for p in everything).sqrt()
        theirs = [torch.tensor(step), losses[0], shares[0], losses[1], shares[1], norm]
        agree(
            torch.tensor(look, dtype=torch.float64),
            torch.stack([v.detach().double() for v in theirs]),
        )
        optimizer.zero_grad()
        losses[0].backward()
        optimizer.step()


def test_a_start_follows_from_its_seed_alone_and_draws_the_share_asked_for():
    table = modular(add, 13)
    torch.manual_seed(1)
    one, rows = begin(table, Settings(share=0.3, seed=5))
    torch.manual_seed(2)
    two, same_rows = begin(table, Settings(share=0.3, seed=5))
    other, other_rows = begin(table, Settings(share=0.3, seed=6))
    assert torch.equal(one.embedding, two.embedding)
    assert torch.equal(rows, same_rows)
    assert not torch.equal(one.mix, other.mix)
    assert not torch.equal(rows, other_rows)
    assert len(rows.unique()) == len(rows) == round(0.3 * 169)


def test_weight_decay_does_not_reach_around_the_gradient():
    table, rate, decay = modular(add, 5), 0.01, 3.0
    network, rows = begin(table, Settings(width=4, hidden=6, rate=rate, decay=decay))
    plain, _ = begin(table, Settings(width=4, hidden=6))
    before = network.embedding.detach().clone()
    for net, d in ((network, decay), (plain, 0.0)):
        looks = learn(net, table, rows, Settings(width=4, hidden=6, rate=rate, decay=d), every=1)
        next(looks), next(looks)
    shrunk = plain.embedding - rate * decay * before
    torch.testing.assert_close(network.embedding, shrunk, rtol=0, atol=1e-12)


@pytest.mark.oracle("the looks of learn, cut by hand", of=["run", "Run"], tolerance=0)
def test_a_run_ends_at_its_cap_or_after_the_steps_beyond_99_percent(agree):
    table, settings = modular(lambda a, _: a, 7), Settings(share=0.6, width=8, hidden=32)
    network, rows = begin(table, settings)
    looks = list(itertools.islice(learn(network, table, rows, settings), 81))
    known = [look.step for look in looks if look.test_accuracy >= 0.99]
    assert 0 < known[0] < 300
    cases = [(20, 0, 20), (20, None, 20), (400, None, 400), (400, 20, known[0] + 20)]
    for cap, beyond, end in [*cases, (known[0] + 5, 20, known[0] + 5), (400, 0, known[0])]:
        done = run(table, settings, cap=cap, beyond=beyond, watch=lambda net: net.bias.sum().item())
        assert isinstance(done, Run)
        assert isinstance(done.curves, Look)
        assert len(done.seen) == len(done.curves.step)
        assert torch.equal(done.rows, rows)
        theirs = torch.tensor([look for look in looks if look.step <= end], dtype=torch.float64)
        agree(torch.stack(done.curves, dim=1), theirs)


@pytest.mark.oracle("next() over a list", of="first_step", tolerance=0)
def test_the_first_step_is_the_first_at_or_above_the_level(agree):
    steps, values = torch.arange(0.0, 50, 10), torch.tensor([0.1, 0.5, 0.4, 0.9, 0.5])
    for level in (0.0, 0.5, 0.6, 0.9, 0.95):
        pairs = zip(steps.tolist(), values.tolist(), strict=True)
        theirs = next((s for s, v in pairs if v >= torch.tensor(level)), math.inf)
        agree(first_step(steps, values, level), theirs)


@pytest.mark.oracle("numpy.fft.fft", of="spectrum", tolerance=1e-12)
@pytest.mark.parametrize("symbols", [9, 10])
def test_the_spectrum_is_numpys(agree, symbols):
    weights = noise(symbols, 4) + 3.0
    power = (np.abs(np.fft.fft(weights.numpy(), axis=0)) ** 2).sum(axis=1)
    power = power[1 : symbols // 2 + 1]
    agree(spectrum(weights).numpy(), power / power.sum())


def test_a_wave_has_all_its_power_at_its_frequency():
    angle = 2 * math.pi * 4 * torch.arange(11).double() / 11
    share = spectrum(torch.stack([angle.cos() + 7, 0.2 * angle.sin()], dim=1))
    assert share[3].item() == pytest.approx(1)
    assert share.sum().item() == pytest.approx(1)


@pytest.mark.oracle("the addition table", of="fourier_network", tolerance=0)
@pytest.mark.parametrize(("p", "k"), [(7, [1, 3]), (31, [2, 7, 11]), (57, [1, 4, 9]), (59, [4])])
def test_the_hand_made_network_adds(agree, p, k):
    table = modular(add, p)
    agree(fourier_network(p, k)(table.left, table.right).argmax(dim=1), table.result)


@pytest.mark.oracle("eq. grokking-vote of the chapter", of="fourier_network", tolerance=1e-3)
def test_the_hand_made_votes_are_the_formula(agree):
    p, k, phases = 13, 3, 201
    a, b = torch.cartesian_prod(torch.arange(p), torch.arange(p)).mT
    t = 2 * math.pi * k / p
    blind = torch.cos(t * (a - b) / 2).abs().double()[:, None]
    formula = blind * torch.cos(t * ((a + b)[:, None] - torch.arange(p))).double()
    # relu(cos) holds its octave with weight 2 / (3 pi); half of cos^2 is left; eq. sum has a 2
    agree(fourier_network(p, [k], phases)(a, b) / phases, 2 / (3 * math.pi) * formula)


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.0}, {"decay": -1.0}, {"rate": 0.0}])
def test_settings_without_meaning_are_refused(wrong):
    with pytest.raises(ValueError, match="share in"):
        Settings(**wrong)
    assert dataclasses.asdict(Settings())["share"] == 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: modular(add, 1), "at least two symbols, not 1"),
        (lambda: division(12), "p=12"),
        (lambda: Network(0, 4, 4), "symbols=0"),
        (lambda: fourier_network(58, [1, 2]), "even number of symbols.*p=58"),
        (lambda: fourier_network(7, []), "frequencies must lie between 1 and 6"),
        (lambda: fourier_network(7, [7]), r"not \[7\]"),
        (lambda: fourier_network(7, [1], phases=6), "odd number.*not 6"),
    ],
)
def test_bad_requests_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
