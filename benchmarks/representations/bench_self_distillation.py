"""The loss, the moving average and the probe of self-distillation, against libraries."""

import copy

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dlnotes.representations.self_distillation import dino_loss, nearest_neighbors, update_teacher


@pytest.mark.bench(
    peer="torch.nn.functional.cross_entropy", sizes=[64, 1024], axis="outputs", because=""
)
def bench_dino_loss_backward(size, race):
    student = torch.randn(4, 64, size, requires_grad=True)
    targets = torch.randn(2, 64, size).softmax(-1)
    pairs = [(g, v) for g in range(2) for v in range(4) if v != g]

    def pair_by_pair():
        terms = [F.cross_entropy(student[v] / 0.1, targets[g]) for g, v in pairs]
        return torch.autograd.grad(sum(terms) / len(terms), student)

    race(ours=lambda: torch.autograd.grad(dino_loss(student, targets), student), peer=pair_by_pair)


@pytest.mark.bench(
    peer="torch.optim.swa_utils.AveragedModel", sizes=[64, 512], axis="width", because=""
)
def bench_update_teacher(size, race):
    student = nn.Sequential(*(nn.Linear(size, size) for _ in range(4)))
    teacher = copy.deepcopy(student)
    theirs = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(0.99))
    race(
        ours=lambda: update_teacher(teacher, student, 0.99),
        peer=lambda: theirs.update_parameters(student),
    )


@pytest.mark.bench(
    peer="sklearn.neighbors.KNeighborsClassifier", sizes=[500, 4000], axis="stored", because=""
)
def bench_nearest_neighbors(size, race):
    stored, labels, queries = torch.randn(size, 32), torch.randint(8, (size,)), torch.randn(200, 32)
    theirs = KNeighborsClassifier(20, metric="cosine", algorithm="brute")
    theirs.fit(stored.numpy(), labels.numpy())
    race(
        ours=lambda: nearest_neighbors(stored, labels, queries),
        peer=lambda: theirs.predict(queries.numpy()),
    )
