"""Oracles, properties, gradients and refusals of dlnotes.vision.object_detection."""

import contextlib
import io
import itertools
import math
from fractions import Fraction

import numpy as np
import pycocotools.mask
import pytest
import shapely
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import nn
from torch.nn import functional as F

from dlnotes.vision.object_detection import (
    GridDetector,
    as_convolution,
    average_precision,
    decode,
    detection_loss,
    encode,
    iou,
    match,
    mean_average_precision,
    precision_recall,
    probabilities,
    suppress,
    to_centers,
    to_corners,
)

ANCHORS = torch.tensor([[4.0, 12.0], [12.0, 4.0]], dtype=torch.float64)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def uniform(rng: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=rng, dtype=torch.float64)


def some_boxes(rng: torch.Generator, n: int, size: float = 20.0) -> torch.Tensor:
    """Boxes with very different widths and heights, many of which overlap."""
    middle, sides = size * uniform(rng, n, 2), 1 + 10 * uniform(rng, n, 2)
    return torch.cat([middle - sides / 2, middle + sides / 2], dim=1)


def jittered(boxes: torch.Tensor, rng: torch.Generator, by: float = 3.0) -> torch.Tensor:
    return boxes + by * (uniform(rng, len(boxes), 4) - 0.5)


def pictures(rng: torch.Generator, n: int, classes: int = 3):
    """True boxes with labels, and detections: hits of all qualities, misses, duplicates."""
    found, truth = [], []
    for _ in range(n):
        corner, sides = 40 * uniform(rng, 4, 2), 6 + 8 * uniform(rng, 4, 2)
        real = torch.cat([corner, corner + sides], dim=1)
        kinds = torch.randint(classes, (4,), generator=rng)
        boxes = torch.cat([jittered(real, rng, 2), jittered(real, rng, 6), jittered(real, rng, 2)])
        labels = torch.cat([kinds, kinds, torch.randint(classes, (4,), generator=rng)])
        found.append((boxes, uniform(rng, 12), labels))
        truth.append((real, kinds))
    return found, truth


# Oracles


