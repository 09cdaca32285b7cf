"""Oracles, properties, gradients and refusals of dlnotes.representations.self_distillation."""

import copy
import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dlnotes.representations.self_distillation import (
    Network,
    Recipe,
    cosine,
    dino_loss,
    distill,
    entropies,
    nearest_neighbors,
    random_crops,
    sharpen,
    update_center,
    update_teacher,
)

SWITCHES = [
    Recipe(steps=4, batch=5),
    Recipe(steps=4, batch=5, centering=False, teacher_temperature=0.1),
    Recipe(steps=4, batch=5, teacher_momentum=0.0, center_momentum=0.9, rate=5e-3),
]


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def normal(rng: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def tiny_network() -> Network:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.GELU())
    return Network(body, torch.randn(9, 3, 2, 2), outputs=8, width=10)


# Oracles


@pytest.mark.oracle("torch.nn.functional.cross_entropy", of="dino_loss", tolerance=1e-12)
@pytest.mark.parametrize(("views", "seen"), [(2, 2), (5, 2), (3, 1)])
def test_the_loss_is_the_mean_of_pytorchs_over_pairs_of_different_views(rng, agree, views, seen):
    student, targets = normal(rng, views, 4, 6), normal(rng, seen, 4, 6).softmax(-1)
    terms = [
        F.cross_entropy(student[v] / 0.1, targets[g])  # soft targets
        for g in range(seen)
        for v in range(views)
        if v != g
    ]
    assert len(terms) == seen * views - seen
    agree(dino_loss(student, targets), sum(terms) / len(terms))
    warm = [
        F.cross_entropy(student[v] / 0.7, targets[g])
        for g in range(seen)
        for v in range(views)
        if v != g
    ]
    agree(dino_loss(student, targets, 0.7), sum(warm) / len(warm))


@pytest.mark.oracle("exponentials divided by their sum", of="sharpen", tolerance=1e-12)
def test_targets_are_the_softmax_of_centered_outputs(rng, agree):
    outputs, center = normal(rng, 3, 5), normal(rng, 5)
    expected = np.exp((outputs.numpy() - center.numpy()) / 0.3)
    agree(sharpen(outputs, center, 0.3), expected / expected.sum(-1, keepdims=True))


@pytest.mark.oracle("eq. 4 as a loop over pictures", of="update_center", tolerance=1e-12)
def test_the_center_follows_equation_4(rng, agree):
    center, outputs = normal(rng, 5), normal(rng, 2, 3, 5)
    total = [0.0] * 5
    for view in outputs.tolist():
        for picture in view:
            total = [t + x for t, x in zip(total, picture, strict=True)]
    expected = [0.8 * c + 0.2 * t / 6 for c, t in zip(center.tolist(), total, strict=True)]
    agree(update_center(center, outputs, 0.8), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.oracle(
    "torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn",
    of="update_teacher",
    tolerance=1e-7,
)
def test_the_teacher_is_pytorchs_moving_average(agree):
    student = tiny_network()
    teacher = copy.deepcopy(student)
    theirs = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    theirs.update_parameters(student)  # its first call copies
    for step in range(5):
        with torch.no_grad():
            for p in student.parameters():
                p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(step)))
        theirs.update_parameters(student)
        update_teacher(teacher, student, 0.9)
    for ours, other in zip(teacher.parameters(), theirs.module.parameters(), strict=True):
        agree(ours, other)


