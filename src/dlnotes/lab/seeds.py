"""One seed for every source of chance."""

import os
import random

import numpy as np


def seed_everything(seed: int, *, threads: int = 1) -> None:
    """Seed Python, NumPy and PyTorch, ask for deterministic algorithms, fix the thread count.

    One thread by default: sums are then added in one order, so that a chapter prints the same
    on every machine, and several chapters can run side by side. Raises ``ValueError`` for a
    seed that NumPy would refuse (it takes 0 to 2**32 - 1) or for less than one thread.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"a seed is an integer from 0 to 2**32 - 1, not {seed!r}")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads!r}")
    # cuBLAS reads this when it starts; without it deterministic mode refuses matrix products.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch  # here, so that `import dlnotes.lab` stays quick

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_num_threads(threads)