@pytest.mark.oracle("shapely.area", of=["iou", "to_corners"], tolerance=1e-12)
def test_overlaps_are_what_shapely_measures(rng, agree):
    centers = torch.cat([20 * uniform(rng, 30, 2), 1 + 10 * uniform(rng, 30, 2)], dim=1)
    by_hand = [
        shapely.box(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for x, y, w, h in centers.tolist()
    ]
    ours = iou(to_corners(centers[:12]), to_corners(centers[12:]))
    pairs = list(itertools.product(by_hand[:12], by_hand[12:]))
    shared = np.array([shapely.area(shapely.intersection(a, b)) for a, b in pairs])
    union = np.array([shapely.area(shapely.union(a, b)) for a, b in pairs])
    assert 0 < (shared > 0).mean() < 1
    agree(ours, (shared / union).reshape(12, 18))


@pytest.mark.oracle("pycocotools.mask.iou", of=["iou", "to_centers"], tolerance=1e-12)
def test_overlaps_are_what_coco_measures(rng, agree):
    first, second = some_boxes(rng, 9), some_boxes(rng, 14)

    def corner_and_size(boxes):
        centers = to_centers(boxes)
        low, sides = centers[:, :2] - centers[:, 2:] / 2, centers[:, 2:]
        return torch.cat([low, sides], 1).numpy()

    theirs = pycocotools.mask.iou(corner_and_size(first), corner_and_size(second), [0] * 14)
    agree(iou(first, second), theirs)


@pytest.mark.oracle("counting pixels", of="iou", tolerance=1e-12)
def test_overlaps_of_whole_pixels_can_be_counted(rng, agree):
    corner, sides = (torch.randint(1, 12, (10, 2), generator=rng) for _ in range(2))
    boxes = torch.cat([corner, corner + sides], 1).double()
    masks = torch.zeros(10, 24, 24, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist(), strict=True):
        mask[top:bottom, left:right] = True
    both = (masks[:, None] & masks[None]).sum((-1, -2))
    either = (masks[:, None] | masks[None]).sum((-1, -2))
    agree(iou(boxes, boxes), both / either.double())


@pytest.mark.oracle("brute force over all subsets", of="suppress", tolerance=0)
@pytest.mark.parametrize("threshold", [0.15, 0.3, 0.5])
@pytest.mark.parametrize("classes", [1, 2])
def test_one_subset_alone_fits_the_definition_and_it_is_the_one_kept(agree, threshold, classes):
    """A box is kept if, and only if, no better kept one of its class overlaps it that much."""
    lost = 0
    for trial in range(12):
        rng = torch.Generator().manual_seed(trial)
        boxes = jittered(some_boxes(rng, 3, 12.0).repeat(3, 1) + torch.tensor([0, 0, 4, 4]), rng)
        scores, labels = uniform(rng, 9), torch.randint(classes, (9,), generator=rng)
        areas, beats = [shapely.box(*box) for box in boxes.tolist()], np.zeros((9, 9), bool)
        for i, j in itertools.permutations(range(9), 2):
            shared = areas[i].intersection(areas[j]).area
            close = shared / areas[i].union(areas[j]).area >= threshold
            beats[i, j] = close and scores[j] > scores[i] and labels[i] == labels[j]
        subsets = np.array(list(itertools.product([False, True], repeat=9)))
        (fits,) = subsets[(subsets != (subsets @ beats.T > 0)).all(1)]  # there is exactly one
        agree(suppress(boxes, scores, labels, threshold).sort().values, np.nonzero(fits)[0])
        lost += 9 - int(fits.sum())
    assert lost > 10


@pytest.mark.oracle("suppression of each class alone", of="suppress", tolerance=0)
def test_classes_do_not_suppress_each_other(rng, agree):
    boxes, scores = some_boxes(rng, 40, 15.0), uniform(rng, 40)
    labels = torch.randint(3, (40,), generator=rng)
    alone = []
    for label in range(3):
        mine = (labels == label).nonzero()[:, 0]
        alone += mine[suppress(boxes[mine], scores[mine], threshold=0.3)].tolist()
    kept = suppress(boxes, scores, labels, 0.3)
    agree(kept.sort().values, sorted(alone))
    assert len(kept) > len(suppress(boxes, scores, threshold=0.3))


def coco(found, truth, threshold):
    """Precision of COCOeval at its 101 recalls, per class, and its verdict on each detection."""
    annotations, results = [], []
    for image, ((boxes, scores, labels), (real, kinds)) in enumerate(
        zip(found, truth, strict=True), 1
    ):
        for (left, top, right, bottom), kind in zip(real.tolist(), kinds.tolist(), strict=True):
            sides = [left, top, right - left, bottom - top]
            annotations.append({"bbox": sides, "area": sides[2] * sides[3], "iscrowd": 0})
            annotations[-1] |= {"id": len(annotations), "image_id": image, "category_id": kind + 1}
        for box, score, label in zip(boxes.tolist(), scores.tolist(), labels.tolist(), strict=True):
            results.append({"image_id": image, "category_id": label + 1, "score": score})
            results[-1]["bbox"] = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
    with contextlib.redirect_stdout(io.StringIO()):
        real = COCO()
        real.dataset = {"images": [{"id": i + 1} for i in range(len(truth))]}
        real.dataset |= {"annotations": annotations}
        real.dataset |= {"categories": [{"id": i + 1} for i in range(3)]}
        real.createIndex()
        evaluation = COCOeval(real, real.loadRes(results), "bbox")
        evaluation.params.iouThrs = np.array([threshold])
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


@pytest.mark.oracle(
    "pycocotools.cocoeval.COCOeval",
    of=["mean_average_precision", "average_precision", "precision_recall", "match"],
    tolerance=1e-12,
)
@pytest.mark.parametrize("threshold", [0.5, 0.75, 0.9])
def test_average_precision_is_that_of_coco(agree, threshold):
    seen = set()
    for trial in range(5):
        found, truth = pictures(torch.Generator().manual_seed(trial), 12)
        counts = torch.cat([kinds for _, kinds in truth]).bincount().tolist()
        # Counts that are multiples of 2 or 5 can put recall on one of the 101 points, where
        # NumPy's linspace may lie a rounding error above it: that is another test's matter.
        if any(math.gcd(count, 100) > 1 for count in counts):
            found, truth = with_odd_counts(found, truth)
        theirs = coco(found, truth, threshold).eval["precision"][0, :, :, 0, 2].mean()
        agree(mean_average_precision(found, truth, threshold=threshold), theirs)
        seen.add(round(float(theirs), 3))
    assert len(seen) == 5
    assert max(seen) < 1


def with_odd_counts(found, truth):
    """Take true boxes away until no class has a number of them that divides by 2 or 5."""
    kinds = torch.cat([labels for _, labels in truth])
    drop = {}
    for kind, count in enumerate(kinds.bincount().tolist()):
        while math.gcd(count - drop.get(kind, 0), 100) > 1:
            drop[kind] = drop.get(kind, 0) + 1
    fewer = []
    for boxes, labels in truth:
        keep = []
        for label in labels.tolist():
            keep.append(not drop.get(label))
            drop[label] = max(0, drop.get(label, 0) - 1)
        fewer.append((boxes[keep], labels[keep]))
    return found, fewer


@pytest.mark.oracle("pycocotools.cocoeval.COCOeval", of="match", tolerance=0)
def test_the_same_detections_are_right_as_for_coco(rng, agree):
    found, truth = pictures(rng, 20, classes=1)
    evaluation = coco(found, truth, 0.75)
    right = 0
    for (boxes, scores, _), (real, _), theirs in zip(
        found, truth, evaluation.evalImgs, strict=False
    ):
        ours = match(boxes, scores, real, 0.75)[scores.argsort(descending=True)]
        agree(ours, theirs["dtMatches"][0] > 0)
        right += int(ours.sum())
    assert 20 < right < 80


@pytest.mark.oracle("the step function in fractions", of="average_precision", tolerance=1e-12)
@pytest.mark.parametrize("points", [None, 11, 101])
def test_average_precision_follows_its_definition_exactly(agree, points):
    for trial in range(20):
        rng = torch.Generator().manual_seed(trial)
        right = torch.rand(14, generator=rng) < 0.5
        truths = int(right.sum()) + trial % 3 + 1
        recalls, precisions, hits = [], [], 0
        for k, hit in enumerate(right.tolist(), 1):
            hits += hit
            recalls.append(Fraction(hits, truths))
            precisions.append(Fraction(hits, k))

        def best(at, recalls=recalls, precisions=precisions):
            still = [p for p, r in zip(precisions, recalls, strict=True) if r >= at]
            return max(still, default=Fraction(0))

        if points is None:
            exact = sum(best(Fraction(k, truths)) for k in range(1, truths + 1)) / truths
        else:
            exact = sum(best(Fraction(k, points - 1)) for k in range(points)) / points
        scores = torch.arange(14.0, 0.0, -1.0, dtype=torch.float64)
        curve = precision_recall(scores, right, truths)
        agree(curve[1], [float(r) for r in recalls])
        agree(curve[0], [float(p) for p in precisions])
        agree(average_precision(*curve, points), float(exact))


@pytest.mark.oracle("the loop over windows", of="as_convolution", tolerance=1e-12)
@pytest.mark.parametrize("bias", [True, False])
def test_one_pass_of_the_convolution_is_the_loop_over_windows(rng, agree, bias):
    base = nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.MaxPool2d(2)).double()
    first, second = nn.Linear(4 * 25, 7, bias=bias).double(), nn.Linear(7, 3).double()
    crop = nn.Sequential(base, nn.Flatten(), first, nn.ReLU(), second)
    whole = nn.Sequential(base, as_convolution(first, 4), nn.ReLU(), as_convolution(second, 7))
    picture = uniform(rng, 1, 3, 28, 22)
    loop = torch.stack(
        [
            torch.stack([crop(picture[..., i : i + 14, j : j + 14])[0] for j in range(0, 9, 2)])
            for i in range(0, 15, 2)
        ]
    )
    agree(whole(picture)[0].permute(1, 2, 0), loop)


