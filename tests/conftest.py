import os
from pathlib import Path

import numpy as np
import pytest

from press import book

# One thread each: tests and kernels run side by side, and sums are added in one order.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["TQDM_DISABLE"] = "1"  # progress bars are for people
os.environ.pop("DLNOTES_BAKE", None)
os.environ.pop("DLNOTES_CHECK", None)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root():
    return ROOT


def pytest_generate_tests(metafunc):
    """Run a test that asks for a ``chapter`` once for each chapter of the book."""
    if "chapter" in metafunc.fixturenames:
        chapters = book.written(ROOT)
        metafunc.parametrize("chapter", chapters, ids=[chapter.id for chapter in chapters])


@pytest.fixture
def agree(request):
    """Compare ours with an independent implementation, to the tolerance of the test's marker.

    The marker ``oracle`` names both; the book's page of oracles is made from these markers, so
    what the page says is what the test wants.
    """
    marker = request.node.get_closest_marker("oracle")
    if marker is None:
        pytest.fail("agree compares to the tolerance of @pytest.mark.oracle: the test has none")
    tolerance = marker.kwargs["tolerance"]
    compared = []

    def compare(ours, theirs):
        compared.append(True)
        ours, theirs = _array(ours), _array(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)

    yield compare
    if not compared:
        pytest.fail("the test names an oracle but never called agree(ours, theirs)")


def _array(value):
    """Return an array, also of what carries gradients or lies on a device."""
    detach = getattr(value, "detach", None)
    return np.asarray(value if detach is None else detach().cpu().numpy())


def pytest_collection_modifyitems(items):
    """Refuse a test that names an oracle and does not compare with it."""
    for item in items:
        if item.get_closest_marker("oracle") and "agree" not in item.fixturenames:
            raise pytest.UsageError(f"{item.nodeid} names an oracle: compare with agree(…)")
