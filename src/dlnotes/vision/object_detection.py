"""Detection on a grid: overlap of boxes, suppression, anchors, matching, average precision.

Paper: Redmon and Farhadi (2017), YOLO9000, sec. 2 (cells, anchors, offsets); Lin et al. (2014),
Microsoft COCO, and its evaluation code (matching, average precision); Sermanet et al. (2014),
OverFeat, sec. 3.5 (windows as convolution).
Chapter: book/vision/object_detection.ipynb

Differences from the paper: the objectness is trained toward 1, not toward the overlap of the box;
cross-entropies instead of squares for objectness and class; suppression drops a box whose overlap
equals the threshold; no limit of detections per picture, no ignored objects.

Axes: b pictures, n and m boxes (left, top, right, bottom), s rows and columns of the grid,
a anchors (width, height), f = 5 + classes numbers per slot: objectness, x and y offset in the
cell, logarithms of width and height over the anchor's, one number per class.
"""

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

Found = tuple[Tensor, Tensor, Tensor]  # boxes, scores, labels of one picture
Truth = tuple[Tensor, Tensor]  # boxes, labels of one picture


def to_centers(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """(left, top, right, bottom) to (x, y, width, height) with x, y in the middle."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def to_corners(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """(x, y, width, height) with x, y in the middle to (left, top, right, bottom)."""
    middle, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([middle - half, middle + half], dim=-1)


def iou(first: Float[Tensor, "n 4"], second: Float[Tensor, "m 4"]) -> Float[Tensor, "n m"]:
    """Area of the intersection over area of the union, for all pairs of boxes."""
    for boxes in (first, second):
        if not (boxes[:, 2:] > boxes[:, :2]).all():
            raise ValueError(
                "boxes are (left, top, right, bottom) with left < right and top < bottom: "
                f"{boxes[~(boxes[:, 2:] > boxes[:, :2]).all(1)][0].tolist()}"
            )
    low = torch.maximum(first[:, None, :2], second[None, :, :2])
    high = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (first, second)]
    return shared / (areas[0][:, None] + areas[1][None, :] - shared)


def suppress(
    boxes: Float[Tensor, "n 4"],
    scores: Float[Tensor, " n"],
    labels: Int[Tensor, " n"] | None = None,
    threshold: float = 0.5,
) -> Int[Tensor, " kept"]:
    """Return the boxes that no better kept box overlaps by ``threshold`` or more, best first.

    With ``labels``, boxes of different classes do not suppress each other.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold lies above 0 and not above 1: {threshold=}")
    rival = iou(boxes, boxes) >= threshold
    if labels is not None:
        rival &= labels[:, None] == labels[None, :]
    alive, kept = torch.ones_like(scores, dtype=torch.bool), []
    for best in scores.argsort(descending=True, stable=True).tolist():
        if alive[best]:
            kept.append(best)
            alive &= ~rival[best]
    return torch.tensor(kept, dtype=torch.long, device=boxes.device)


def encode(
    boxes: Float[Tensor, "n 4"],
    labels: Int[Tensor, " n"],
    anchors: Float[Tensor, "a 2"],
    *,
    size: int,
    grid: int,
    classes: int,
) -> tuple[Float[Tensor, "s s a f"], list[int]]:
    """Write each box into the cell of its middle, at the anchor whose shape is most like its own.

    Returns the target and the numbers of the boxes that found their slot taken and are lost.
    """
    x, y, width, height = to_centers(boxes).unbind(-1)
    if ((x < 0) | (y < 0) | (x >= size) | (y >= size)).any():
        raise ValueError(f"the middle of every box lies in the {size} x {size} picture")
    if ((labels < 0) | (labels >= classes)).any():
        raise ValueError(f"labels lie in 0..{classes - 1}: {labels.tolist()}")
    target, lost = boxes.new_zeros(grid, grid, len(anchors), 5 + classes), []
    shapes = torch.stack([width, height], dim=-1)
    corner = torch.zeros_like
    like = iou(torch.cat([corner(shapes), shapes], 1), torch.cat([corner(anchors), anchors], 1))
    across, down = x * grid / size, y * grid / size
    for i, best in enumerate(like.argmax(-1).tolist()):
        slot = target[int(down[i]), int(across[i]), best]
        if slot[0]:
            lost.append(i)
            continue
        slot[:3] = torch.stack([torch.ones_like(x[i]), across[i] % 1, down[i] % 1])
        slot[3:5] = (shapes[i] / anchors[best]).log()
        slot[5 + int(labels[i])] = 1
    return target, lost


def decode(
    slots: Float[Tensor, "s s a f"], anchors: Float[Tensor, "a 2"], *, size: int
) -> tuple[Float[Tensor, "n 4"], Float[Tensor, " n"], Int[Tensor, " n"]]:
    """Read boxes, scores (objectness times class) and labels out of all slots of one picture."""
    grid = len(slots)
    step = torch.arange(grid, dtype=slots.dtype, device=slots.device)
    down, across = torch.meshgrid(step, step, indexing="ij")
    corner = torch.stack([across, down], dim=-1)[:, :, None]
    middle = (corner + slots[..., 1:3]) * size / grid
    boxes = to_corners(torch.cat([middle, anchors * slots[..., 3:5].exp()], dim=-1))
    share, labels = slots[..., 5:].max(-1)
    return boxes.reshape(-1, 4), (slots[..., 0] * share).flatten(), labels.flatten()


def match(
    boxes: Float[Tensor, "n 4"],
    scores: Float[Tensor, " n"],
    truth: Float[Tensor, "m 4"],
    threshold: float = 0.5,
) -> Bool[Tensor, " n"]:
    """Say which boxes are right: best score first, each takes the free true box it fits best."""
    right = torch.zeros_like(scores, dtype=torch.bool)
    overlap = iou(boxes, truth)
    for i in scores.argsort(descending=True, stable=True).tolist():
        if overlap.numel() and overlap[i].max() >= threshold:
            right[i] = True
            overlap[:, overlap[i].argmax()] = -1  # a true box is found once
    return right


def precision_recall(
    scores: Float[Tensor, " n"], right: Bool[Tensor, " n"], truths: int
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Precision and recall of the best 1, 2, … n detections of a class with ``truths`` objects."""
    if truths < 1 or int(right.sum()) > truths:
        raise ValueError(f"{int(right.sum())} right detections of {truths} objects")
    found = right[scores.argsort(descending=True, stable=True)].double().cumsum(0)
    return found / torch.arange(1, len(found) + 1, device=found.device), found / truths


def average_precision(
    precision: Float[Tensor, " n"], recall: Float[Tensor, " n"], points: int | None = None
) -> float:
    """Mean over recall of the best precision still to be had at that recall or a higher one.

    Over all recalls from 0 to 1 (the area, PASCAL VOC since 2010), or over so many equally
    spaced ``points``: 11 (PASCAL VOC 2007) or 101 (COCO).
    """
    if points is not None and points < 2:
        raise ValueError(f"recall 0 and recall 1 are two points already: {points=}")
    ceiling = precision.flip(0).cummax(0).values.flip(0) if len(precision) else precision
    if points is None:
        return float((recall.diff(prepend=recall.new_zeros(1)) * ceiling).sum())
    at = torch.arange(points, dtype=recall.dtype, device=recall.device) / (points - 1)
    first = torch.searchsorted(recall.contiguous(), at)
    return float(torch.cat([ceiling, ceiling.new_zeros(1)])[first].mean())


def mean_average_precision(
    found: Sequence[Found],
    truth: Sequence[Truth],
    *,
    threshold: float = 0.5,
    points: int | None = 101,
) -> float:
    """Mean of the average precision over the classes that occur in ``truth``."""
    if len(found) != len(truth) or not any(len(labels) for _, labels in truth):
        raise ValueError(f"needs an object and one entry per picture: {len(found)}, {len(truth)}")
    total = []
    for label in torch.cat([labels for _, labels in truth]).unique():
        scores, right, truths = [], [], 0
        for (boxes, score, labels), (real, real_labels) in zip(found, truth, strict=True):
            mine, theirs = labels == label, real[real_labels == label]
            scores.append(score[mine])
            right.append(match(boxes[mine], score[mine], theirs, threshold))
            truths += len(theirs)
        curve = precision_recall(torch.cat(scores), torch.cat(right), truths)
        total.append(average_precision(*curve, points))
    return sum(total) / len(total)


def as_convolution(layer: nn.Linear, channels: int) -> nn.Conv2d:
    """Return the convolution that does to every square window what ``layer`` does to one.

    ``layer`` reads a flattened channels x k x k map; so its kernel is k x k.
    """
    k = round((layer.in_features / channels) ** 0.5)
    if channels * k * k != layer.in_features:
        raise ValueError(f"{layer.in_features} inputs are no {channels} square maps")
    same = nn.Conv2d(channels, layer.out_features, k, bias=layer.bias is not None)
    weights = rearrange(layer.weight, "out (c h w) -> out c h w", c=channels, h=k)
    same.load_state_dict({**layer.state_dict(), "weight": weights})
    return same.to(layer.weight)


class GridDetector(nn.Module):
    """A small convolutional net whose last map has one column of numbers per cell of the grid."""

    def __init__(self, classes: int, anchors: Float[Tensor, "a 2"], width: int = 16) -> None:
        super().__init__()
        if classes < 1 or width < 1 or not (anchors > 0).all():
            raise ValueError(f"needs classes, width and anchors above 0: {classes=}, {width=}")
        self.register_buffer("anchors", anchors.clone())
        self.slots, layers, narrow = len(anchors), [], 3
        for wide, pool in [(width, 2), (2 * width, 2), (2 * width, 1), (2 * width, 1)]:
            layers += [nn.Conv2d(narrow, wide, 3, padding=1), nn.BatchNorm2d(wide), nn.ReLU()]
            layers += [nn.MaxPool2d(pool)]
            narrow = wide
        last = nn.Conv2d(narrow, self.slots * (5 + classes), 1)
        # Nearly all slots are empty, so start out saying so.
        last.get_parameter("bias").data.view(self.slots, -1)[:, 0] = -4
        self.layers = nn.Sequential(*layers, last)

    def forward(self, pictures: Float[Tensor, "b 3 h h"]) -> Float[Tensor, "b s s a f"]:
        """Give each slot objectness, offsets (as logits), log sizes and class logits."""
        return rearrange(self.layers(pictures), "b (a f) h w -> b h w a f", a=self.slots)


def probabilities(raw: Float[Tensor, "*b f"]) -> Float[Tensor, "*b f"]:
    """Turn what the network says into what ``encode`` writes and ``decode`` reads."""
    return torch.cat([raw[..., :3].sigmoid(), raw[..., 3:5], raw[..., 5:].softmax(-1)], dim=-1)


def detection_loss(raw: Float[Tensor, "*b f"], target: Float[Tensor, "*b f"]) -> Float[Tensor, ""]:
    """Loss per object: objectness everywhere, box and class only where there is an object."""
    there = target[..., 0] == 1
    objects = there.sum().clamp(min=1)
    objectness = F.binary_cross_entropy_with_logits(raw[..., 0], target[..., 0], reduction="sum")
    box = (probabilities(raw)[there][:, 1:5] - target[there][:, 1:5]).square().sum()
    kind = F.cross_entropy(raw[there][:, 5:], target[there][:, 5:], reduction="sum")
    return (objectness + 5 * box + kind) / objects
