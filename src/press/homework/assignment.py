"""An assignment's master notebook: what its tags say, and the notebooks made from it.

Cells of a master carry tags:

``exercise``, ``id=softmax``, ``reread=label``
    A Markdown cell that opens an exercise; ``reread`` is the label of a section of the book.
``answer``, ``id=softmax``
    The student's cell, with the solution between ``### BEGIN SOLUTION`` and ``### END SOLUTION``.
    With ``points=2`` it is graded by hand.
``test``, ``id=softmax-values``, ``points=2``
    Asserts; those between ``### BEGIN HIDDEN TESTS`` and ``### END HIDDEN TESTS`` stay with the
    instructor.
``mutant``, ``of=softmax``, ``exhibit=name``
    A plausible wrong answer that has to lose points; only ``check`` ever sees it.

Every other cell is given to the student as it is, and locked.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from press.book import BookError

SOLUTION = re.compile(r"(?ms)^[ \t]*### BEGIN SOLUTION\n(.*?)^[ \t]*### END SOLUTION[ \t]*\n?")
HIDDEN = re.compile(
    r"(?ms)^[ \t]*### BEGIN HIDDEN TESTS\n(.*?)^[ \t]*### END HIDDEN TESTS[ \t]*\n?"
)
MAGIC = re.compile(r"(?m)^\s*[%!]")
# Also one that is misspelled: what it should hide would reach the students.
MARK = re.compile(r"(?i)#+ *(BEGIN|END) *(SOLUTION|HIDDEN)S?( TESTS?)?")
STUB = "# Your answer\nraise NotImplementedError"
ID = re.compile(r"[a-z][a-z0-9_-]{0,60}")


class HomeworkError(BookError):
    """Something about homework that its user can put right."""


@dataclass(frozen=True)
class Test:
    """One test cell."""

    id: str
    exercise: str
    points: float
    source: str

    @property
    def public(self) -> str:
        """What students see of it."""
        return HIDDEN.sub("", self.source)

    @property
    def whole(self) -> str:
        """All of it, without the marks."""
        return HIDDEN.sub(r"\1", self.source)

    @property
    def hides(self) -> bool:
        """Whether a part of it is hidden."""
        return bool(HIDDEN.search(self.source))


@dataclass(frozen=True)
class Mutant:
    """A wrong answer that has to lose points."""

    name: str
    of: str
    source: str


@dataclass(frozen=True)
class Exercise:
    """A heading and what belongs to it."""

    id: str
    title: str
    reread: str | None
    points: float = 0
    by_hand: float = 0


@dataclass(frozen=True)
class Assignment:
    """A master notebook, read."""

    name: str
    notebook: Any = field(repr=False)
    exercises: tuple[Exercise, ...]
    tests: tuple[Test, ...]
    mutants: tuple[Mutant, ...]
    by_hand: dict[str, float]
    """Answers that somebody has to look at, and their points."""
    owner: dict[str, str]
    """The exercise of each answer."""

    @property
    def points(self) -> float:
        """All points there are."""
        return sum(one.points + one.by_hand for one in self.exercises)

    @property
    def topic(self) -> str | None:
        """The chapter it is on, such as ``attention/self_attention``, if it is on one."""
        metadata = self.notebook.metadata.get("homework")
        topic = metadata.get("topic") if isinstance(metadata, dict) else None
        return topic if isinstance(topic, str) else None


def read_master(path: Path) -> Assignment:
    """Read a master notebook; raise HomeworkError with cell and reason if it is not one."""
    try:
        text = path.read_text("utf8")
    except FileNotFoundError:
        there = ", ".join(sorted(one.stem for one in path.parent.glob("*.ipynb"))) or "none"
        raise HomeworkError(f"no master {path}; there are: {there}") from None
    return parse_master(path.stem, text)


def parse_master(name: str, text: str) -> Assignment:
    """Read the text of a master notebook."""
    import nbformat  # takes a second, which no other command should wait for

    file = f"{name}.ipynb"
    if not ID.fullmatch(name):
        raise HomeworkError(f"{name!r} is no name: small letters, digits, - and _")
    try:
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:
        raise HomeworkError(f"{file} is not a notebook: {str(error)[:200]}") from None
    seen: set[str] = set()
    exercises: dict[str, dict[str, Any]] = {}
    tests, mutants = [], []
    by_hand: dict[str, float] = {}
    owner: dict[str, str] = {}
    for number, cell in enumerate(notebook.cells, start=1):
        kind, values = _tags(cell, f"{file}, cell {number}")
        where = f"{file}, cell {number} ({values.get('id', kind or 'given')})"
        if cell.cell_type == "code":
            _parse(cell.source, where)
        if kind is None:
            if mark := MARK.search(cell.source):
                raise HomeworkError(f"{where}: has {mark[0]!r}, but no tag answer or test")
            continue
        if kind != "mutant":
            _claim(values.get("id"), seen, where)
        if kind == "exercise":
            title = re.sub(r"^#+\s*", "", next(iter(cell.source.strip().splitlines()), ""))
            if not title:
                raise HomeworkError(f"{where}: needs a heading")
            exercises[values["id"]] = {"title": title, "reread": values.get("reread")}
            continue
        if not exercises:
            raise HomeworkError(f"{where}: stands before the first exercise")
        exercise = list(exercises)[-1]
        if kind == "answer":
            if not SOLUTION.search(cell.source) or MARK.search(SOLUTION.sub("", cell.source)):
                raise HomeworkError(
                    f"{where}: needs lines `### BEGIN SOLUTION` and `### END SOLUTION`, in pairs"
                )
            if cell.cell_type != "code" and "points" not in values:
                raise HomeworkError(f"{where}: text is graded by hand: needs a tag points=…")
            owner[values["id"]] = exercise
            if "points" in values:
                by_hand[values["id"]] = _points(values, where)
        elif kind == "test":
            points = _points(values, where)
            test = Test(values["id"], exercise, points, cell.source)
            _parse(test.public, where)
            if MARK.search(test.whole):
                raise HomeworkError(f"{where}: a mark of hidden tests without its partner")
            tests.append(test)
        else:
            if values.get("of") not in owner:
                raise HomeworkError(f"{where}: of= names no answer above it")
            mutants.append(Mutant(values.get("exhibit", where), values["of"], cell.source))
    if not tests and not by_hand:
        raise HomeworkError(f"{file}: nothing in it gives points")
    return Assignment(
        name,
        notebook,
        tuple(
            Exercise(
                id=id,
                title=one["title"],
                reread=one["reread"],
                points=sum(test.points for test in tests if test.exercise == id),
                by_hand=sum(by_hand[answer] for answer in by_hand if owner[answer] == id),
            )
            for id, one in exercises.items()
        ),
        tuple(tests),
        tuple(mutants),
        by_hand,
        owner,
    )


def source_notebook(assignment: Assignment) -> Any:
    """Return the master in nbgrader's format, without mutants: what JupyterLab's toolbar shows."""
    import nbformat  # takes a second, which no other command should wait for

    notebook = nbformat.from_dict(assignment.notebook)
    notebook.cells = [
        _in_format(cell, number)
        for number, cell in enumerate(notebook.cells, start=1)
        if _kind(cell) != "mutant"
    ]
    notebook.metadata.pop("celltoolbar", None)
    nbformat.validate(notebook)
    return notebook


def solutions(assignment: Assignment) -> dict[str, str]:
    """Return the instructor's own answers by id, without the marks."""
    return {
        _tags(cell, "")[1]["id"]: SOLUTION.sub(r"\1", cell.source)
        for cell in assignment.notebook.cells
        if _kind(cell) == "answer"
    }


