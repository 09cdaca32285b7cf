"""An adapted linear layer against the one of peft, at the same rank and scale."""

import os

import pytest
import torch
from torch import nn

from dlnotes.large_models.low_rank_adaptation import LoRALinear

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def twins(width):
    """Return our layer, peft's with the same weights, and a batch."""
    from peft import LoraConfig, get_peft_model

    base = nn.Linear(width, width)
    ours = LoRALinear(base, rank=8, alpha=16.0)
    wrapped = get_peft_model(
        nn.Sequential(base), LoraConfig(r=8, lora_alpha=16, target_modules=["0"])
    )
    theirs = wrapped.base_model.model[0]
    theirs.lora_A["default"].weight.data.copy_(ours.A)
    return ours, theirs, torch.randn(64, width, requires_grad=True)


@pytest.mark.bench(peer="peft.tuners.lora.Linear", sizes=[256, 1024], axis="width")
def bench_lora_linear_forward(size, race):
    ours, theirs, x = twins(size)
    race(ours=lambda: ours(x), peer=lambda: theirs(x))


@pytest.mark.bench(peer="peft.tuners.lora.Linear", sizes=[256, 1024], axis="width")
def bench_lora_linear_backward(size, race):
    ours, theirs, x = twins(size)
    A, B = theirs.lora_A["default"].weight, theirs.lora_B["default"].weight
    race(
        ours=lambda: torch.autograd.grad(ours(x).sum(), (x, ours.A, ours.B)),
        peer=lambda: torch.autograd.grad(theirs(x).sum(), (x, A, B)),
    )
