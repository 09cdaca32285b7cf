"""What benchmarks share: the marker ``bench`` spread over sizes and runners, and the ``race``.

``make bench`` runs them and stores ratios for the book's page of oracles; the tests run each once.
"""

import os
import tracemalloc

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import pytest  # noqa: E402
import torch  # noqa: E402
from torch.profiler import ProfilerActivity, profile  # noqa: E402

torch.set_num_threads(1)


def pytest_generate_tests(metafunc):
    """Run a race at each size, by ours and by the peer in turn."""
    if "race" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("bench")
    if marker is None:
        raise pytest.UsageError(f"{metafunc.definition.nodeid}: mark it @pytest.mark.bench(…)")
    runners = ["ours"] if marker.kwargs["peer"] is None else ["ours", "peer"]
    runs = [(size, runner) for size in marker.kwargs["sizes"] for runner in runners]
    metafunc.parametrize(("size", "race"), runs, indirect=["race"])


@pytest.fixture
def race(request, benchmark):
    """Measure ``ours`` or ``peer``, two functions of no arguments that do the same work."""

    def run(**runners):
        function = runners[request.param]
        function()  # what a first call alone does is nobody's cost
        benchmark.extra_info |= {"runner": request.param, "peak": peak_bytes(function)}
        benchmark.extra_info |= request.node.get_closest_marker("bench").kwargs
        benchmark(function)

    torch.manual_seed(0)
    return run


def peak_bytes(function):
    """Return the most that a call holds at once: Python's and NumPy's memory, and torch's.

    What other libraries allocate for themselves is not seen.
    """
    tracemalloc.start()
    kept = function()
    _, python = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
        kept = function()
    del kept
    held = most = 0
    for event in trace.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return python + most