def secrets(assignment: Assignment) -> dict[str, str]:
    """Return the lines that no student may see, each with the cell it comes from.

    Lines that also stand in something public, such as an import, are no secret.
    """
    public: set[str] = set()
    private: dict[str, str] = {}
    for number, cell in enumerate(assignment.notebook.cells, start=1):
        kind = _kind(cell)
        hidden = {"answer": SOLUTION, "test": HIDDEN}.get(kind or "")
        if kind == "mutant":
            continue
        parts = hidden.findall(cell.source) if hidden else []
        shown = hidden.sub("", cell.source) if hidden else cell.source
        public |= set(_lines(shown))
        private |= dict.fromkeys(_lines("\n".join(parts)), f"cell {number}")
    return {line: cell for line, cell in private.items() if line not in public}


def _lines(source: str) -> Iterator[str]:
    return (line.strip() for line in source.splitlines() if line.strip() not in ("", "else:", ")"))


def _kind(cell: Any) -> str | None:
    kinds = [tag for tag in cell.metadata.get("tags", ()) if tag in _KINDS]
    return kinds[0] if kinds else None


_KINDS = {"exercise": "markdown", "answer": None, "test": "code", "mutant": "code"}
_VALUES = {
    "exercise": {"id", "reread"},
    "answer": {"id", "points"},
    "test": {"id", "points"},
    "mutant": {"of", "exhibit"},
}