@pytest.mark.oracle("the formulas of YOLO9000, sec. 2, as a loop", of="decode", tolerance=1e-12)
def test_slots_are_read_as_the_paper_says(rng, agree):
    slots = uniform(rng, 3, 3, 2, 7)
    boxes, scores, labels = decode(slots, ANCHORS, size=24)
    cell = 8.0
    for k, (row, column, a) in enumerate(itertools.product(range(3), range(3), range(2))):
        there, x, y, w, h, *kinds = slots[row, column, a].tolist()
        middle = ((column + x) * cell, (row + y) * cell)
        half = (ANCHORS[a, 0].item() * math.exp(w) / 2, ANCHORS[a, 1].item() * math.exp(h) / 2)
        expected = [m + sign * s for sign in (-1, 1) for m, s in zip(middle, half, strict=True)]
        agree(boxes[k], expected)
        agree(scores[k], there * max(kinds))
        assert labels[k] == int(kinds[1] > kinds[0])


@pytest.mark.oracle("the boxes that went in", of=["encode", "decode"], tolerance=1e-9)
def test_what_is_encoded_is_decoded(agree):
    kept = 0
    for trial in range(10):
        rng = torch.Generator().manual_seed(trial)
        middle, sides = 48 * uniform(rng, 12, 2), 2 + 14 * uniform(rng, 12, 2)
        boxes, labels = to_corners(torch.cat([middle, sides], 1)), torch.arange(12) % 3
        target, lost = encode(boxes, labels, ANCHORS, size=48, grid=6, classes=3)
        there = [i for i in range(12) if i not in lost]
        read, scores, kinds = decode(target, ANCHORS, size=48)
        order = iou(boxes[there], read[scores == 1]).argmax(1)
        assert int((scores == 1).sum()) == len(there)
        agree(read[scores == 1][order], boxes[there])
        agree(kinds[scores == 1][order], labels[there])
        kept += len(there)
    assert kept > 90


