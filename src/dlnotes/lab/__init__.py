"""The bench every chapter stands on: small modules, one idea each, that know no topic."""

from typing import TYPE_CHECKING, Any

from dlnotes.lab import data
from dlnotes.lab.cards import flashcards, quiz
from dlnotes.lab.claims import ClaimFailed, check
from dlnotes.lab.controls import choice, slider
from dlnotes.lab.device import pick_device
from dlnotes.lab.explore import explore
from dlnotes.lab.figures import (
    PALETTE,
    attention_map,
    curves,
    image_grid,
    show,
    use_house_style,
)
from dlnotes.lab.seeds import seed_everything
from dlnotes.lab.source import source
from dlnotes.lab.stored import keep, recall

if TYPE_CHECKING:
    from dlnotes.lab.training import History, fit

__all__ = [
    "PALETTE",
    "ClaimFailed",
    "History",
    "attention_map",
    "check",
    "choice",
    "curves",
    "data",
    "explore",
    "fit",
    "flashcards",
    "image_grid",
    "keep",
    "pick_device",
    "quiz",
    "recall",
    "seed_everything",
    "show",
    "slider",
    "source",
    "use_house_style",
]


def __getattr__(name: str) -> Any:
    """Import the training loop when it is first asked for: PyTorch takes seconds to load."""
    if name in ("History", "fit"):
        from dlnotes.lab import training

        return getattr(training, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
