"""Reading uploads: a folder, or the zip that a learning platform gives.

They are data, never files that are unpacked under names of their own, and nothing in them runs.
"""

import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import nbformat

from press.files import write_atomically
from press.homework.assignment import HomeworkError
from press.homework.canonical import NotANotebook, parse, pour
from press.homework.course import Course, Student, as_csv, harmless

MAX_BYTES = 20 << 20  # of one upload
MAX_FILES = 10_000
# "Ada Lovelace_4711_assignsubmission_file_": a folder, or what the name of a file begins with.
MOODLE = re.compile(r"(?P<name>.+?)_(?P<number>\d+)_assignsubmission_file_.*")
# "lovelaceada_LATE_4711_90210_answers-2.ipynb": user, submission, a number if handed in again.
CANVAS = re.compile(
    r"(?P<name>[^_/]+)_(?:LATE_)?(?P<number>\d+)_\d+_(?P<file>.*?)(?:-(?P<again>\d+))?\.ipynb"
)


@dataclass
class Entry:
    """One file of an upload."""

    path: str
    read: Callable[[], bytes] | None
    """Reads it when its turn comes, since all of them together may be more than memory holds."""
    problem: str = ""
    time: float = 0.0


class Unreadable(ValueError):
    """A file that is there, and cannot be read."""


@dataclass
class Collected:
    """What became of one file."""

    path: str
    student: str
    outcome: str
    notes: list[str] = field(default_factory=list)


def collect(course: Course, name: str, uploads: Path) -> list[Collected]:
    """Take every student's answers out of ``uploads``; return what became of each file.

    Of several uploads of one student the last one that is a notebook counts.
    """
    release = course.release(name)
    if not release.is_file():
        raise HomeworkError(f"no {release}: build the assignment first")
    released = nbformat.read(release, as_version=4)
    entries = read_zip(uploads) if uploads.is_file() else read_folder(uploads)
    report: list[Collected] = []
    taken: dict[str, Collected] = {}
    people: dict[str, Student] = {}
    for entry, student, _ in sorted(_identified(entries), key=lambda one: one[2]):
        one = Collected(entry.path, student.id if student else "", "skipped")
        report.append(one)
        if student is None or entry.read is None:
            one.notes.append(entry.problem or "its name does not say whose it is")
            continue
        other = people.get(student.id.casefold())
        if other and (other.id, other.name) != (student.id, student.name):
            one.notes.append(f"{student.name!r} and {other.name!r} make the same id: rename one")
            continue
        try:
            data = entry.read()
            notebook, one.notes = pour(released, parse(data))
            text = nbformat.writes(notebook) + "\n"
        except (NotANotebook, Unreadable) as error:
            one.notes.append(str(error))
            continue
        except Exception as error:  # an upload must never end the collecting of the others
            one.notes.append(f"cannot be read: {type(error).__name__}: {str(error)[:100]}")
            continue
        if student.id in taken:
            taken[student.id].outcome = "replaced by a later one"
        taken[student.id], people[student.id.casefold()] = one, student
        one.outcome = "collected"
        write_atomically(course.collected(name) / f"{student.id}.ipynb", data)
        write_atomically(course.answers(name, student.id), text)
    course.add_students({one.id: one for one in people.values()})
    head = ["file", "student", "outcome", "notes"]
    rows = [[harmless(one.path), one.student, one.outcome, "; ".join(one.notes)] for one in report]
    write_atomically(course.collected(name) / "report.csv", as_csv([head, *rows]))
    return report


def read_folder(folder: Path) -> Iterator[Entry]:
    """Yield the files below a folder; links, pipes and what is too large come without data."""
    if not folder.is_dir():
        raise HomeworkError(f"{folder} is neither a folder nor a zip file")
    for number, path in enumerate(sorted(_walk(folder))):
        name = path.relative_to(folder).as_posix()
        if number >= MAX_FILES:
            yield Entry(name, None, f"more than {MAX_FILES} files")
            return
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            yield Entry(name, None, "a link")
        elif not stat.S_ISREG(status.st_mode):
            yield Entry(name, None, "not a file")
        elif status.st_size > MAX_BYTES:
            yield Entry(name, None, _too_large(status.st_size))
        else:
            yield Entry(name, partial(_opened, path), time=status.st_mtime)


