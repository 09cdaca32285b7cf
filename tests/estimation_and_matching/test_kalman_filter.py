"""The Kalman filter against batch conditioning, filterpy, statsmodels and itself."""

import numpy as np
import pytest
import statsmodels.api as sm
from filterpy.kalman import KalmanFilter
from filterpy.stats import mul
from jaxtyping import TypeCheckError
from scipy.integrate import solve_ivp
from scipy.linalg import block_diag, solve_discrete_are
from scipy.stats import chi2, multivariate_normal

from dlnotes.estimation_and_matching.kalman_filter import (
    LinearGaussian,
    constant_velocity,
    gaussian_product,
    nees,
    predict,
    run_filter,
    simulate,
    surprise,
    update,
    update_information,
)


def random_covariance(rng, size):
    root = rng.normal(size=(size, size))
    return root @ root.T + 0.1 * np.eye(size)


def random_world(seed, n=4, m=3, c=2, steps=12):
    """A model without any symmetry to hide behind, with data and a first belief."""
    rng = np.random.default_rng(seed)
    model = LinearGaussian(
        F=0.5 * rng.normal(size=(n, n)),
        Q=random_covariance(rng, n),
        H=rng.normal(size=(m, n)),
        R=random_covariance(rng, m),
        B=rng.normal(size=(n, c)),
    )
    belief = rng.normal(size=n), random_covariance(rng, n)
    return model, rng.normal(size=(steps, m)), rng.normal(size=(steps, c)), belief


def batch_posterior(model, readings, commands, mean, cov):
    """Condition the joint Gaussian of the whole trajectory on all that was read.

    Nothing here is recursive: the states are a linear map of the start and the
    pushes, the readings a linear map of the states. Returns the last state's mean
    and covariance and the log density of the readings.
    """
    steps, n = len(readings), len(mean)
    power = [np.linalg.matrix_power(model.F, k) for k in range(steps + 1)]
    # columns: start, push 1 ... push T; rows: state 1 ... state T
    to_states = np.zeros((steps * n, (steps + 1) * n))
    expected = np.zeros(steps * n)
    for t in range(steps):
        rows = slice(t * n, t * n + n)
        to_states[rows, :n] = power[t + 1]
        expected[rows] = power[t + 1] @ mean
        for j in range(t + 1):
            to_states[rows, (j + 1) * n : (j + 2) * n] = power[t - j]
            expected[rows] += power[t - j] @ model.B @ commands[j]
    joint = to_states @ block_diag(cov, *[model.Q] * steps) @ to_states.T
    seen = ~np.isnan(readings).ravel()
    look = np.kron(np.eye(steps), model.H)[seen]
    noise = np.kron(np.eye(steps), model.R)[np.ix_(seen, seen)]
    spread = look @ joint @ look.T + noise
    off = readings.ravel()[seen] - look @ expected
    gain = np.linalg.solve(spread, look @ joint[:, -n:]).T
    density = multivariate_normal(np.zeros(len(off)), spread).logpdf(off)
    last = joint[-n:, -n:] - gain @ look @ joint[:, -n:]
    return expected[-n:] + gain @ off, last, density


def filterpy_track(model, readings, commands, mean, cov):
    peer = KalmanFilter(len(mean), len(model.H), model.B.shape[1])
    peer.x, peer.P, peer.F, peer.Q = mean[:, None], cov, model.F, model.Q
    peer.H, peer.R, peer.B = model.H, model.R, model.B
    rows = []
    for reading, command in zip(readings, commands, strict=True):
        peer.predict(u=command[:, None])
        prior = peer.x.ravel(), peer.P
        peer.update(None if np.isnan(reading).any() else reading[:, None])
        rows.append((*prior, peer.x.ravel(), peer.P))
    return [np.array(part) for part in zip(*rows, strict=True)]


# ---------------------------------------------------------------- the product


@pytest.mark.oracle("filterpy.stats.mul", of="gaussian_product", tolerance=1e-12)
def test_product_of_two_bells_is_filterpys(agree):
    mean, cov = gaussian_product(
        np.array([1.0]), np.array([[2.0]]), np.array([3.0]), np.array([[4.0]])
    )
    agree([mean[0], cov[0, 0]], mul(1.0, 2.0, 3.0, 4.0))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.oracle("scipy.stats.multivariate_normal", of="gaussian_product", tolerance=1e-9)
