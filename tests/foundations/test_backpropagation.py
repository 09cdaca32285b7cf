"""Oracles, properties, gradients and refusals of dlnotes.foundations.backpropagation."""

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from scipy.optimize import approx_fprime
from sklearn.preprocessing import StandardScaler
from torch.nn import functional as F

from dlnotes.foundations.backpropagation import (
    Layer,
    Scale,
    Trace,
    backward,
    cost,
    differences,
    forward,
    initialize,
    measure_scale,
    relative_error,
    standardize,
    update,
)

SIZES, M = (5, 7, 4, 3), 11  # all different: a transposed matrix cannot hide
HIDDEN, OUTPUT = ("tanh", "relu"), ("sigmoid", "softmax", "identity")
LOSS = {
    "sigmoid": lambda Z, Y: F.binary_cross_entropy_with_logits(Z, Y, reduction="sum") / M,
    "softmax": F.cross_entropy,
    "identity": lambda Z, Y: F.mse_loss(Z, Y, reduction="sum") / (2 * M),
}
OUT = {"sigmoid": torch.sigmoid, "softmax": lambda Z: Z.softmax(-1), "identity": lambda Z: Z}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def case(rng, sizes=SIZES, m=M):
    layers = [Layer(W, rng.normal(size=b.shape)) for W, b in initialize(sizes, rng)]
    return layers, rng.normal(size=(sizes[0], m)), rng.dirichlet(np.ones(sizes[-1]), m).T


def twin(layers, X, hidden):
    """Parameters, sums and activations of the same network in PyTorch, examples as rows."""
    parameters = [[torch.tensor(part, requires_grad=True) for part in layer] for layer in layers]
    A, sums, activations = torch.tensor(X.T), [], []
    for W, b in parameters:
        sums.append(F.linear(A, W, b[:, 0]))
        A = getattr(torch, hidden)(sums[-1])
        activations.append(A)
    return parameters, sums, activations


# Oracles


@pytest.mark.oracle("torch.nn.functional.linear", of=["forward", "Trace"], tolerance=1e-12)
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("output", OUTPUT)
def test_forward_agrees_with_pytorch_layer_by_layer(rng, agree, hidden, output):
    layers, X, _ = case(rng)
    trace = forward(layers, X, hidden, output)
    assert isinstance(trace, Trace)
    _, sums, activations = twin(layers, X, hidden)
    activations[-1] = OUT[output](sums[-1])
    agree(trace.A[0], X)
    for ours, theirs in zip(trace.Z + trace.A[1:], sums + activations, strict=True):
        agree(ours, theirs.T)


@pytest.mark.oracle("torch.nn.functional.cross_entropy and its kin", of="cost", tolerance=1e-12)
@pytest.mark.parametrize("output", OUTPUT)
def test_cost_agrees_with_pytorch_also_far_out(rng, agree, output):
    Y = rng.dirichlet(np.ones(3), M).T
    for size in (1, 100):
        Z = size * rng.normal(size=(3, M))
        agree(cost(Z, Y, output), LOSS[output](torch.tensor(Z.T), torch.tensor(Y.T)))


@pytest.mark.oracle("torch.autograd", of=["backward", "Layer"], tolerance=1e-12)
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("output", OUTPUT)
@pytest.mark.parametrize("sizes", [(5, 3), (5, 7, 3), SIZES], ids=["1", "2", "3"])
def test_backward_agrees_with_autograd(rng, agree, hidden, output, sizes):
    layers, X, Y = case(rng, sizes)
    parameters, sums, _ = twin(layers, X, hidden)
    LOSS[output](sums[-1], torch.tensor(Y.T)).backward()
    ours = backward(layers, forward(layers, X, hidden, output), Y, hidden)
    for gradient, theirs in zip(ours, parameters, strict=True):
        for part, parameter in zip(gradient, theirs, strict=True):
            assert part.shape == tuple(parameter.shape)
            agree(part, parameter.grad)


@pytest.mark.oracle("torch.optim.SGD", of="update", tolerance=1e-12)
def test_fifty_steps_are_those_of_sgd(rng, agree):
    layers, X, Y = case(rng)
    parameters, _, _ = twin(layers, X, "tanh")
    flat = [part for layer in parameters for part in layer]
    optimizer = torch.optim.SGD(flat, lr=0.3)
    for _ in range(50):
        gradients = backward(layers, forward(layers, X, output="softmax"), Y)
        layers = update(layers, gradients, 0.3)
        optimizer.zero_grad()
        A = torch.tensor(X)
        for W, b in parameters[:-1]:
            A = torch.tanh(W @ A + b)
        F.cross_entropy((parameters[-1][0] @ A + parameters[-1][1]).T, torch.tensor(Y.T)).backward()
        optimizer.step()
    for ours, theirs in zip([part for layer in layers for part in layer], flat, strict=True):
        agree(ours, theirs)


