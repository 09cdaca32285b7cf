"""The Kalman filter, from the product of two Gaussians to a whole track.

Paper: Kalman (1960), A New Approach to Linear Filtering and Prediction Problems,
Theorem 3; in today's letters Särkkä & Svensson (2023), ch. 6.
Chapter: book/estimation_and_matching/kalman_filter.ipynb

Differences from the paper: the sensor's noise has a covariance R of its own (the
paper counts it among the states); a step is split into predict and update; the
covariance is updated in Joseph's form; components of a reading may be missing.

Axes: n state, m reading, c command, t time. Letters: F motion, Q motion noise,
H sensor, R sensor noise, B effect of a command, S covariance of the surprise
(reading minus expected reading).
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class LinearGaussian:
    """A linear world: x' = F x + B u + noise(Q) is read as z = H x + noise(R)."""

    F: Float[np.ndarray, "n n"]
    Q: Float[np.ndarray, "n n"]
    H: Float[np.ndarray, "m n"]
    R: Float[np.ndarray, "m m"]
    B: Float[np.ndarray, "n c"] | None = None

    def __post_init__(self) -> None:
        n, m = len(self.F), len(self.H)
        shapes = {"F": (n, n), "Q": (n, n), "H": (m, n), "R": (m, m)}
        if self.B is not None:
            shapes["B"] = (n, self.B.shape[-1])
        for name, shape in shapes.items():
            if (got := getattr(self, name).shape) != shape:
                raise ValueError(f"{name} should have the shape {shape}, not {got}")
        _refuse_impossible("Q", self.Q)
        _refuse_impossible("R", self.R)


@dataclass(frozen=True)
class Track:
    """What a filter believed just before (prior) and just after each reading."""

    prior_means: Float[np.ndarray, "t n"]
    prior_covs: Float[np.ndarray, "t n n"]
    means: Float[np.ndarray, "t n"]
    covs: Float[np.ndarray, "t n n"]
    gains: Float[np.ndarray, "t n m"]
    nis: Float[np.ndarray, " t"]
    log_likelihood: float


def _refuse_impossible(name: str, cov: Float[np.ndarray, "n n"]) -> None:
    """Raise unless some random vector has this covariance."""
    if not np.isfinite(cov).all() or not np.allclose(cov, cov.T):
        raise ValueError(f"{name} should be finite and symmetric, not {cov.tolist()}")
    if (smallest := np.linalg.eigvalsh(cov)[0]) < -1e-9 * np.abs(cov).max():
        raise ValueError(f"{name} has a negative eigenvalue: {smallest:.3g}")


