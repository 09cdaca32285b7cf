"""Replaying a log, against the library that wrote it."""

import numpy as np
import pytest
from arro3.core import Array, Table
from deltalake import DeltaTable, write_deltalake

from dlnotes.engineering.delta_tables import snapshot


def table_of(commits, folder):
    row = Table.from_pydict({"x": Array.from_numpy(np.arange(1))})
    for _ in range(commits):
        write_deltalake(folder, row, mode="append")
    return folder


@pytest.mark.bench(
    peer="deltalake.DeltaTable",
    sizes=[5, 80],
    axis="commits",
    because="memory: the library's own, in Rust, is not seen",
)
def bench_replay(size, race, tmp_path):
    folder = table_of(size, tmp_path)
    race(ours=lambda: snapshot(folder), peer=lambda: DeltaTable(folder).file_uris())


@pytest.mark.bench(peer=None, sizes=[10, 20, 40, 80], axis="commits", growth=1)
def bench_replay_in_length(size, race, tmp_path):
    folder = table_of(size, tmp_path)
    race(ours=lambda: snapshot(folder))