@pytest.mark.oracle("scipy.optimize.approx_fprime", of="differences", tolerance=1e-6)
def test_differences_agree_with_scipys(rng, agree):
    layers, X, Y = case(rng, (3, 4, 2))

    def of_vector(theta):
        W1, b1, W2, b2 = np.split(theta, [12, 16, 24])
        stack = [Layer(W1.reshape(4, 3), b1[:, None]), Layer(W2.reshape(2, 4), b2[:, None])]
        return cost(forward(stack, X).Z[-1], Y)

    vector = np.concatenate([part.ravel() for layer in layers for part in layer])
    ours = differences(lambda stack: cost(forward(stack, X).Z[-1], Y), layers)
    agree(
        np.concatenate([part.ravel() for layer in ours for part in layer]),
        approx_fprime(vector, of_vector, 1e-8),
    )


@pytest.mark.oracle("torch.nn.init", of="initialize", tolerance=0.02)
@pytest.mark.parametrize("rule", ["xavier", "he"])
def test_drawn_deviations_are_those_of_pytorch(rng, agree, rule):
    theirs = torch.empty(600, 400)
    generator = torch.Generator().manual_seed(0)
    if rule == "xavier":
        torch.nn.init.xavier_normal_(theirs, generator=generator)
    else:
        torch.nn.init.kaiming_normal_(theirs, nonlinearity="relu", generator=generator)
    (layer,) = initialize([400, 600], rng, rule)
    assert layer.W.shape == (600, 400)
    agree(1, layer.W.std() / theirs.std().item())
    agree(layer.W.mean(), 0)
    agree(layer.b, np.zeros((600, 1)))


@pytest.mark.oracle(
    "sklearn.preprocessing.StandardScaler",
    of=["measure_scale", "standardize", "Scale"],
    tolerance=1e-12,
)
def test_scaling_agrees_with_scikit_learn(rng, agree):
    train = rng.normal(3, [[1], [100], [0.01], [1]], size=(4, 50))
    train[3] = 0.1  # constant, and its mean is not exactly 0.1
    test = rng.normal(size=(4, 7))
    test[3] = 0.1
    library, scale = StandardScaler().fit(train.T), measure_scale(train)
    assert isinstance(scale, Scale)
    agree(scale.deviation[:, 0], library.scale_)
    agree(standardize(test, scale), library.transform(test.T).T)


@pytest.mark.oracle("the norms written out", of="relative_error", tolerance=1e-15)
def test_relative_error_is_what_it_says(agree):
    a = [Layer(np.array([[3.0, 4.0]]), np.zeros((1, 1)))]
    b = [Layer(np.array([[3.0, 0.0]]), np.zeros((1, 1)))]
    agree(relative_error(a, b), 4 / (5 + 3))
    agree(relative_error(b, a), 4 / (5 + 3))
    zero = [Layer(np.zeros((1, 2)), np.zeros((1, 1)))]
    agree(relative_error(zero, zero), 0)


# Properties


def test_gradient_of_a_batch_is_the_mean_over_its_examples(rng):
    layers, X, Y = case(rng)
    whole = backward(layers, forward(layers, X), Y)
    total = [Layer(np.zeros_like(W), np.zeros_like(b)) for W, b in layers]
    for k in range(M):
        alone = backward(layers, forward(layers, X[:, [k]]), Y[:, [k]])
        total = [
            Layer(W + dW / M, b + db / M) for (W, b), (dW, db) in zip(total, alone, strict=True)
        ]
    assert relative_error(whole, total) < 1e-14


def test_equal_units_have_equal_gradients(rng):
    _, X, Y = case(rng, (5, 6, 1))
    layers = [Layer(np.full((6, 5), 0.3), np.zeros((6, 1)))]
    layers.append(Layer(np.full((1, 6), 0.3), np.zeros((1, 1))))
    first, second = backward(layers, forward(layers, X), Y)
    np.testing.assert_allclose(first.W, np.repeat(first.W[:1], 6, axis=0), rtol=1e-12)
    np.testing.assert_allclose(second.W, second.W[0, 0], rtol=1e-12)