def test_product_is_proportional_to_the_product_of_densities(seed, agree):
    rng = np.random.default_rng(seed)
    first = rng.normal(size=3), random_covariance(rng, 3)
    second = rng.normal(size=3), random_covariance(rng, 3)
    points = rng.normal(size=(20, 3))
    logs = [
        multivariate_normal(mean, cov).logpdf(points)
        for mean, cov in (first, second, gaussian_product(*first, *second))
    ]
    missing = logs[0] + logs[1] - logs[2]
    agree(missing, missing[0])


def test_product_is_never_wider_than_either_factor_and_order_is_free():
    rng = np.random.default_rng(0)
    first = rng.normal(size=3), random_covariance(rng, 3)
    second = rng.normal(size=3), random_covariance(rng, 3)
    mean, cov = gaussian_product(*first, *second)
    for other in (first[1], second[1]):
        assert np.linalg.eigvalsh(other - cov)[0] > -1e-12
    back_mean, back_cov = gaussian_product(*second, *first)
    np.testing.assert_allclose(mean, back_mean)
    np.testing.assert_allclose(cov, back_cov)


# ------------------------------------------------------------------ the motion


@pytest.mark.oracle(
    "scipy.integrate.solve_ivp", of=["constant_velocity", "predict"], tolerance=1e-8
)
def test_constant_velocity_is_newton_integrated(agree):
    step, push = 0.7, 1.3
    model = constant_velocity(step, 0.0, 1.0)
    mean, _ = predict(np.array([2.0, -1.0]), np.eye(2), model, np.array([push]))
    exact = solve_ivp(lambda _, state: [state[1], push], (0, step), [2.0, -1.0], rtol=1e-10)
    agree(mean, exact.y[:, -1])


@pytest.mark.oracle("moments of 4,000 simulated runs", of=["simulate", "predict"], tolerance=0.12)
def test_prediction_has_the_moments_of_the_simulated_world(agree):
    rng = np.random.default_rng(0)
    model = constant_velocity(1.5, 0.8, 0.5)
    runs = [simulate(model, np.array([1.0, 2.0]), np.array([[0.4]]), rng) for _ in range(4000)]
    states = np.array([states[0] for states, _ in runs])
    readings = np.array([readings[0] for _, readings in runs])
    mean, cov = predict(np.array([1.0, 2.0]), np.zeros((2, 2)), model, np.array([0.4]))
    agree(states.mean(0), mean)
    agree(np.cov(states.T), cov)
    assert np.std(readings - states[:, :1]) == pytest.approx(0.5, rel=0.1)


# ------------------------------------------------------------------ the update


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.oracle("the gain form of the same update", of="update_information", tolerance=1e-9)
def test_gain_form_and_information_form_agree(seed, agree):
    model, readings, _, (mean, cov) = random_world(seed)
    gain_mean, gain_cov, _ = update(mean, cov, readings[0], model)
    info_mean, info_cov = update_information(mean, cov, readings[0], model)
    agree(gain_mean, info_mean)
    agree(gain_cov, info_cov)


def test_gain_minimizes_the_variance_of_the_error():
    model, readings, _, (mean, cov) = random_world(0)
    _, best, gain = update(mean, cov, readings[0], model)
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = gain + 0.05 * rng.normal(size=gain.shape)
        keep = np.eye(4) - other @ model.H
        spread = keep @ cov @ keep.T + other @ model.R @ other.T
        assert np.linalg.eigvalsh(spread - best)[0] > -1e-12
        assert np.trace(spread) > np.trace(best)


def test_update_with_h_equal_to_identity_is_the_product():
    rng = np.random.default_rng(1)
    mean, cov, reading = rng.normal(size=2), random_covariance(rng, 2), np.ones(2)
    noise = random_covariance(rng, 2)
    model = LinearGaussian(F=np.eye(2), Q=np.eye(2), H=np.eye(2), R=noise)
    product = gaussian_product(mean, cov, reading, noise)
    for ours, theirs in zip(update(mean, cov, reading, model), product, strict=False):
        np.testing.assert_allclose(ours, theirs)