@pytest.mark.oracle("torch.sigmoid and torch.softmax", of="probabilities", tolerance=0)
def test_the_first_three_are_squashed_and_the_classes_share(rng, agree):
    raw = uniform(rng, 4, 8) * 6 - 3
    read = probabilities(raw)
    agree(read[:, :3], torch.sigmoid(raw[:, :3]))
    agree(read[:, 3:5], raw[:, 3:5])
    agree(read[:, 5:], torch.softmax(raw[:, 5:], dim=1))


@pytest.mark.oracle("the loop over slots", of="detection_loss", tolerance=1e-12)
def test_the_loss_is_the_sum_that_it_says(rng, agree):
    raw, target = uniform(rng, 10, 8) * 4 - 2, torch.zeros(10, 8, dtype=torch.float64)
    for i, kind in [(2, 0), (3, 2), (7, 1)]:
        target[i, 0], target[i, 1:5], target[i, 5 + kind] = 1, uniform(rng, 4), 1
    total = 0.0
    for r, t in zip(raw, target, strict=True):
        p = 1 / (1 + math.exp(-r[0]))
        if not t[0]:
            total -= math.log(1 - p)
            continue
        total -= math.log(p)
        total += 5 * sum((1 / (1 + math.exp(-r[i])) - t[i].item()) ** 2 for i in (1, 2))
        total += 5 * sum((r[i].item() - t[i].item()) ** 2 for i in (3, 4))
        shares = [math.exp(v) for v in r[5:]]
        total -= math.log(shares[int(t[5:].argmax())] / sum(shares))
    agree(detection_loss(raw, target), total / 3)


@pytest.mark.oracle("torch.nn.functional, layer by layer", of="GridDetector", tolerance=1e-12)
def test_the_detector_is_four_convolutions_and_a_linear_map_per_cell(rng, agree):
    net = GridDetector(2, ANCHORS, width=3).double().eval()
    x = picture = uniform(rng, 2, 3, 24, 24)
    convolutions = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    for i, (layer, norm) in enumerate(zip(convolutions, norms, strict=False)):
        norm.running_mean.copy_(uniform(rng, len(norm.running_mean)))
        x = F.conv2d(x, layer.weight, layer.bias, padding=1)
        x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        x = F.relu(x)
        x = F.max_pool2d(x, 2) if i < 2 else x
    last = convolutions[-1]
    columns = torch.einsum("bchw,oc->bhwo", x, last.weight[:, :, 0, 0]) + last.bias
    agree(net(picture), columns.reshape(2, 6, 6, 2, 7))


# Properties


def test_overlap_is_symmetric_blind_to_scale_and_one_for_equal_boxes_alone(rng):
    boxes = some_boxes(rng, 20)
    overlap = iou(boxes, boxes)
    torch.testing.assert_close(overlap, overlap.T)
    torch.testing.assert_close(iou(7 * boxes + 3, 7 * boxes + 3), overlap)
    assert ((overlap > 1 - 1e-9) == torch.eye(20, dtype=torch.bool)).all()


