import copy
import itertools
import math

import pytest
import torch
from torch import nn

from dlnotes.lab import fit


def problem(seed=0, batches=4):
    """Return a small network and batches of a noisy line for it."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batches, 6, 2, generator=generator)
    y = x.sum(-1, keepdim=True) + 0.1 * torch.randn(batches, 6, 1, generator=generator)
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1))
    return model, list(zip(x, y, strict=True))


def squared_error(model, batch):
    x, y = batch
    return ((model(x) - y) ** 2).mean()


def adam(model, lr=0.05):
    return torch.optim.Adam(model.parameters(), lr=lr)


def test_every_step_equals_that_of_a_loop_written_by_hand():
    model, batches = problem()
    twin = copy.deepcopy(model)
    history = fit(model, squared_error, batches, adam(model), epochs=3)

    optimizer, losses = adam(twin), []
    for _ in range(3):
        for batch in batches:
            loss = squared_error(twin, batch)
            gradient = torch.autograd.grad(loss, list(twin.parameters()))
            for parameter, slope in zip(twin.parameters(), gradient, strict=True):
                parameter.grad = slope
            optimizer.step()
            losses.append(loss.item())

    assert history.loss == losses
    assert history.metrics == []
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_gradients_left_from_before_do_not_leak_into_the_first_step():
    model, batches = problem()
    twin = copy.deepcopy(model)
    squared_error(model, batches[0]).backward()
    fit(model, squared_error, batches, adam(model), epochs=1)
    fit(twin, squared_error, batches, adam(twin), epochs=1)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_data_loader_is_gone_through_anew_every_epoch():
    model, batches = problem()
    loader = torch.utils.data.DataLoader(batches, batch_size=None)
    history = fit(model, squared_error, loader, adam(model), epochs=3)
    assert len(history.loss) == 3 * len(batches)


def test_no_epochs_mean_no_change():
    model, batches = problem()
    before = copy.deepcopy(model.state_dict())
    history = fit(model, squared_error, batches, adam(model), epochs=0)
    assert history.loss == history.metrics == []
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_steps_run_in_training_mode_and_evaluation_in_its_own_without_gradients():
    model, batches = problem()
    seen = []

    def loss_of(model, batch):
        seen.append(("step", model.training, torch.is_grad_enabled()))
        return squared_error(model, batch)

    def evaluate(model):
        seen.append(("evaluate", model.training, torch.is_grad_enabled()))
        return {"error": 1.0}

    model.eval()
    fit(model, loss_of, batches[:2], adam(model), epochs=2, evaluate=evaluate)
    epoch = [("step", True, True)] * 2 + [("evaluate", False, False)]
    assert seen == epoch * 2


def test_metrics_are_those_of_the_model_after_each_epoch():
    model, batches = problem()
    twin = copy.deepcopy(model)

    def evaluate(model):
        error = squared_error(model, batches[0]).item()
        return {"error": error, "root": math.sqrt(error)}

    history = fit(model, squared_error, batches, adam(model), epochs=3, evaluate=evaluate)

    expected, optimizer = [], adam(twin)
    for _ in range(3):
        fit(twin, squared_error, batches, optimizer, epochs=1)
        expected.append(evaluate(twin))
    assert history.metrics == expected
    assert history.metric("root") == [row["root"] for row in expected]
    assert not history.stopped_early


@pytest.mark.parametrize(
    ("errors", "patience", "epochs"),
    [
        ([5, 4, 3, 4, 4, 4], 2, 5),  # two epochs without a new minimum
        ([5, 4, 3, 4, 2, 3, 3], 2, 7),  # a new minimum starts the count again
        ([5, 5, 1, 1], 1, 2),  # the same error again is no new minimum
        ([5, 6, 5.5, 5.2, 1], 3, 4),  # better than the last, but not than the best
        ([math.nan, math.nan, 1], 2, 2),  # what is not a number is no minimum
    ],
)
def test_training_stops_after_that_many_epochs_without_a_new_minimum(errors, patience, epochs):
    model, batches = problem()
    script = iter([float(error) for error in errors] + [9.0] * 20)
    downhill = itertools.count(0.0, -1.0)
    history = fit(
        model,
        squared_error,
        batches,
        adam(model),
        epochs=20,
        # Only the first metric counts: by the second, training would never stop.
        evaluate=lambda _: {"error": next(script), "other": next(downhill)},
        patience=patience,
    )
    assert len(history.metrics) == epochs
    assert len(history.loss) == epochs * len(batches)
    assert history.stopped_early


def test_training_that_keeps_improving_uses_all_its_epochs():
    model, batches = problem()
    script = iter([4.0, 3.0, 2.0, 1.0])
    history = fit(
        model,
        squared_error,
        batches,
        adam(model),
        epochs=4,
        evaluate=lambda _: {"error": next(script)},
        patience=1,
    )
    assert history.metric("error") == [4, 3, 2, 1]
    assert not history.stopped_early


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_refused_and_the_model_left_as_it_was(bad):
    model, batches = problem()
    optimizer = adam(model)
    steps = 0
    before = {}

    def loss_of(model, batch):
        nonlocal steps
        steps += 1
        if steps == 6:  # the second step of the second epoch
            before.update(copy.deepcopy(model.state_dict()))
        return squared_error(model, batch) * (bad if steps == 6 else 1)

    with pytest.raises(ValueError, match=f"became {bad} in epoch 1, step 5: try a smaller"):
        fit(model, loss_of, batches, optimizer, epochs=3)
    assert steps == 6
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)
    taken = {int(state["step"]) for state in optimizer.state.values()}
    assert taken == {5}


def test_a_generator_is_refused_before_it_is_touched():
    model, batches = problem()
    stream = (batch for batch in batches)
    with pytest.raises(ValueError, match="spent after one epoch"):
        fit(model, squared_error, stream, adam(model), epochs=2)
    assert len(list(stream)) == len(batches)


def test_an_epoch_without_batches_is_refused():
    model, _ = problem()
    with pytest.raises(ValueError, match="yielded nothing"):
        fit(model, squared_error, [], adam(model), epochs=1)


@pytest.mark.parametrize(("patience", "evaluate"), [(0, lambda _: {"e": 0.0}), (3, None)])
def test_patience_needs_something_to_wait_for(patience, evaluate):
    model, batches = problem()
    with pytest.raises(ValueError, match=f"patience={patience}"):
        fit(
            model,
            squared_error,
            batches,
            adam(model),
            epochs=1,
            evaluate=evaluate,
            patience=patience,
        )
