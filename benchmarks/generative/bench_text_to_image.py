"""Nearest codes and the Gumbel-softmax against library routines."""

import pytest
import torch
from scipy.cluster.vq import vq
from torch.nn import functional as F

from dlnotes.generative.text_to_image import gumbel_softmax, nearest_code


@pytest.mark.bench(
    peer="scipy.cluster.vq.vq",
    sizes=[1024, 16384],
    axis="vectors",
    because="ours holds the distances of all vectors to all codes at once, as the equation "
    "reads; SciPy's compiled loop keeps the best so far of each vector.",
)
def bench_nearest_code(size, race):
    vectors, codes = torch.randn(size, 16), torch.randn(64, 16)
    arrays = vectors.numpy(), codes.numpy()
    race(ours=lambda: nearest_code(vectors, codes), peer=lambda: vq(*arrays))


@pytest.mark.bench(peer="torch.nn.functional.gumbel_softmax", sizes=[1024, 16384], axis="tiles")
def bench_gumbel_softmax_forward(size, race):
    logits = torch.randn(size, 64)
    race(
        ours=lambda: gumbel_softmax(logits, 0.5),
        peer=lambda: F.gumbel_softmax(logits, 0.5),
    )
