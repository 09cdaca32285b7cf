import pytest
import torch

from dlnotes.lab import pick_device


def pretend(monkeypatch, *, cuda=0, mps=False):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("machine", "request_", "chosen"),
    [
        ({}, "auto", "cpu"),
        ({"mps": True}, "auto", "mps"),
        ({"cuda": 1}, "auto", "cuda"),
        ({"cuda": 1, "mps": True}, "auto", "cuda"),
        ({"cuda": 1}, "cpu", "cpu"),
        ({"cuda": 1}, "cuda", "cuda"),
        ({"cuda": 2}, "cuda:1", "cuda:1"),
        ({"mps": True}, "mps", "mps"),
    ],
)
def test_auto_prefers_cuda_then_mps_then_cpu_and_a_name_is_obeyed(
    monkeypatch, capsys, machine, request_, chosen
):
    pretend(monkeypatch, **machine)
    assert pick_device(request_) == torch.device(chosen)
    reason = "the first found of cuda, mps, cpu" if request_ == "auto" else "as asked"
    assert capsys.readouterr().out == f"device: {chosen} ({reason})\n"


@pytest.mark.parametrize(
    ("machine", "request_"),
    [
        ({}, "cuda"),
        ({}, "mps"),
        ({"mps": True}, "cuda"),
        ({"cuda": 1}, "mps"),
        ({"cuda": 1}, "cuda:1"),
        ({"cuda": 1}, "meta"),
    ],
)
def test_an_absent_gpu_is_replaced_by_the_cpu_with_a_printed_reason(
    monkeypatch, capsys, machine, request_
):
    pretend(monkeypatch, **machine)
    assert pick_device(request_) == torch.device("cpu")
    assert capsys.readouterr().out == f"device: cpu ({request_} is not available here)\n"


def test_the_device_is_auto_unless_said_otherwise_and_works(capsys):
    device = pick_device()
    assert torch.ones(2, device=device).sum().item() == 2
    assert capsys.readouterr().out.startswith(f"device: {device.type} (")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:first"])
def test_a_name_that_torch_does_not_know_is_refused(capsys, name):
    with pytest.raises(ValueError, match=f'"auto", "cpu".*not {name!r}'):
        pick_device(name)
    assert capsys.readouterr().out == ""
