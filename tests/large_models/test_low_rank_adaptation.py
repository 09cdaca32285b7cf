"""The pair of small matrices against peft, against loops, and against its own laws."""

import copy
import os

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from dlnotes.large_models.low_rank_adaptation import (
    LoRALinear,
    adapt,
    adapted_linear,
    adapter_of,
    best_low_rank,
    break_even,
    low_rank_update,
    merge,
    merge_adapters,
    unmerge,
)

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # peft never has to ask its hub here

D, K, R, ALPHA = 7, 5, 3, 6.0


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def matrices() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return noise(D, K, seed=1), noise(R, K, seed=2), noise(D, R, seed=3)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 7), nn.Tanh(), nn.Linear(7, 4)
    ).double()


def stirred(model: nn.Module, seed: int = 4) -> nn.Module:
    """Give every B something to do, as training would."""
    for i, layer in enumerate(m for m in model.modules() if isinstance(m, LoRALinear)):
        layer.B.data = noise(*layer.B.shape, seed=seed + i)
    return model


def peft_twin(model: nn.Module, ours: nn.Module, names: list[str], rank: int, alpha: float):
    """Return peft's version of the same adapted network, with our A and B copied in."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=names)
    theirs = get_peft_model(copy.deepcopy(model), config)
    for name in names:
        layer = theirs.base_model.model.get_submodule(name)
        layer.lora_A["default"].weight.data = ours.get_submodule(name).A.detach().clone()
        layer.lora_B["default"].weight.data = ours.get_submodule(name).B.detach().clone()
    return theirs


@pytest.mark.oracle("peft.LoraConfig", of=["LoRALinear", "adapt", "adapter_of"], tolerance=1e-12)
def test_outputs_and_gradients_are_those_of_peft(agree):
    base = network()
    ours = stirred(adapt(base, ["0", "2"], R, ALPHA))
    theirs = peft_twin(base, ours, ["0", "2"], R, ALPHA)
    x, target = noise(9, 5), noise(9, 4, seed=9)
    for model in (ours, theirs):
        nn.functional.mse_loss(model(x), target).backward()
    agree(ours(x), theirs(x))
    for name in ("0", "2"):
        layer = theirs.base_model.model.get_submodule(name)
        agree(ours.get_submodule(name).A.grad, layer.lora_A["default"].weight.grad)
        agree(ours.get_submodule(name).B.grad, layer.lora_B["default"].weight.grad)
        agree(adapter_of(ours)[f"{name}.B"], layer.lora_B["default"].weight)
        assert ours.get_submodule(name).base.weight.grad is None


@pytest.mark.oracle(
    "peft.PeftModel.merge_and_unload",
    of=["merge", "merge_adapters", "LoRALinear.merged"],
    tolerance=1e-12,
)
def test_the_merged_network_is_the_one_peft_merges(agree):
    base = network()
    ours = stirred(adapt(base, ["0", "4"], 2, ALPHA))
    theirs = peft_twin(base, ours, ["0", "4"], 2, ALPHA).merge_and_unload()
    merged = merge_adapters(ours)
    for ours_, theirs_ in zip(merged.parameters(), theirs.parameters(), strict=True):
        agree(ours_, theirs_)
    first = ours.get_submodule("0")
    agree(merge(first.base.weight, first.A, first.B, ALPHA), theirs[0].weight)
    agree(first.merged().weight, theirs[0].weight)


@pytest.mark.oracle(
    "peft.tuners.lora.Linear.get_delta_weight", of="low_rank_update", tolerance=1e-12
)
def test_the_update_is_the_one_peft_adds(agree):
    base = network()
    ours = stirred(adapt(base, ["2"], R, ALPHA))
    theirs = peft_twin(base, ours, ["2"], R, ALPHA).base_model.model.get_submodule("2")
    layer = ours.get_submodule("2")
    agree(low_rank_update(layer.A, layer.B, ALPHA), theirs.get_delta_weight("default"))


@pytest.mark.oracle("the loops of eq. 3", of=["adapted_linear", "low_rank_update"], tolerance=1e-12)
def test_every_output_is_the_sum_that_equation_three_writes(agree):
    W, A, B = matrices()
    x, bias = noise(4, K), noise(D, seed=8)
    for n in range(4):
        for i in range(D):
            total = bias[i] + sum(W[i, j] * x[n, j] for j in range(K))
            for m in range(R):
                total += ALPHA / R * B[i, m] * sum(A[m, j] * x[n, j] for j in range(K))
            agree(adapted_linear(x, W, A, B, ALPHA, bias)[n, i], total)
    slow = [
        [ALPHA / R * sum(B[i, m] * A[m, j] for m in range(R)) for j in range(K)] for i in range(D)
    ]
    agree(low_rank_update(A, B, ALPHA), torch.tensor(slow))


@pytest.mark.oracle(
    "torch.nn.utils.parametrize", of=["merge", "unmerge", "LoRALinear"], tolerance=1e-12
)
def test_a_parametrized_weight_is_the_merged_weight(agree):
    base = network()[2]

    class Plus(nn.Module):
        def __init__(self, A, B):
            super().__init__()
            self.A, self.B = A, B

        def forward(self, weight):
            return weight + torch.einsum("dr,rk->dk", self.B, self.A) * 2

    layer = LoRALinear(copy.deepcopy(base), R, alpha=2.0 * R)
    layer.B.data = noise(7, R)
    twin = copy.deepcopy(base)
    before = twin.weight.detach().clone()
    parametrize.register_parametrization(twin, "weight", Plus(layer.A, layer.B))
    x = noise(6, 7)
    agree(layer(x), twin(x))
    agree(merge(base.weight, layer.A, layer.B, 2.0 * R), twin.weight)
    agree(unmerge(twin.weight, layer.A, layer.B, 2.0 * R), before)


@pytest.mark.parametrize("rank", [1, 3, 6])
@pytest.mark.oracle("sklearn.decomposition.TruncatedSVD", of="best_low_rank", tolerance=1e-10)
def test_the_best_pair_is_the_truncated_svd(agree, rank):
    from sklearn.decomposition import TruncatedSVD

    matrix = noise(12, 8)
    A, B = best_low_rank(matrix, rank)
    theirs = TruncatedSVD(rank, algorithm="arpack", random_state=0).fit(matrix.numpy())
    agree(B @ A, theirs.inverse_transform(theirs.transform(matrix.numpy())))
    tail = torch.linalg.svdvals(matrix)[rank:].norm()
    agree((matrix - B @ A).norm(), tail)


@pytest.mark.oracle("counting, size by size", of="break_even", tolerance=0)
def test_factors_are_smaller_up_to_the_break_even_rank_and_not_beyond(agree):
    for rows, columns in ((4, 4), (6, 6), (7, 7), (5, 20), (64, 256), (1000, 1000)):
        saved = [rank for rank in range(1, rows + 1) if rank * (rows + columns) < rows * columns]
        edge = break_even(rows, columns)
        agree(len(saved), sum(rank < edge for rank in range(1, rows + 1)))
    for rows, columns, equal in ((6, 6, 3), (5, 20, 4), (1000, 1000, 500)):
        assert equal * (rows + columns) == rows * columns
        agree(break_even(rows, columns), equal)


def test_a_new_pair_changes_no_output_and_no_bit():
    base, x = network(), noise(9, 5)
    before = base(x)
    assert torch.equal(adapt(base, ["0", "2", "4"], 2, 16.0)(x), before)


def test_only_the_pair_learns_and_the_base_is_shared_not_copied():
    base = network()
    model = adapt(base, ["0", "2"], 2, ALPHA)
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    assert names == {"0.A", "0.B", "2.A", "2.B"}
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 2 * (5 + 7 + 7 + 7)
    assert model.get_submodule("0").base.weight is base[0].weight
    assert model[4].weight is base[4].weight
    assert set(adapter_of(model)) == names


def test_the_first_gradient_reaches_b_and_not_a():
    layer = LoRALinear(network()[0], 2, ALPHA)
    layer(noise(8, 5)).square().sum().backward()
    assert layer.A.grad.abs().max() == 0
    assert layer.B.grad.abs().min() > 0


def test_a_layer_on_its_own_freezes_its_base_and_is_not_changed_by_merging():
    layer = stirred(nn.Sequential(LoRALinear(network()[0], 2, ALPHA)))[0]
    before = layer.base.weight.clone()
    plain = layer.merged()
    assert not any(p.requires_grad for p in layer.base.parameters())
    assert torch.equal(layer.base.weight, before)
    assert (plain.weight - before).abs().max() > 0.1


def test_a_starts_gaussian_with_the_variance_that_keeps_its_outputs_near_one():
    layer = LoRALinear(nn.Linear(1000, 50), 40, 1.0, torch.Generator().manual_seed(0))
    fourth = (layer.A.detach() * 1000**0.5).pow(4).mean()
    assert fourth.item() == pytest.approx(3, abs=0.2)  # 1.8 if it were uniform
    assert layer.A.std().item() == pytest.approx(1000**-0.5, rel=0.02)
    assert (layer.A.mean().abs() < 1e-3).item()


def test_the_generator_decides_the_start():
    pairs = [
        adapter_of(adapt(network(), ["2"], 2, 1.0, torch.Generator().manual_seed(seed)))
        for seed in (0, 0, 1)
    ]
    assert torch.equal(pairs[0]["2.A"], pairs[1]["2.A"])
    assert not torch.equal(pairs[0]["2.A"], pairs[2]["2.A"])


def test_the_update_has_at_most_rank_r_and_halves_when_alpha_does():
    _, A, B = matrices()
    assert torch.linalg.matrix_rank(low_rank_update(A, B, ALPHA)) == R
    torch.testing.assert_close(low_rank_update(A, B, 3.0), low_rank_update(A, B, 6.0) / 2)
    doubled = low_rank_update(torch.cat([A, A]), torch.cat([B, B], dim=1), ALPHA)
    torch.testing.assert_close(doubled, low_rank_update(A, B, ALPHA))


def test_merging_leaves_the_adapted_model_as_it_was():
    model, x = stirred(adapt(network(), ["0", "2"], 2, ALPHA)), noise(9, 5)
    before, weight = model(x), model.get_submodule("0").base.weight.clone()
    merged = merge_adapters(model)
    torch.testing.assert_close(merged(x), before, rtol=0, atol=1e-12)
    assert torch.equal(model(x), before)
    assert torch.equal(model.get_submodule("0").base.weight, weight)
    assert not any(isinstance(layer, LoRALinear) for layer in merged.modules())


def test_two_tasks_swap_their_pairs_on_one_base():
    base, x = network(), noise(9, 5)
    one = stirred(adapt(base, ["0", "2"], 2, ALPHA), seed=20)
    two = stirred(adapt(base, ["0", "2"], 2, ALPHA), seed=40)
    said = one(x), two(x)
    kept = adapter_of(one)
    one.load_state_dict(adapter_of(two), strict=False)
    assert torch.equal(one(x), said[1])
    one.load_state_dict(kept, strict=False)
    assert torch.equal(one(x), said[0])


def test_it_can_be_differentiated():
    W, A, B = (t.requires_grad_() for t in matrices())
    x = noise(2, K).requires_grad_()
    assert torch.autograd.gradcheck(lambda *t: adapted_linear(*t, ALPHA), (x, W, A, B))
    zero = torch.zeros(D, R, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *t: adapted_linear(*t, ALPHA), (x, W, A, zero))


def test_the_whole_layer_runs_on_any_leading_axes():
    layer = stirred(nn.Sequential(LoRALinear(network()[0], 2, ALPHA)))
    x = noise(2, 3, 5)
    torch.testing.assert_close(layer(x)[1], layer(x[1]))


@pytest.mark.parametrize("rank", [0, -1, 6])
def test_an_impossible_rank_is_refused(rank):
    with pytest.raises(ValueError, match=rf"between 1 and 5.*rank={rank}"):
        LoRALinear(nn.Linear(5, 7), rank, 1.0)
    with pytest.raises(ValueError, match=rf"between 1 and 5.*rank={rank}"):
        best_low_rank(noise(5, 7), rank)


@pytest.mark.parametrize("alpha", [0.0, -2.0, float("nan")])
def test_a_scale_that_is_not_positive_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha must be positive"):
        LoRALinear(nn.Linear(5, 7), 2, alpha)


def test_a_name_that_no_linear_layer_has_is_refused():
    with pytest.raises(ValueError, match="no linear layer is called 1, q_proj"):
        adapt(network(), ["0", "1", "q_proj"], 2, 1.0)


def test_an_empty_matrix_is_refused():
    with pytest.raises(ValueError, match="rows=0"):
        break_even(0, 5)
