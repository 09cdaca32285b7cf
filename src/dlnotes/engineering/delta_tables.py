"""The log that makes a folder of Parquet files a table, and what installing a package weighs.

Paper: Armbrust et al. (2020), Delta Lake, sec. 3.1 (the log), 3.2.2 (commits), 4.1 (time travel).
Chapter: book/engineering/delta_tables.ipynb

Differences from the paper: only the JSON log is read, no checkpoints, and only tables that ask for
a reader of version 1 (so no deletion vectors, no renamed columns); a commit takes its turn by a
hard link whose name must be free, on a local disk instead of an object store. Rows stay in their
Parquet files: reading those is the library's business.

Axes: none. Versions count from 0.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

Action = Mapping[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """A table as of one version: the files that count, with their `add` actions, and the types.

    Files go by the path that the log gives them, which is percent-encoded.
    """

    version: int
    files: dict[str, Action]
    types: dict[str, str]

    @property
    def rows(self) -> int:
        """How many rows it has, by the counts in the log; ``ValueError`` if one is missing."""
        total = 0
        for path, add in self.files.items():
            count = json.loads(add.get("stats") or "{}").get("numRecords")
            if count is None:
                raise ValueError(f"the log does not say how many rows {path} has")
            total += count
        return total


def read_log(folder: str | Path) -> list[list[Action]]:
    """Return the actions of every commit, in order; raise ``ValueError`` if the log has a gap."""
    commits = sorted(Path(folder, "_delta_log").glob("[0-9]" * 20 + ".json"))
    versions = [int(path.stem) for path in commits]
    if not versions or versions != list(range(len(versions))):
        there = ", ".join(map(str, versions)) or "none"
        raise ValueError(f"{folder} needs its commits from 0 on without a gap; it has {there}")
    texts = (path.read_text("utf8") for path in commits)
    # not splitlines: a value may hold U+2028 or another of Unicode's line ends as it is
    return [[json.loads(line) for line in text.split("\n") if line] for text in texts]


def snapshot(folder: str | Path, version: int | None = None) -> Snapshot:
    """Replay the log up to ``version``, or all of it: what was added and not removed since.

    Refuses with ``ValueError`` a table whose ``protocol`` wants a reader of a later version than 1:
    there, an ``add`` may mean less than its whole file.
    """
    log = read_log(folder)
    last = len(log) - 1
    version = last if version is None else version
    if not 0 <= version <= last:
        raise ValueError(f"{folder} has versions 0 to {last}, not {version}")
    files: dict[str, Action] = {}
    types: dict[str, str] = {}
    for actions in log[: version + 1]:
        for protocol in _all("protocol", actions):
            if (needed := protocol["minReaderVersion"]) > 1:
                raise ValueError(f"{folder} wants a reader of version {needed}; this one knows 1")
        for table in _all("metaData", actions):
            fields = json.loads(table["schemaString"])["fields"]
            types = {field["name"]: str(field["type"]) for field in fields}
        for remove in _all("remove", actions):
            files.pop(remove["path"], None)
        for add in _all("add", actions):
            files[add["path"]] = add
    return Snapshot(version, files, types)


def _all(kind: str, actions: Iterable[Action]) -> list[Action]:
    return [action[kind] for action in actions if kind in action]


def commit(folder: str | Path, version: int, actions: Iterable[Action]) -> Path:
    """Make ``actions`` version ``version`` of the table, if nobody else made that version yet.

    The file appears whole or not at all. Raises ``FileExistsError`` if another writer came first:
    look at what it did, then try again with the next version. Needs a file system with hard links
    (those of Linux, macOS and Windows have them; FAT and exFAT do not).
    """
    log = Path(folder, "_delta_log")
    if version < 0 or (version and not (log / f"{version - 1:020}.json").exists()):
        raise ValueError(f"{folder} has no version {version - 1} that {version} could follow")
    text = "".join(json.dumps(action) + "\n" for action in actions)
    log.mkdir(parents=True, exist_ok=True)
    path = log / f"{version:020}.json"
    draft = log / f".{version:020}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        draft.write_text(text, "utf8", newline="\n")
        os.link(draft, path)  # a second name for the draft, refused if the name is taken
    except FileExistsError:
        raise FileExistsError(f"version {version} of {folder} was made by another writer") from None
    finally:
        draft.unlink(missing_ok=True)
    return path


def requirements(package: str) -> set[str]:
    """Return the distributions that installing ``package`` brings, itself included, extras not."""
    found: set[str] = set()
    missing = [str(canonicalize_name(package))]
    while missing:
        name = missing.pop()
        if name in found:
            continue
        found.add(name)
        for text in metadata.requires(name) or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                missing.append(str(canonicalize_name(needed.name)))
    return found


def extras(package: str) -> set[str]:
    """Return the distributions that ``package`` wants only for extras, asked for by name."""
    names = metadata.metadata(package).get_all("Provides-Extra") or []
    return {
        str(canonicalize_name(needed.name))
        for needed in map(Requirement, metadata.requires(package) or ())
        if (marker := needed.marker) is not None
        and not marker.evaluate({"extra": ""})
        and any(marker.evaluate({"extra": name}) for name in names)
    }


def installed_megabytes(package: str) -> float:
    """Return what the files of one installed distribution weigh, in megabytes of 10^6 bytes."""
    paths = (file.locate() for file in metadata.files(package) or ())
    return sum(os.path.getsize(path) for path in paths if os.path.isfile(path)) / 1e6


def run_without(forbidden: Sequence[str], code: str) -> list[str]:
    """Run ``code`` in a fresh Python that cannot import ``forbidden``; return what it imported.

    The names are those of top-level modules. Raises ``RuntimeError`` with the error if it fails.
    """
    block = f"import sys; sys.modules.update(dict.fromkeys({list(forbidden)!r}))"
    report = "print('\\n' + ' '.join(n for n, m in sys.modules.items() if m and '.' not in n))"
    command = [sys.executable, "-c", f"{block}\n{code}\n{report}"]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    if result.returncode:
        said = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
        raise RuntimeError(f"the program failed: {said[-1]}")
    return sorted(result.stdout.splitlines()[-1].split())
