"""A track of a vehicle in two dimensions, filtered by ours and by filterpy."""

import numpy as np
import pytest
from filterpy.kalman import KalmanFilter

from dlnotes.estimation_and_matching.kalman_filter import constant_velocity, run_filter


def plane():
    """Return a model of four numbers, position and velocity along two axes, two of them read."""
    line = constant_velocity(step=1.0, acceleration_sd=0.1, sensor_sd=1.0)
    both = np.eye(2)
    return type(line)(
        F=np.kron(both, line.F),
        H=np.kron(both, line.H),
        Q=np.kron(both, line.Q),
        R=np.kron(both, line.R),
    )


def filterpys(model, readings):
    peer = KalmanFilter(4, 2)
    peer.F, peer.H, peer.Q, peer.R = model.F, model.H, model.Q, model.R
    means, covs = [], []
    for reading in readings:
        peer.predict()
        peer.update(reading)
        means.append(peer.x)
        covs.append(peer.P)
    return means, covs


@pytest.mark.bench(
    peer="filterpy.kalman.KalmanFilter",
    sizes=[200, 2000],
    axis="readings",
    because="ours also keeps predictions, gains and the likelihood of every step",
)
def bench_track(size, race):
    model = plane()
    readings = np.random.default_rng(0).normal(size=(size, 2))
    mean, cov = np.zeros(4), np.eye(4)
    race(
        ours=lambda: run_filter(model, readings, mean, cov),
        peer=lambda: filterpys(model, readings),
    )


@pytest.mark.bench(peer=None, sizes=[250, 500, 1000, 2000], axis="readings", growth=1)
def bench_track_in_length(size, race):
    model = plane()
    readings = np.random.default_rng(0).normal(size=(size, 2))
    race(ours=lambda: run_filter(model, readings, np.zeros(4), np.eye(4)))
