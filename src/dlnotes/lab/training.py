"""One visible training loop."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm


@dataclass
class History:
    """What `fit` saw: the loss of every step, the metrics after every epoch."""

    loss: list[float] = field(default_factory=list)
    metrics: list[dict[str, float]] = field(default_factory=list)
    stopped_early: bool = False

    def metric(self, name: str) -> list[float]:
        """Return one metric, epoch by epoch."""
        return [row[name] for row in self.metrics]


def fit(
    model: nn.Module,
    loss_of: Callable[[nn.Module, Any], Tensor],
    batches: Iterable[Any],
    optimizer: torch.optim.Optimizer,
    *,
    epochs: int,
    evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
    patience: int | None = None,
) -> History:
    """Minimize ``loss_of(model, batch)`` over ``batches``, ``epochs`` times.

    ``batches`` is iterated anew every epoch (a list or a DataLoader, not a generator). ``evaluate``
    runs after each epoch without gradients, in evaluation mode. With ``patience``, training stops
    after that many epochs in which the first metric, to be minimized, found no new minimum.
    Raises ``ValueError`` for an empty epoch, a generator, patience without metrics, or a loss that
    is no longer finite (the model is left as it was when that loss was computed).
    """
    if patience is not None and (evaluate is None or patience < 1):
        raise ValueError(f"patience must be at least 1 and needs evaluate=, got {patience=}")
    if iter(batches) is batches:
        raise ValueError("batches is a generator, spent after one epoch: pass a list or loader")
    history, best, waited = History(), float("inf"), 0
    for epoch in tqdm(range(epochs), desc="epochs", leave=False):
        model.train()
        steps_before = len(history.loss)
        for batch in batches:
            optimizer.zero_grad()
            loss = loss_of(model, batch)
            if not torch.isfinite(loss):
                raise ValueError(
                    f"the loss became {loss.item()} in epoch {epoch}, step "
                    f"{len(history.loss)}: try a smaller learning rate"
                )
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            history.loss.append(loss.item())
        if len(history.loss) == steps_before:
            raise ValueError("batches yielded nothing")
        if evaluate is not None:
            model.eval()
            with torch.no_grad():
                history.metrics.append(evaluate(model))
        if patience is not None:
            now = next(iter(history.metrics[-1].values()))
            waited = 0 if now < best else waited + 1
            best = min(best, now)
            if waited >= patience:
                history.stopped_early = True
                break
    return history