def _opened(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Unreadable(f"cannot be opened: {error.strerror}") from None
    with os.fdopen(handle, "rb") as file:
        return file.read(MAX_BYTES)


def read_zip(path: Path) -> Iterator[Entry]:
    """Yield the files of a zip; nothing is unpacked."""
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise HomeworkError(f"{path} is no zip file that can be read: {error}") from None
    for number, info in enumerate(archive.infolist()):  # it closes itself, after the last entry
        name = PurePosixPath(info.filename.replace("\\", "/"))
        if not name.name or info.is_dir() or name.name.startswith("."):
            continue
        if name.parts[0] == "__MACOSX":
            continue
        if number >= MAX_FILES:
            yield Entry(str(name), None, f"more than {MAX_FILES} files")
            return
        if name.is_absolute() or ".." in name.parts:
            yield Entry(str(name), None, "its path leads out of the zip")
        elif stat.S_ISLNK(info.external_attr >> 16):
            yield Entry(str(name), None, "a link")
        elif info.file_size > MAX_BYTES:
            yield Entry(str(name), None, _too_large(info.file_size))
        else:
            year, *rest = info.date_time
            time = float(f"{year:04}{''.join(f'{one:02}' for one in rest)}")
            yield Entry(str(name), partial(_unzipped, archive, info), time=time)


def _unzipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(info) as file:
            data = file.read(MAX_BYTES + 1)  # the size in the header may lie
    except Exception as error:  # encrypted, damaged, or packed in a way Python does not know
        raise Unreadable(f"cannot be unpacked: {error}") from None
    if len(data) > MAX_BYTES:
        raise Unreadable(_too_large(len(data)))
    return data


def _too_large(size: int) -> str:
    return f"{size / 1e6:.0f} MB, more than {MAX_BYTES >> 20} MB"


def _walk(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        yield from (Path(here, one) for one in files if not one.startswith("."))
        yield from (Path(here, one) for one in folders if Path(here, one).is_symlink())


def _identified(
    entries: Iterator[Entry],
) -> Iterator[tuple[Entry, Student | None, tuple[str, int, float, str]]]:
    """Yield each file with whose it is, and what orders the uploads of one student."""
    there = list(entries)
    paths = _unwrapped(there)
    for entry in there:
        student, again = identify(paths[entry.path])
        if not entry.path.lower().endswith(".ipynb") and not entry.problem:
            entry.read, entry.problem = None, "not a notebook: its name does not end in .ipynb"
        yield entry, student, (student.id if student else "", again, entry.time, entry.path)


def identify(path: str) -> tuple[Student | None, int]:
    """Tell from the path of an upload whose it is, and which of several it is.

    Names of Moodle and Canvas are known; otherwise the folder is the student, or the file's name if
    it lies in no folder. What lies in a folder was named by the student and says nothing: it may
    look like the upload of somebody else.
    """
    first, *rest = PurePosixPath(path).parts
    if match := MOODLE.fullmatch(first):
        return _student(match["number"], match["name"].strip(), match["number"]), 0
    if rest:
        return _student(first, first, ""), 0
    if match := CANVAS.fullmatch(first):
        return _student(match["number"], match["name"], match["number"]), int(match["again"] or 0)
    given = PurePosixPath(first).stem
    return _student(given, given, ""), 0


def _unwrapped(entries: list[Entry]) -> dict[str, str]:
    """Return each path without a folder that somebody put around all of them.

    Raises HomeworkError if it cannot be told whether that folder is a student.
    """
    paths = {entry.path: PurePosixPath(entry.path).parts for entry in entries}
    inner = {parts[1:] for parts in paths.values()}
    if len({parts[0] for parts in paths.values()}) > 1 or () in inner or len(paths) < 2:
        return {path: path for path in paths}
    wrapper = next(iter(paths.values()))[0]
    if MOODLE.fullmatch(wrapper):
        return {path: path for path in paths}
    if not all(
        len(parts) > 1 or CANVAS.fullmatch(parts[0]) or MOODLE.fullmatch(parts[0])
        for parts in inner
    ):
        raise HomeworkError(
            f"all {len(paths)} files lie in the folder {wrapper!r}: is that a student? Give the "
            "folder itself, or a zip without it"
        )
    return {path: "/".join(parts[1:]) for path, parts in paths.items()}


def _student(id: str, name: str, number: str) -> Student | None:
    clean = re.sub(r"[^A-Za-z0-9._-]+", "-", id).strip(".-")[:64].rstrip(".-")
    shown = "".join(one if one.isprintable() else "?" for one in name)
    return Student(clean, shown, number) if clean else None