def test_nothing_is_changed_in_place(rng):
    layers, X, Y = case(rng)
    before = [part.copy() for layer in layers for part in layer]
    gradients = backward(layers, forward(layers, X), Y)
    update(layers, gradients, 0.1)
    differences(lambda stack: cost(forward(stack, X).Z[-1], Y), layers)
    for part, old in zip([part for layer in layers for part in layer], before, strict=True):
        assert (part == old).all()


def test_outputs_of_thousands_are_finite():
    layers = [Layer(np.array([[1.0]]), np.zeros((1, 1)))]
    X = np.array([[-2000.0, 2000.0]])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        trace = forward(layers, X)
        assert cost(trace.Z[-1], np.array([[1.0, 0.0]])) == 2000
        assert backward(layers, trace, np.array([[1.0, 0.0]]))[0].W == 2000
        two = [Layer(np.array([[1.0], [-1.0]]), np.zeros((2, 1)))]
        assert np.isfinite(forward(two, X, output="softmax").A[-1]).all()


def test_relu_has_slope_zero_at_zero():
    layers = [Layer(np.ones((1, 1)), np.zeros((1, 1)))] * 2
    X, Y = np.array([[0.0]]), np.array([[1.0]])
    first, _ = backward(layers, forward(layers, X, "relu"), Y, "relu")
    assert first.b == 0


def test_the_error_of_central_differences_is_of_second_order(rng):
    layers, X, Y = case(rng, (3, 4, 1))
    exact = backward(layers, forward(layers, X), Y)

    def error(h):
        return relative_error(
            differences(lambda stack: cost(forward(stack, X).Z[-1], Y), layers, h), exact
        )

    assert error(1e-2) / error(1e-3) == pytest.approx(100, rel=0.05)


def test_a_standardized_constant_is_zero_and_others_have_unit_deviation(rng):
    X = np.vstack([rng.normal(5, 3, 40), np.full(40, 0.1)])
    Z = standardize(X, measure_scale(X))
    assert Z[0].std() == pytest.approx(1)
    assert np.abs(Z.mean(axis=1)).max() < 1e-14
    assert np.abs(Z[1]).max() < 1e-15


# Refusals


@pytest.mark.parametrize("widths", [(3,), (3, 0, 1)])
def test_widths_must_be_positive(rng, widths):
    with pytest.raises(ValueError, match="two or more positive"):
        initialize(widths, rng)


def test_unknown_names_are_refused(rng):
    layers, X, Y = case(rng)
    with pytest.raises(ValueError, match="rule is xavier or he"):
        initialize((2, 1), rng, "zero")
    with pytest.raises(ValueError, match="hidden='cosine'"):
        forward(layers, X, "cosine")
    with pytest.raises(ValueError, match="hidden='cosine'"):
        backward(layers, forward(layers, X), Y, "cosine")
    with pytest.raises(ValueError, match="output='hinge'"):
        cost(X, X, "hinge")


def test_layers_that_do_not_fit_are_refused_with_their_number(rng):
    (first, second, third), X, _ = case(rng)
    with pytest.raises(ValueError, match="layer 2 has weights"):
        forward([first, third, second], X)
    with pytest.raises(ValueError, match=r"layer 1 .* biases \(7, 7\)"):
        forward([Layer(first.W, np.zeros((7, 7))), second, third], X)


def test_targets_of_another_shape_are_refused(rng):
    layers, X, Y = case(rng)
    with pytest.raises(ValueError, match="targets"):
        backward(layers, forward(layers, X), Y[:2])
    with pytest.raises((ValueError, TypeCheckError), match=r"for sums|Type-check"):
        cost(Y, Y[:, :1])


def test_a_softmax_wants_targets_that_sum_to_one(rng):
    with pytest.raises(ValueError, match="sum to 1"):
        cost(rng.normal(size=(3, M)), np.ones((3, M)), "softmax")


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_the_rate_must_be_positive(rng, rate):
    layers, _, _ = case(rng)
    with pytest.raises(ValueError, match="rate must be positive"):
        update(layers, layers, rate)


def test_the_step_must_be_positive(rng):
    with pytest.raises(ValueError, match="step must be positive"):
        differences(lambda _: 0.0, case(rng)[0], 0.0)


def test_gradients_of_different_shapes_are_not_compared():
    column, flat = np.zeros((3, 1)), np.zeros((3,))
    W = np.zeros((3, 2))
    with pytest.raises(ValueError, match="different shapes"):
        relative_error([Layer(W, column)], [Layer(W, flat)])


def test_a_scale_of_other_inputs_is_refused(rng):
    with pytest.raises(ValueError, match="3 inputs, but the scale is of 4"):
        standardize(rng.normal(size=(3, 5)), measure_scale(rng.normal(size=(4, 5))))