def _tags(cell: Any, where: str) -> tuple[str | None, dict[str, str]]:
    tags = cell.metadata.get("tags", ())
    kinds = [tag for tag in tags if tag in _KINDS]
    values = dict(tag.split("=", 1) for tag in tags if "=" in tag)
    if len(kinds) > 1:
        raise HomeworkError(f"{where}: tagged {' and '.join(kinds)}")
    if not kinds:
        if values:
            raise HomeworkError(f"{where}: tagged {', '.join(values)}, but as nothing")
        return None, {}
    (kind,) = kinds
    if _KINDS[kind] and cell.cell_type != _KINDS[kind]:
        raise HomeworkError(f"{where}: tagged {kind}, but not a {_KINDS[kind]} cell")
    if unknown := set(values) - _VALUES[kind]:
        raise HomeworkError(f"{where}: {kind} cells have no {', '.join(sorted(unknown))}")
    return kind, values


def _claim(id: str | None, seen: set[str], where: str) -> None:
    if not id or not ID.fullmatch(id):
        raise HomeworkError(f"{where}: needs a tag id=… of small letters, digits, - and _")
    if id in seen:
        raise HomeworkError(f"{where}: a second cell of this id")
    seen.add(id)


def _points(values: dict[str, str], where: str) -> float:
    try:
        points = float(values["points"])
    except (KeyError, ValueError):
        raise HomeworkError(f"{where}: needs a tag points=… with a number") from None
    if not 0 < points < 1000:
        raise HomeworkError(f"{where}: {points:g} points")
    return points


def _parse(source: str, where: str) -> None:
    try:
        ast.parse(source)
    except SyntaxError as error:
        magic = (
            ": magics such as %matplotlib are for students' cells" if MAGIC.search(source) else ""
        )
        raise HomeworkError(f"{where}: line {error.lineno}: {error.msg}{magic}") from None


def _in_format(cell: Any, number: int) -> Any:
    """Return the cell with nbgrader's metadata in place of our tags."""
    kind, values = _tags(cell, f"cell {number}")
    answer, test = kind == "answer", kind == "test"
    by_hand = answer and "points" in values
    grader = {
        "schema_version": 3,
        "grade_id": values.get("id", f"given-{number}"),
        "solution": answer,
        "grade": test or by_hand,
        "locked": not answer,
        "task": False,
    }
    if test or by_hand:
        grader["points"] = _points(values, f"cell {number}")
    if kind is not None:
        plain = [tag for tag in cell.metadata.tags if tag != kind and "=" not in tag]
        del cell.metadata["tags"]
        if plain:
            cell.metadata.tags = plain
    cell.metadata.nbgrader = grader
    if cell.cell_type == "code":
        cell.update(outputs=[], execution_count=None)
    return cell