def gaussian_product(
    mean1: Float[np.ndarray, " n"],
    cov1: Float[np.ndarray, "n n"],
    mean2: Float[np.ndarray, " n"],
    cov2: Float[np.ndarray, "n n"],
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n n"]]:
    """Mean and covariance of the product of two Gaussian densities, normalized."""
    gain = np.linalg.solve(cov1 + cov2, cov1).T  # cov1 (cov1 + cov2)^-1
    return mean1 + gain @ (mean2 - mean1), cov1 - gain @ cov1


def predict(
    mean: Float[np.ndarray, " n"],
    cov: Float[np.ndarray, "n n"],
    model: LinearGaussian,
    command: Float[np.ndarray, " c"] | None = None,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n n"]]:
    """Move a belief one step ahead; a command moves its mean only."""
    mean = model.F @ mean
    if command is not None:
        if model.B is None:
            raise ValueError(f"a model without B cannot obey {command=}")
        mean = mean + model.B @ command
    return mean, model.F @ cov @ model.F.T + model.Q


def update(
    mean: Float[np.ndarray, " n"],
    cov: Float[np.ndarray, "n n"],
    reading: Float[np.ndarray, " m"],
    model: LinearGaussian,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n n"], Float[np.ndarray, "n m"]]:
    """Condition a belief on a reading: new mean, new covariance, gain."""
    S = model.H @ cov @ model.H.T + model.R
    gain = np.linalg.solve(S, model.H @ cov).T  # P H' S^-1: S and P are symmetric
    keep = np.eye(len(mean)) - gain @ model.H
    cov = keep @ cov @ keep.T + gain @ model.R @ gain.T  # Joseph's form of keep @ cov
    return mean + gain @ (reading - model.H @ mean), cov, gain


def update_information(
    mean: Float[np.ndarray, " n"],
    cov: Float[np.ndarray, "n n"],
    reading: Float[np.ndarray, " m"],
    model: LinearGaussian,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n n"]]:
    """Condition by adding precisions; ``cov`` and R have to be invertible."""
    weight = np.linalg.solve(model.R, model.H).T  # H' R^-1
    precision = np.linalg.inv(cov) + weight @ model.H
    evidence = np.linalg.solve(cov, mean) + weight @ reading
    return np.linalg.solve(precision, evidence), np.linalg.inv(precision)


def run_filter(
    model: LinearGaussian,
    readings: Float[np.ndarray, "t m"],
    mean: Float[np.ndarray, " n"],
    cov: Float[np.ndarray, "n n"],
    commands: Float[np.ndarray, "t c"] | None = None,
) -> Track:
    """Predict, then update, once per row of ``readings``; NaN means missing.

    ``mean`` and ``cov`` are the belief one step before the first reading. In the
    track, ``nis`` is the squared surprise in units of S, NaN where nothing was read.
    """
    _refuse_impossible("cov", cov)
    if commands is not None and len(commands) != len(readings):
        raise ValueError(f"{len(commands)} commands for {len(readings)} readings")
    steps, n, m = len(readings), len(mean), len(model.H)
    prior_means, prior_covs = np.empty((steps, n)), np.empty((steps, n, n))
    means, covs = np.empty((steps, n)), np.empty((steps, n, n))
    gains, nis, log_likelihood = np.zeros((steps, n, m)), np.full(steps, np.nan), 0.0
    for t, reading in enumerate(readings):
        command = None if commands is None else commands[t]
        mean, cov = predict(mean, cov, model, command)
        prior_means[t], prior_covs[t] = mean, cov
        seen = ~np.isnan(reading)
        if seen.any():
            part = model
            if not seen.all():
                part = replace(model, H=model.H[seen], R=model.R[np.ix_(seen, seen)])
            nis[t], log_density = surprise(mean, cov, reading[seen], part)
            log_likelihood += log_density
            mean, cov, gains[t][:, seen] = update(mean, cov, reading[seen], part)
        means[t], covs[t] = mean, cov
    return Track(prior_means, prior_covs, means, covs, gains, nis, log_likelihood)


def surprise(
    mean: Float[np.ndarray, " n"],
    cov: Float[np.ndarray, "n n"],
    reading: Float[np.ndarray, " m"],
    model: LinearGaussian,
) -> tuple[float, float]:
    """Squared surprise in units of S, and the log density of the reading."""
    S = model.H @ cov @ model.H.T + model.R
    off = reading - model.H @ mean
    squared = float(off @ np.linalg.solve(S, off))
    log_volume = len(off) * np.log(2 * np.pi) + np.linalg.slogdet(S)[1]
    return squared, float(-0.5 * (squared + log_volume))


def nees(
    means: Float[np.ndarray, "t n"],
    covs: Float[np.ndarray, "t n n"],
    states: Float[np.ndarray, "t n"],
) -> Float[np.ndarray, " t"]:
    """Squared error in units of the claimed covariance: n on average if honest."""
    off = states - means
    scaled = np.linalg.solve(covs, off[..., None])[..., 0]
    squared: Float[np.ndarray, " t"] = np.einsum("tn,tn->t", off, scaled)
    return squared


def constant_velocity(step: float, acceleration_sd: float, sensor_sd: float) -> LinearGaussian:
    """Position and velocity under accelerations held for a step; position is read."""
    if step <= 0 or acceleration_sd < 0 or sensor_sd <= 0:
        raise ValueError(f"impossible: {step=}, {acceleration_sd=}, {sensor_sd=}")
    B = np.array([[step**2 / 2], [step]])
    return LinearGaussian(
        F=np.array([[1.0, step], [0.0, 1.0]]),
        Q=acceleration_sd**2 * B @ B.T,
        H=np.array([[1.0, 0.0]]),
        R=np.array([[sensor_sd**2]]),
        B=B,
    )


def simulate(
    model: LinearGaussian,
    start: Float[np.ndarray, " n"],
    commands: Float[np.ndarray, "t c"],
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "t n"], Float[np.ndarray, "t m"]]:
    """Let the model's world run from ``start``: its states and their readings."""
    if model.B is None:
        raise ValueError("simulate needs a model with B; commands may be zero")
    steps, (m, n) = len(commands), model.H.shape
    pushes = rng.multivariate_normal(np.zeros(n), model.Q, steps, method="svd")
    errors = rng.multivariate_normal(np.zeros(m), model.R, steps, method="svd")
    states, state = np.empty((steps, n)), start
    for t in range(steps):
        state = model.F @ state + model.B @ commands[t] + pushes[t]
        states[t] = state
    return states, states @ model.H.T + errors