def test_hand_examples_of_overlap():
    box = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
    others = torch.tensor([[1.0, 0.0, 3.0, 2.0], [0.0, 0.0, 4.0, 4.0], [2.0, 0.0, 4.0, 2.0]])
    torch.testing.assert_close(iou(box, others)[0], torch.tensor([1 / 3, 1 / 4, 0.0]))


def test_centers_and_corners_undo_each_other(rng):
    boxes = some_boxes(rng, 10)
    torch.testing.assert_close(to_corners(to_centers(boxes)), boxes)


def test_a_box_at_the_threshold_is_dropped():
    boxes = torch.tensor([[0.0, 0.0, 3.0, 1.0], [1.0, 0.0, 4.0, 1.0]])  # IoU 2/4
    scores = torch.tensor([0.9, 0.8])
    assert suppress(boxes, scores, threshold=0.5).tolist() == [0]
    assert suppress(boxes, scores, threshold=0.5000001).tolist() == [0, 1]


def test_a_suppressed_box_suppresses_nobody():
    boxes = torch.tensor([[0.0, 0.0, 4.0, 1.0], [1.0, 0.0, 5.0, 1.0], [2.0, 0.0, 6.0, 1.0]])
    assert suppress(boxes, torch.tensor([0.9, 0.8, 0.7]), threshold=0.5).tolist() == [0, 2]


def test_the_best_comes_first_and_nothing_from_nothing():
    far = torch.tensor([[0.0, 0.0, 1.0, 1.0], [5.0, 5.0, 6.0, 6.0]])
    assert suppress(far, torch.tensor([0.1, 0.9])).tolist() == [1, 0]
    assert suppress(torch.zeros(0, 4), torch.zeros(0)).tolist() == []


def test_of_five_detections_of_one_object_one_is_right():
    boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0]]).repeat(5, 1)
    scores = torch.tensor([0.1, 0.5, 0.9, 0.2, 0.3])
    right = match(boxes, scores, boxes[:1])
    assert right.tolist() == [False, False, True, False, False]
    assert not match(boxes, scores, torch.zeros(0, 4)).any()
    assert match(torch.zeros(0, 4), torch.zeros(0), boxes).tolist() == []


def test_a_detection_takes_the_free_object_that_it_fits_best():
    truth = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 2.0, 10.0, 12.0]])
    boxes = torch.tensor([[0.0, 1.8, 10.0, 11.8], [0.0, 1.9, 10.0, 11.9]])
    assert match(boxes, torch.tensor([0.9, 0.8]), truth).tolist() == [True, True]
    assert match(boxes, torch.tensor([0.9, 0.8]), truth, 0.9).tolist() == [True, False]


def test_a_perfect_detector_scores_one_and_a_silent_one_zero(rng):
    _, truth = pictures(rng, 5)
    perfect = [(boxes, torch.ones(len(boxes)), labels) for boxes, labels in truth]
    silent = [(boxes[:0], torch.ones(0), labels[:0]) for boxes, labels in truth]
    for points in (None, 11, 101):
        assert mean_average_precision(perfect, truth, threshold=0.95, points=points) == 1
        assert mean_average_precision(silent, truth, points=points) == 0


def test_a_class_that_is_nowhere_does_not_count(rng):
    found, truth = pictures(rng, 5, classes=2)
    ghosts = [
        (boxes.repeat(2, 1), scores.repeat(2), torch.cat([labels, labels + 5]))
        for boxes, scores, labels in found
    ]
    assert mean_average_precision(ghosts, truth) == mean_average_precision(found, truth)


def test_two_boxes_for_one_slot_and_three_for_two_lose_one_each():
    tall, wide = [10.0, 6.0, 14.0, 18.0], [6.0, 10.0, 18.0, 14.0]
    labels = torch.tensor([0, 1, 1])

    def lost(*boxes, anchors=ANCHORS):
        some = torch.tensor(boxes).double()
        return encode(some, labels[: len(boxes)], anchors, size=24, grid=3, classes=2)[1]

    assert lost(tall, wide) == []
    assert lost(tall, tall) == [1]
    assert lost(tall, wide, wide) == [2]
    assert lost(tall, wide, anchors=ANCHORS[:1]) == [1]


