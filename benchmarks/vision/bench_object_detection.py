"""Overlaps and average precision against pycocotools, windows in one pass against the loop."""

import contextlib
import io

import numpy as np
import pycocotools.mask
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import nn

from dlnotes.vision.object_detection import as_convolution, iou, mean_average_precision


def boxes_like(n, size=100.0):
    corner, sides = size * torch.rand(n, 2).double(), 2 + 20 * torch.rand(n, 2).double()
    return torch.cat([corner, corner + sides], dim=1)


def corner_and_size(boxes):
    return torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1).numpy()


@pytest.mark.bench(
    peer="pycocotools.mask.iou",
    sizes=[100, 1000],
    axis="boxes",
    because="ours forms whole tables of corners, step by step; theirs is one loop in C",
)
def bench_iou_forward(size, race):
    first, second = boxes_like(size), boxes_like(size)
    theirs, others, crowd = corner_and_size(first), corner_and_size(second), [0] * size
    race(
        ours=lambda: iou(first, second),
        peer=lambda: pycocotools.mask.iou(theirs, others, crowd),
    )


@pytest.mark.bench(
    peer="pycocotools.cocoeval.COCOeval",
    sizes=[10, 40],
    axis="pictures",
    because="with a dozen boxes per picture, calling PyTorch costs more than the work it does",
)
def bench_mean_average_precision(size, race):
    truth = [(boxes_like(4), torch.randint(2, (4,))) for _ in range(size)]
    found = [(real.repeat(3, 1) + torch.rand(12, 4), torch.rand(12), labels.repeat(3))
             for real, labels in truth]  # fmt: skip
    annotations, results = [], []
    for image, ((real, kinds), (boxes, scores, labels)) in enumerate(
        zip(truth, found, strict=True), 1
    ):
        for box, kind in zip(corner_and_size(real).tolist(), kinds.tolist(), strict=True):
            annotations.append({"id": len(annotations) + 1, "image_id": image, "bbox": box})
            annotations[-1] |= {"category_id": kind + 1, "area": box[2] * box[3], "iscrowd": 0}
        for box, score, label in zip(
            corner_and_size(boxes).tolist(), scores.tolist(), labels.tolist(), strict=True
        ):
            results.append({"image_id": image, "category_id": label + 1, "bbox": box})
            results[-1]["score"] = score
    with contextlib.redirect_stdout(io.StringIO()):
        real = COCO()
        real.dataset = {"images": [{"id": i + 1} for i in range(size)]}
        real.dataset |= {"annotations": annotations, "categories": [{"id": 1}, {"id": 2}]}
        real.createIndex()
        guesses = real.loadRes(results)

    def peer():
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(real, guesses, "bbox")
            evaluation.params.iouThrs = np.array([0.5])
            evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
            evaluation.params.maxDets = [100]
            evaluation.evaluate()
            evaluation.accumulate()
        return evaluation.eval["precision"].mean()

    race(ours=lambda: mean_average_precision(found, truth), peer=peer)


@pytest.mark.bench(peer="the loop over windows", sizes=[32, 64], axis="pixels per side")
def bench_windows(size, race):
    base = nn.Sequential(nn.Conv2d(3, 8, 5), nn.ReLU(), nn.MaxPool2d(2))
    last, picture = nn.Linear(128, 3), torch.rand(1, 3, size, size)
    crop = nn.Sequential(base, nn.Flatten(), last)
    whole = nn.Sequential(base, as_convolution(last, 8))
    steps = range(0, size - 11, 2)

    def loop():
        return torch.cat([crop(picture[..., i : i + 12, j : j + 12]) for i in steps for j in steps])

    race(ours=lambda: whole(picture), peer=loop)
