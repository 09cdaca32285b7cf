import os
from pathlib import Path

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