def test_rows_are_rows_and_columns_are_columns():
    box = torch.tensor([[17.0, 1.0, 21.0, 13.0]])  # middle (19, 7): third column, first row
    target, _ = encode(box, torch.tensor([1]), ANCHORS.float(), size=24, grid=3, classes=2)
    assert target.nonzero()[:, :3].unique(dim=0).tolist() == [[0, 2, 0]]
    expected = torch.tensor([1.0, 0.375, 0.875, 0.0, 0.0, 0.0, 1.0])
    torch.testing.assert_close(target[0, 2, 0], expected)


def test_empty_slots_pull_at_nothing_but_objectness(rng):
    raw = uniform(rng, 2, 8).requires_grad_()
    target = torch.zeros(2, 8, dtype=torch.float64)
    target[1, [0, 6]] = 1
    (pull,) = torch.autograd.grad(detection_loss(raw, target), raw)
    assert (pull[0] != 0).tolist() == [True] + [False] * 7
    assert (pull[1] != 0).all()


def test_an_untrained_detector_is_nearly_sure_that_nothing_is_there(rng):
    torch.manual_seed(0)
    net = GridDetector(2, ANCHORS, width=8).double()
    read = probabilities(net(uniform(rng, 4, 3, 32, 32)))
    assert read.shape == (4, 8, 8, 2, 7)
    assert 0.001 < read[..., 0].mean() < 0.1
    assert 0.3 < read[..., 1:3].mean() < 0.7


# Gradients


def test_gradients_of_overlap_and_loss(rng):
    first, second = some_boxes(rng, 3), some_boxes(rng, 2)
    assert torch.autograd.gradcheck(iou, (first.requires_grad_(), second.requires_grad_()))
    raw, target = uniform(rng, 4, 7).requires_grad_(), torch.zeros(4, 7, dtype=torch.float64)
    target[2, [0, 3, 6]] = 1
    assert torch.autograd.gradcheck(lambda r: detection_loss(r, target), raw)
    assert detection_loss(raw, torch.zeros_like(raw)).isfinite()


# Refusals


@pytest.mark.parametrize(
    "box", [[3.0, 0.0, 1.0, 2.0], [0.0, 2.0, 4.0, 2.0], [0.0, 0.0, math.nan, 1.0]]
)
def test_a_box_without_inside_is_refused(box):
    good = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    with pytest.raises(ValueError, match="left < right"):
        iou(good, torch.tensor([box]))


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5])
def test_a_threshold_that_means_nothing_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold="):
        suppress(torch.zeros(0, 4), torch.zeros(0), threshold=threshold)


@pytest.mark.parametrize(
    ("box", "label", "message"),
    [
        ([20.0, 0.0, 30.0, 9.0], 0, "24 x 24"),
        ([0.0, -9.0, 5.0, 3.0], 0, "24 x 24"),
        ([0.0, 0.0, 5.0, 3.0], 2, "0..1"),
        ([0.0, 0.0, 5.0, 3.0], -1, "0..1"),
    ],
)
def test_what_the_grid_cannot_hold_is_refused(box, label, message):
    with pytest.raises(ValueError, match=message):
        encode(
            torch.tensor([box]),
            torch.tensor([label]),
            ANCHORS.float(),
            size=24,
            grid=3,
            classes=2,
        )


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="2 right detections of 1 objects"):
        precision_recall(torch.ones(2), torch.tensor([True, True]), 1)
    with pytest.raises(ValueError, match="0 right detections of 0 objects"):
        precision_recall(torch.ones(0), torch.zeros(0, dtype=torch.bool), 0)
    with pytest.raises(ValueError, match="points=1"):
        average_precision(torch.ones(1), torch.ones(1), 1)
    empty = (torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    with pytest.raises(ValueError, match="needs an object"):
        mean_average_precision([], [empty])
    with pytest.raises(ValueError, match="needs an object"):
        mean_average_precision([(empty[0], torch.zeros(0), empty[1])], [empty])


def test_layers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="10 inputs are no 2 square maps"):
        as_convolution(nn.Linear(10, 3), 2)
    with pytest.raises(ValueError, match="classes=0"):
        GridDetector(0, ANCHORS)
    with pytest.raises(ValueError, match="anchors above 0"):
        GridDetector(2, -ANCHORS)