def test_joseph_form_survives_a_vague_start_and_a_sharp_sensor():
    model = LinearGaussian(F=np.eye(1), Q=np.zeros((1, 1)), H=np.eye(1), R=np.array([[1e-6]]))
    _, cov, gain = update(np.zeros(1), np.array([[1e14]]), np.ones(1), model)
    assert (1 - gain) * 1e14 == 0  # what the short form would claim
    assert cov[0, 0] == pytest.approx(1e-6)


# -------------------------------------------------------------- the whole track


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.oracle(
    "conditioning one Gaussian over all steps at once",
    of=["run_filter", "predict", "update", "surprise"],
    tolerance=1e-8,
)
def test_recursion_equals_conditioning_on_everything_at_once(seed, agree):
    model, readings, commands, (mean, cov) = random_world(seed)
    readings[3] = np.nan
    readings[5, 1] = np.nan
    track = run_filter(model, readings, mean, cov, commands)
    batch_mean, batch_cov, density = batch_posterior(model, readings, commands, mean, cov)
    agree(track.means[-1], batch_mean)
    agree(track.covs[-1], batch_cov)
    agree(track.log_likelihood, density)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.oracle("filterpy.kalman.KalmanFilter", of="run_filter", tolerance=1e-9)
def test_track_is_filterpys(seed, agree):
    model, readings, commands, (mean, cov) = random_world(seed)
    readings[4] = np.nan
    track = run_filter(model, readings, mean, cov, commands)
    peer = filterpy_track(model, readings, commands, mean, cov)
    ours = track.prior_means, track.prior_covs, track.means, track.covs
    for mine, theirs in zip(ours, peer, strict=True):
        agree(mine, theirs)


@pytest.mark.oracle("statsmodels.api.tsa.statespace.MLEModel", of="run_filter", tolerance=1e-8)
def test_track_and_likelihood_are_statsmodels(agree):
    model, readings, _, (mean, cov) = random_world(7)
    readings[2] = np.nan
    readings[6, 0] = np.nan
    peer = sm.tsa.statespace.MLEModel(readings, k_states=4, k_posdef=4)
    peer["transition"], peer["state_cov"], peer["selection"] = (
        model.F,
        model.Q,
        np.eye(4),
    )
    peer["design"], peer["obs_cov"] = model.H, model.R
    peer.ssm.initialize_known(*predict(mean, cov, model))
    theirs = peer.ssm.filter()
    track = run_filter(model, readings, mean, cov)
    agree(track.means, theirs.filtered_state.T)
    agree(track.covs, np.moveaxis(theirs.filtered_state_cov, -1, 0))
    agree(track.log_likelihood, theirs.llf)


@pytest.mark.oracle("scipy.linalg.solve_discrete_are", of="run_filter", tolerance=1e-7)
def test_gain_settles_where_the_riccati_equation_says(agree):
    model, commands = constant_velocity(0.5, 0.3, 2.0), np.zeros((300, 1))
    readings = np.zeros((300, 1))
    track = run_filter(model, readings, np.zeros(2), np.eye(2), commands)
    prior = solve_discrete_are(model.F.T, model.H.T, model.Q, model.R)
    agree(track.prior_covs[-1], prior)
    spread = model.H @ prior @ model.H.T + model.R
    agree(track.gains[-1], prior @ model.H.T / spread)


def test_gain_depends_on_the_ratio_of_the_noises_only():
    readings = np.random.default_rng(0).normal(size=(50, 1))
    one = constant_velocity(1.0, 0.3, 2.0)
    big = constant_velocity(1.0, 3.0, 20.0)
    track = run_filter(one, readings, np.zeros(2), np.eye(2))
    scaled = run_filter(big, readings, np.zeros(2), 100 * np.eye(2))
    np.testing.assert_allclose(track.gains, scaled.gains)
    np.testing.assert_allclose(track.means, scaled.means)
    np.testing.assert_allclose(100 * track.covs, scaled.covs)


