"""Scaled dot-product attention and the layer around it, against PyTorch's own."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dlnotes.attention.self_attention import SelfAttention, attend

WEIGHTS = "ours returns the weights; PyTorch's kernel never forms that table"


def rows(length, requires_grad=False):
    return [torch.randn(1, 4, length, 32, requires_grad=requires_grad) for _ in range(3)]


@pytest.mark.bench(
    peer="torch.nn.functional.scaled_dot_product_attention",
    sizes=[256, 1024],
    axis="tokens",
    because=WEIGHTS,
)
def bench_attend_forward(size, race):
    query, key, value = rows(size)
    race(
        ours=lambda: attend(query, key, value)[0],
        peer=lambda: F.scaled_dot_product_attention(query, key, value),
    )


@pytest.mark.bench(
    peer="torch.nn.functional.scaled_dot_product_attention",
    sizes=[256, 1024],
    axis="tokens",
    because=WEIGHTS,
)
def bench_attend_backward(size, race):
    inputs = rows(size, requires_grad=True)
    race(
        ours=lambda: torch.autograd.grad(attend(*inputs)[0].sum(), inputs),
        peer=lambda: torch.autograd.grad(F.scaled_dot_product_attention(*inputs).sum(), inputs),
    )


@pytest.mark.bench(peer="torch.nn.MultiheadAttention", sizes=[256, 1024], axis="tokens", because="")
def bench_layer_with_weights_backward(size, race):
    x = torch.randn(1, size, 128)
    ours = SelfAttention(128)
    peer = nn.MultiheadAttention(128, 1, bias=False, batch_first=True)
    race(
        ours=lambda: ours(x, x)[0].sum().backward(),
        peer=lambda: peer(x, x, x, need_weights=True)[0].sum().backward(),
    )


@pytest.mark.bench(peer=None, sizes=[256, 512, 1024, 2048], axis="tokens", growth=2)
def bench_attention_in_length(size, race):
    query, key, value = rows(size)
    race(ours=lambda: attend(query, key, value))
