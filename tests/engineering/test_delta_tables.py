"""The log against the library that wrote it, and against itself."""

import inspect
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from arro3.core import Array, DataType, Table
from deltalake import DeltaTable, QueryBuilder, write_deltalake

from dlnotes.engineering.delta_tables import (
    commit,
    extras,
    installed_megabytes,
    read_log,
    requirements,
    run_without,
    snapshot,
)

BUILT_IN = set(sys.builtin_module_names)  # there before the clock of importtime starts


def numbers(*values):
    return Table.from_pydict({"x": Array.from_numpy(np.array(values, dtype=np.int64))})


def count(folder, version):
    """Count the rows in the files: ``count(*)`` is answered from the log, as ours is."""
    query = QueryBuilder().register("t", DeltaTable(folder, version=version))
    return query.execute("select * from t").read_all().num_rows


@pytest.fixture
def lived(tmp_path):
    """Make a table with a random history of 12 steps."""

    def live(seed):
        rng, folder = np.random.default_rng(seed), tmp_path / "table"
        write_deltalake(folder, numbers(*range(20)))
        for step in range(12):
            table = DeltaTable(folder)
            kind = rng.integers(6)
            if kind == 0:
                write_deltalake(folder, numbers(*rng.integers(0, 50, 5)), mode="overwrite")
            elif kind == 1:
                table.delete(f"x % 7 = {rng.integers(7)}")
            elif kind == 2:
                table.update({"x": "x + 1"}, predicate=f"x > {rng.integers(50)}")
            elif kind == 3:
                table.optimize.compact()
            elif kind == 4 and table.version():
                table.restore(int(rng.integers(table.version())))
            else:
                write_deltalake(folder, numbers(*rng.integers(0, 50, step + 1)), mode="append")
        return folder

    return live


# ------------------------------------------------------------------ oracles


@pytest.mark.oracle(
    "deltalake.DeltaTable.file_uris, and its rows read from the files",
    of=["snapshot", "read_log", "Snapshot.rows"],
    tolerance=0,
)
@pytest.mark.parametrize("seed", range(6))
def test_every_version_has_the_files_that_the_library_lists(lived, seed, agree):
    folder = lived(seed)
    assert len(read_log(folder)) == DeltaTable(folder).version() + 1
    for version in range(len(read_log(folder))):
        ours, theirs = snapshot(folder, version), DeltaTable(folder, version=version)
        assert set(ours.files) == {Path(uri).name for uri in theirs.file_uris()}
        agree(ours.rows, count(folder, version))
    assert snapshot(folder) == ours
    DeltaTable(folder).create_checkpoint()
    assert snapshot(folder) == ours


def test_types_are_those_of_the_librarys_schema(tmp_path):
    table = {"n": np.arange(3, dtype=np.int16), "y": np.zeros(3), "z": np.zeros(3, np.float32)}
    write_deltalake(tmp_path, Table.from_pydict({k: Array.from_numpy(v) for k, v in table.items()}))
    fields = json.loads(DeltaTable(tmp_path).schema().to_json())["fields"]
    assert snapshot(tmp_path).types == {field["name"]: field["type"] for field in fields}
    assert snapshot(tmp_path).types == {"n": "short", "y": "double", "z": "float"}


@pytest.mark.oracle("deltalake.DeltaTable", of="commit", tolerance=0)
def test_the_library_reads_what_was_committed_by_hand(tmp_path, agree):
    source, made = tmp_path / "source", tmp_path / "made"
    write_deltalake(source, numbers(1, 2, 3))
    write_deltalake(source, numbers(4), mode="append")
    first, second = read_log(source)
    made.mkdir()
    for path in source.glob("*.parquet"):
        (made / path.name).write_bytes(path.read_bytes())
    assert commit(made, 0, first).name == "00000000000000000000.json"
    commit(made, 1, second)
    (added,) = (action["add"]["path"] for action in first if "add" in action)
    commit(made, 2, [{"remove": {"path": added, "dataChange": True, "deletionTimestamp": 0}}])
    agree([count(made, version) for version in range(3)], [3, 4, 1])
    write_deltalake(made, numbers(5, 6), mode="append")
    agree(snapshot(made).rows, 3)