def test_a_missing_reading_leaves_the_prediction_alone():
    model, readings, commands, (mean, cov) = random_world(2)
    readings[1] = np.nan
    track = run_filter(model, readings, mean, cov, commands)
    np.testing.assert_array_equal(track.means[1], track.prior_means[1])
    np.testing.assert_array_equal(track.covs[1], track.prior_covs[1])
    assert np.isnan(track.nis[1])
    assert not track.gains[1].any()


def test_an_honest_filter_is_consistent():
    """NIS averages to m and NEES to n when the model is the world's own."""
    model, _, _, (mean, cov) = random_world(3)
    commands = np.zeros((60, 2))
    nis, errors = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        states, readings = simulate(model, rng.multivariate_normal(mean, cov), commands, rng)
        track = run_filter(model, readings, mean, cov, commands)
        nis.append(track.nis)
        errors.append(nees(track.means, track.covs, states)[::10])
    runs = np.size(nis)
    low, high = chi2.ppf([0.001, 0.999], 3 * runs) / runs
    assert low < np.mean(nis) < high
    assert np.mean(errors) == pytest.approx(4, rel=0.15)


@pytest.mark.oracle("scipy.stats.multivariate_normal.logpdf", of="surprise", tolerance=1e-9)
def test_surprise_is_the_density_of_the_reading(agree):
    model, readings, _, (mean, cov) = random_world(4)
    squared, log_density = surprise(mean, cov, readings[0], model)
    expected = multivariate_normal(model.H @ mean, model.H @ cov @ model.H.T + model.R)
    agree(log_density, expected.logpdf(readings[0]))
    off = readings[0] - model.H @ mean
    agree(squared, off @ np.linalg.inv(expected.cov) @ off)


@pytest.mark.oracle("a hand calculation", of="nees", tolerance=1e-12)
def test_nees_is_one_for_a_one_sigma_error(agree):
    states = np.array([[2.0, 0.0], [0.0, 3.0]])
    covs = np.array([np.diag([4.0, 9.0])] * 2)
    agree(nees(np.zeros((2, 2)), covs, states), [1.0, 1.0])


# -------------------------------------------------------------------- refusals


def refused(message):
    """Where the shape hook is on, it refuses a wrong shape first."""
    return pytest.raises((ValueError, TypeCheckError), match=f"{message}|Type-check")


def test_models_that_do_not_fit_together_are_refused():
    eye = np.eye(2)
    with refused(r"H should have the shape \(1, 2\)"):
        LinearGaussian(F=eye, Q=eye, H=np.ones((1, 3)), R=np.eye(1))
    with refused(r"B should have the shape \(2, 1\)"):
        LinearGaussian(F=eye, Q=eye, H=np.ones((1, 2)), R=np.eye(1), B=np.ones((3, 1)))


def test_impossible_covariances_are_refused():
    eye = np.eye(2)
    with pytest.raises(ValueError, match="Q has a negative eigenvalue"):
        LinearGaussian(F=eye, Q=-eye, H=eye, R=eye)
    with pytest.raises(ValueError, match="R should be finite and symmetric"):
        LinearGaussian(F=eye, Q=eye, H=eye, R=np.array([[1.0, 0.5], [0.0, 1.0]]))
    model = constant_velocity(1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="cov has a negative eigenvalue"):
        run_filter(model, np.ones((3, 1)), np.zeros(2), np.diag([1.0, -1.0]))


def test_commands_need_a_lever_and_one_per_reading():
    eye = np.eye(2)
    deaf = LinearGaussian(F=eye, Q=eye, H=eye, R=eye)
    with pytest.raises(ValueError, match="without B cannot obey"):
        predict(np.zeros(2), eye, deaf, np.ones(1))
    with pytest.raises(ValueError, match="needs a model with B"):
        simulate(deaf, np.zeros(2), np.ones((3, 1)), np.random.default_rng(0))
    model = constant_velocity(1.0, 1.0, 1.0)
    with refused("2 commands for 3 readings"):
        run_filter(model, np.ones((3, 1)), np.zeros(2), eye, np.ones((2, 1)))


@pytest.mark.parametrize("bad", [(0.0, 1.0, 1.0), (1.0, -1.0, 1.0), (1.0, 1.0, 0.0)])
def test_impossible_vehicles_are_refused(bad):
    with pytest.raises(ValueError, match="impossible"):
        constant_velocity(*bad)
