"""Which device a cell runs on, and why."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def pick_device(request: str = "auto") -> "torch.device":
    """Return the device asked for, or the best one there is, and print which and why.

    ``"auto"`` prefers CUDA, then Apple's MPS, then the CPU. A GPU that is asked for by name but
    absent is replaced by the CPU with a printed reason: no cell fails for want of a GPU.
    Raises ``ValueError`` for a name that PyTorch does not know.
    """
    import torch

    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if request == "auto":
        name = next((kind for kind, there in found.items() if there), "cpu")
        reason = "the first found of cuda, mps, cpu"
    else:
        try:
            wanted = torch.device(request)
        except RuntimeError:
            raise ValueError(
                f'device must be "auto", "cpu", "cuda", "cuda:N" or "mps", not {request!r}'
            ) from None
        missing = not found.get(wanted.type, wanted.type == "cpu") or (
            wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count()
        )
        name = "cpu" if missing else request
        reason = f"{request} is not available here" if missing else "as asked"
    print(f"device: {name} ({reason})")
    return torch.device(name)