@pytest.mark.oracle("torch.optim.lr_scheduler.CosineAnnealingLR", of="cosine", tolerance=1e-9)
def test_the_schedule_is_pytorchs_cosine(agree):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.996)
    scheduler = CosineAnnealingLR(optimizer, T_max=50, eta_min=0.2)
    for step in range(51):
        agree(cosine(0.996, 0.2, step, 50), scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    agree(cosine(0.996, 1.0, 50, 50), 1.0)


@pytest.mark.oracle("torch.distributions.Categorical.entropy", of="entropies", tolerance=1e-6)
def test_entropies_are_those_of_categorical_distributions(rng, agree):
    targets = normal(rng, 2, 4, 6).softmax(-1)
    each, together = entropies(targets)
    agree(each, torch.distributions.Categorical(targets).entropy().mean().item())
    mean = targets.mean((0, 1))
    agree(together, torch.distributions.Categorical(mean).entropy().item())


@pytest.mark.oracle("slicing pixels", of="random_crops", tolerance=1e-5)
def test_a_crop_at_its_own_resolution_is_a_piece_of_the_picture(rng, agree):
    ramp = torch.arange(16.0)
    picture = torch.stack([ramp.expand(16, 16), ramp[:, None].expand(16, 16)])[None]
    crop = random_crops(picture, (0.25, 0.25), 8, rng)[0]
    left, top = crop[0, 0, 0].item(), crop[1, 0, 0].item()  # the ramps tell where it was cut
    assert 0 <= left <= 8
    assert 0 <= top <= 8
    assert abs(left - top) > 1e-3
    agree(crop[0], (left + ramp[:8]).expand(8, 8))
    agree(crop[1], (top + ramp[:8])[:, None].expand(8, 8))


@pytest.mark.oracle("sklearn.neighbors.KNeighborsClassifier", of="nearest_neighbors", tolerance=0)
@pytest.mark.parametrize("k", [1, 7, 40])
def test_votes_are_those_of_scikit_learn(rng, agree, k):
    stored, queries = normal(rng, 60, 5), normal(rng, 200, 5)
    labels = torch.randint(4, (60,), generator=rng)
    theirs = KNeighborsClassifier(
        k, metric="cosine", weights=lambda distance: np.exp((1 - distance) / 0.07)
    ).fit(stored.numpy(), labels.numpy())
    agree(nearest_neighbors(stored, labels, queries, k), theirs.predict(queries.numpy()))


@pytest.mark.oracle("torch.nn.utils.parametrizations.weight_norm", of="Network", tolerance=1e-6)
def test_the_head_is_weight_normalized_after_a_unit_bottleneck(agree):
    network = tiny_network()
    pictures = torch.randn(7, 3, 2, 2)
    last = nn.utils.parametrizations.weight_norm(nn.Linear(5, 8, bias=False))
    with torch.no_grad():
        last.parametrizations.weight.original0.fill_(1)  # the length of every prototype
        last.parametrizations.weight.original1.copy_(network.prototypes)
        bottleneck = network.mlp(network.features(pictures))
        agree(network(pictures), last(bottleneck / bottleneck.norm(dim=-1, keepdim=True)))


@pytest.mark.oracle("sklearn.preprocessing.StandardScaler", of="Network.features", tolerance=1e-5)
def test_features_are_standardized_by_the_first_pictures(agree):
    body, pictures = nn.Sequential(nn.Flatten(), nn.Linear(12, 6)), torch.randn(30, 3, 2, 2)
    network, later = Network(body, pictures, outputs=8), torch.randn(5, 3, 2, 2)
    with torch.no_grad():
        scaler = StandardScaler().fit(body(pictures).numpy())
        share = (29 / 30) ** 0.5  # torch divides by n - 1, scikit-learn by n
        agree(network.features(later), share * scaler.transform(body(later).numpy()))


def flat_views(batch):
    """Return two global views and one local view that need no chance."""
    return [batch, 0.9 * batch + 0.1], [batch.roll(1, -1)]


@pytest.mark.oracle("algorithm 1 as a plain loop", of=["distill", "Recipe"], tolerance=1e-5)
@pytest.mark.parametrize("recipe", SWITCHES, ids=["default", "no switches", "copy"])
def test_distilling_is_algorithm_1(agree, recipe):
    pictures = torch.randn(20, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    student = tiny_network()
    run = distill(copy.deepcopy(student), pictures, flat_views, recipe, torch.Generator())
    history = list(run)
    gs, gt, c, pick = student, copy.deepcopy(student), torch.zeros(8), torch.Generator()
    adam = torch.optim.AdamW(gs.parameters())
    for i, (_, loss, _) in enumerate(history):
        x = pictures[torch.randint(20, (5,), generator=pick)]
        (x1, x2), (x3,) = flat_views(x)
        wide = gs.features(torch.cat([x1, x2])).split(5)
        s1, s2, s3 = gs.head(torch.cat([*wide, gs.features(x3)])).split(5)
        with torch.no_grad():
            t1, t2 = gt(torch.cat([x1, x2])).split(5)
        shift = c if recipe.centering else 0
        p1, p2 = (((t - shift) / recipe.teacher_temperature).softmax(-1) for t in (t1, t2))
        pairs = (p1, s2), (p1, s3), (p2, s1), (p2, s3)
        mine = sum(F.cross_entropy(s / 0.1, p) for p, s in pairs) / 4
        agree(mine, loss)
        turn = (1 + math.cos(math.pi * i / 4)) / 2
        adam.param_groups[0]["lr"] = recipe.rate * turn * (i + 1) / 30
        adam.zero_grad()
        mine.backward()
        adam.step()
        m = 1 - (1 - recipe.teacher_momentum) * turn if recipe.teacher_momentum else 0
        with torch.no_grad():
            for a, b in zip(gt.parameters(), gs.parameters(), strict=True):
                a.copy_(m * a + (1 - m) * b)
        c = recipe.center_momentum * c + (1 - recipe.center_momentum) * torch.cat([t1, t2]).mean(0)
    for ours, theirs in zip(history[-1][0].parameters(), gt.parameters(), strict=True):
        agree(ours, theirs)


# Properties


def test_cross_entropy_is_entropy_plus_divergence(rng):
    targets = normal(rng, 2, 4, 6).softmax(-1)
    student = normal(rng, 2, 4, 6)
    guesses = student.softmax(-1)
    divergence = (targets * (targets / guesses.flip(0)).log()).sum(-1).mean().item()
    loss = dino_loss(student, targets, 1.0).item()
    assert loss == pytest.approx(entropies(targets)[0] + divergence)


def test_a_view_is_never_compared_with_itself(rng):
    student, targets = normal(rng, 3, 4, 6), normal(rng, 1, 4, 6).softmax(-1)
    moved = student.clone()
    moved[0] += normal(rng, 4, 6)
    torch.testing.assert_close(dino_loss(moved, targets), dino_loss(student, targets))


def test_a_lower_temperature_sharpens_each_target_and_keeps_its_order(rng):
    outputs, center = normal(rng, 50, 6), torch.zeros(6, dtype=torch.float64)
    spread = [entropies(sharpen(outputs, center, t))[0] for t in (0.05, 0.1, 1.0, 100.0)]
    assert spread == sorted(spread)
    assert spread[-1] == pytest.approx(math.log(6), abs=1e-3)
    sharp, blunt = (sharpen(outputs, center, t).argsort(-1) for t in (0.1, 1.0))
    assert (sharp == blunt).all()


def test_no_target_depends_on_what_all_pictures_share(rng):
    outputs, shared = normal(rng, 2, 9, 5), normal(rng, 5)
    center = update_center(torch.zeros(5, dtype=torch.float64), outputs, 0.0)
    moved = update_center(torch.zeros(5, dtype=torch.float64), outputs + shared, 0.0)
    torch.testing.assert_close(sharpen(outputs, center, 0.1), sharpen(outputs + shared, moved, 0.1))


def test_crops_lie_inside_and_vary_in_place_and_size(rng):
    ramp = torch.arange(16.0)
    pictures = ramp.expand(400, 1, 16, 16)
    crops = random_crops(pictures, (0.2, 0.6), 8, rng)
    width = (crops[:, 0, 0, -1] - crops[:, 0, 0, 0]) * 8 / 7 / 16  # as a share of the side
    assert 0.2 < width.min() ** 2 < 0.25
    assert 0.5 < width.max() ** 2 < 0.6
    assert (width**2).mean().item() == pytest.approx(0.4, abs=0.02)  # uniform in area
    assert crops.min() < 1
    assert crops.max() > 14


def test_outputs_are_cosines_and_the_teacher_gets_no_gradient():
    network, pictures = tiny_network(), torch.randn(20, 3, 2, 2)
    assert network(pictures).abs().max() <= 1 + 1e-6
    teacher, _, _ = next(distill(network, pictures, flat_views, SWITCHES[0], torch.Generator()))
    assert not any(p.requires_grad or p.grad is not None for p in teacher.parameters())
    assert all(p.grad is not None for p in network.parameters())


# Gradients


def test_gradients_of_the_loss_are_right_and_stop_at_the_targets(rng):
    student = normal(rng, 3, 2, 4).requires_grad_()
    targets = normal(rng, 2, 2, 4).softmax(-1).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: dino_loss(s, targets, 0.5), student)
    dino_loss(student, targets).backward()
    assert targets.grad is None


# Refusals


def test_temperatures_are_positive(rng):
    with pytest.raises(ValueError, match="above zero"):
        sharpen(normal(rng, 2, 3), normal(rng, 3), 0.0)
    with pytest.raises(ValueError, match="above zero"):
        dino_loss(normal(rng, 2, 1, 3), normal(rng, 2, 1, 3).softmax(-1), -0.1)


@pytest.mark.parametrize(("views", "seen"), [(1, 1), (2, 3)])
def test_the_loss_needs_a_pair_of_views(rng, views, seen):
    with pytest.raises(ValueError, match="two views"):
        dino_loss(normal(rng, views, 1, 3), normal(rng, seen, 1, 3).softmax(-1))


@pytest.mark.parametrize("momentum", [-0.1, 1.1])
def test_a_momentum_is_a_share(momentum):
    with pytest.raises(ValueError, match="between 0 and 1"):
        update_teacher(tiny_network(), tiny_network(), momentum)


@pytest.mark.parametrize(("step", "steps"), [(-1, 5), (6, 5), (0, 0)])
def test_a_schedule_has_a_first_and_a_last_step(step, steps):
    with pytest.raises(ValueError, match="between 0 and the last"):
        cosine(1.0, 0.0, step, steps)


@pytest.mark.parametrize(
    ("scale", "size"), [((0.0, 1.0), 4), ((0.6, 0.4), 4), ((0.5, 1.2), 4), ((0.5, 1.0), 0)]
)
def test_crops_have_an_area_and_a_size(rng, scale, size):
    with pytest.raises(ValueError, match="low <= high"):
        random_crops(torch.zeros(1, 1, 8, 8), scale, size, rng)


@pytest.mark.parametrize(("pictures", "outputs", "width"), [(1, 4, 8), (3, 1, 8), (3, 4, 1)])
def test_a_network_needs_two_of_each(pictures, outputs, width):
    with pytest.raises(ValueError, match="two of each"):
        Network(nn.Flatten(), torch.zeros(pictures, 1, 2, 2), outputs, width)


@pytest.mark.parametrize("k", [0, 4])
def test_neighbors_must_exist(rng, k):
    with pytest.raises(ValueError, match="k lies between"):
        nearest_neighbors(
            normal(rng, 3, 2), torch.zeros(3, dtype=torch.int64), normal(rng, 1, 2), k
        )