@pytest.mark.oracle("pip show", of="requirements", tolerance=0)
@pytest.mark.parametrize("package", ["deltalake", "scikit-learn"])
def test_requirements_are_those_that_pip_shows(package, agree):
    shown, missing = set(), {package}
    while missing:
        shown |= missing
        command = [sys.executable, "-m", "pip", "show", *sorted(missing)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        lines = [line[9:] for line in text.splitlines() if line.startswith("Requires:")]
        assert len(lines) == len(missing)
        names = {name.strip().lower() for line in lines for name in line.split(",")}
        missing = names - shown - {""}
    assert requirements(package) == shown
    agree(len(requirements(package)), len(shown))


@pytest.mark.oracle("the text of the field Requires-Dist", of="extras", tolerance=0)
@pytest.mark.parametrize("package", ["deltalake", "pytest"])
def test_extras_are_the_requirements_that_name_an_extra(package, agree):
    # pytest also has requirements for other systems and older Pythons, which are no extras
    lines = [line for line in metadata.requires(package) if re.search(r";\s*extra\s*==", line)]
    named = {re.match(r"[\w.-]+", line)[0].lower() for line in lines}
    agree(len(extras(package) ^ named), 0)
    assert named


def test_deltalake_wants_pandas_and_pyarrow_for_extras_only():
    assert extras("deltalake") == {"pandas", "pyarrow"}
    assert not extras("deltalake") & requirements("deltalake")
    assert requirements("six") == requirements("Six") == {"six"}


@pytest.mark.oracle(
    "pathlib.Path.rglob over the package's folders", of="installed_megabytes", tolerance=0.02
)
def test_a_package_weighs_what_its_files_weigh(agree):
    place = Path(metadata.distribution("deltalake").locate_file(""))
    folders = [place / "deltalake", *place.glob("deltalake-*.dist-info")]
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    agree(installed_megabytes("deltalake"), sum(path.stat().st_size for path in paths) / 1e6)


@pytest.mark.oracle("python -X importtime", of="run_without", tolerance=0)
def test_a_program_reports_what_it_imported(agree):
    loaded = set(run_without(["pandas"], "import json, colorsys"))
    command = [sys.executable, "-X", "importtime", "-c", "import json, colorsys"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    timed = {line.split("|")[-1].strip() for line in said.splitlines()[1:]}
    timed = {name for name in timed if "." not in name}
    assert {"json", "colorsys"} <= timed
    agree(len(timed - loaded - {"sitecustomize", "usercustomize"}), 0)  # timed where missing, too
    agree(len({name for name in loaded - timed if name[0] != "_"} - BUILT_IN), 0)


# --------------------------------------------------------------- properties


def test_one_writer_wins_each_version(tmp_path):
    def attempt(writer):
        try:
            commit(tmp_path, 0, [{"commitInfo": {"by": writer}}] * 50)
        except FileExistsError:
            return None
        return writer

    with ThreadPoolExecutor(20) as pool:
        (winner,) = (one for one in pool.map(attempt, range(200)) if one is not None)
    (actions,) = read_log(tmp_path)
    assert actions == [{"commitInfo": {"by": winner}}] * 50
    assert [path.name for path in (tmp_path / "_delta_log").iterdir()] == [f"{0:020}.json"]


def test_another_writer_may_come_in_before_any_line(tmp_path):
    def write(folder, who, winners):
        try:
            commit(folder, 0, [{"commitInfo": {"by": who}}])
        except FileExistsError:
            return
        winners.append(who)

    def interrupt(line, folder):
        """Let a quick writer in before one line of a slow writer's commit; return its lines."""
        lines, winners = 0, []

        def watch(frame, event, _):
            nonlocal lines
            if frame.f_code is not inspect.unwrap(commit).__code__:
                return None
            if event == "line":
                if lines == line:
                    write(folder, "the quick one", winners)
                lines += 1
            return watch

        before = sys.gettrace()
        sys.settrace(watch)
        try:
            write(folder, "the slow one", winners)
        finally:
            sys.settrace(before)
        (winner,) = winners
        assert read_log(folder) == [[{"commitInfo": {"by": winner}}]]
        return lines, winner

    last, winner = interrupt(-1, tmp_path / "alone")
    assert last > 5
    assert winner == "the slow one"
    winners = [interrupt(line, tmp_path / str(line))[1] for line in range(last)]
    assert winners[0] == "the quick one"
    assert winners[-1] == "the slow one"


def test_a_commit_that_fails_leaves_nothing(tmp_path, monkeypatch):
    with pytest.raises(TypeError):
        commit(tmp_path, 0, [{"add": object()}])
    monkeypatch.setattr("os.link", Mock(side_effect=OSError("no hard links here")))
    with pytest.raises(OSError, match="no hard links"):
        commit(tmp_path, 0, [])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_value_may_hold_any_of_unicodes_line_ends(tmp_path):
    values = Array(["first\u2028second", "first\u0085second"], type=DataType.string())
    write_deltalake(tmp_path, Table.from_pydict({"text": values}))
    assert snapshot(tmp_path).rows == count(tmp_path, 0) == 2


def test_other_files_of_the_log_are_not_taken_for_commits(tmp_path):
    for version in range(3):
        commit(tmp_path, version, [{"commitInfo": {"version": version}}])
    before = read_log(tmp_path)
    for name in (f"{0:020}.{2:020}.compacted.json", f"{2:020}.checkpoint.80a083e8.json"):
        (tmp_path / "_delta_log" / name).write_text("{}\n")
    assert read_log(tmp_path) == before


def test_within_a_commit_the_order_of_actions_does_not_matter(tmp_path):
    old, new = ({"add": {"path": name, "stats": '{"numRecords": 1}'}} for name in ("old", "new"))
    for folder in (tmp_path / "one", tmp_path / "two"):
        commit(folder, 0, [old])
    actions = [{"remove": {"path": "old"}}, new, old]
    commit(tmp_path / "one", 1, actions)
    commit(tmp_path / "two", 1, actions[::-1])
    assert snapshot(tmp_path / "one").files.keys() == snapshot(tmp_path / "two").files.keys()
    assert snapshot(tmp_path / "one").files.keys() == {"old", "new"}


def test_files_without_a_commit_do_not_count(tmp_path):
    write_deltalake(tmp_path, numbers(1, 2))
    (file,) = tmp_path.glob("*.parquet")
    (tmp_path / "crashed.parquet").write_bytes(file.read_bytes())
    assert snapshot(tmp_path).rows == count(tmp_path, 0) == 2


def test_what_is_forbidden_cannot_be_imported():
    with pytest.raises(RuntimeError, match="import of colorsys halted"):
        run_without(["colorsys"], "import colorsys")


# ---------------------------------------------------------------- refusals


def test_a_folder_without_a_log_is_refused(tmp_path):
    with pytest.raises(ValueError, match="it has none"):
        snapshot(tmp_path)


def test_a_log_with_a_gap_is_refused(tmp_path):
    for version in range(4):
        commit(tmp_path, version, [])
    (tmp_path / "_delta_log" / f"{2:020}.json").unlink()
    with pytest.raises(ValueError, match="without a gap; it has 0, 1, 3"):
        read_log(tmp_path)


@pytest.mark.parametrize("version", [-1, 2])
def test_a_version_that_is_not_there_is_refused(tmp_path, version):
    commit(tmp_path, 0, [])
    commit(tmp_path, 1, [])
    with pytest.raises(ValueError, match=f"has versions 0 to 1, not {version}"):
        snapshot(tmp_path, version)


@pytest.mark.parametrize("version", [-1, 1])
def test_a_commit_that_follows_no_other_is_refused(tmp_path, version):
    with pytest.raises(ValueError, match=f"no version {version - 1} that {version} could follow"):
        commit(tmp_path, version, [])
    assert list(tmp_path.iterdir()) == []


def test_a_table_for_later_readers_is_refused(tmp_path):
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"]}
    commit(tmp_path, 0, [{"protocol": protocol}])
    with pytest.raises(ValueError, match="wants a reader of version 3; this one knows 1"):
        snapshot(tmp_path)


@pytest.mark.parametrize("stats", [{}, {"stats": None}, {"stats": "{}"}])
def test_rows_that_the_log_does_not_count_are_refused(tmp_path, stats):
    commit(tmp_path, 0, [{"add": {"path": "some.parquet", **stats}}])
    now = snapshot(tmp_path)
    with pytest.raises(ValueError, match=r"does not say how many rows some\.parquet has"):
        _ = now.rows


def test_a_program_that_says_nothing_is_reported_by_its_status():
    with pytest.raises(RuntimeError, match="exit status 3"):
        run_without([], "raise SystemExit(3)")


def test_a_package_that_is_not_installed_is_refused():
    for ask in (requirements, installed_megabytes, extras):
        with pytest.raises(metadata.PackageNotFoundError):
            ask("no-such-package")
