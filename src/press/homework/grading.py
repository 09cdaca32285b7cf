"""Grading one submission: the student's cells run in a box, the tests here.

A test is the instructor's code and runs unchanged in this process; the names that the solution
defines stand for what the student defined in the box. Public parts of all tests run first, before
the box has seen any hidden input, so what they say can be shown to the student. Hidden parts
follow, and nothing they say is for students.
"""

import ast
import base64
import builtins
import contextlib
import io
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

from press.homework import testing
from press.homework.assignment import Assignment, Test
from press.homework.box import Box, BoxDied, StudentError, from_box, to_box
from press.homework.sandbox import Limits

MESSAGE = 600  # characters
MAX_PICTURE = 3 << 20  # bytes
HIDDEN_MESSAGE = "a hidden test failed"


@dataclass
class Result:
    """What grading one submission found."""

    scores: dict[str, float] = field(default_factory=dict)
    """Points of each test."""
    messages: dict[str, str] = field(default_factory=dict)
    """For the student: why a test failed."""
    private: dict[str, str] = field(default_factory=dict)
    """For the instructor: what a hidden part said."""
    cell_errors: dict[str, str] = field(default_factory=dict)
    """What cells raised when they ran."""
    pictures: dict[str, list[str]] = field(default_factory=dict)
    """Figures of answers that are graded by hand: PNG, base64."""
    printed: str = ""
    restarts: int = 0
    seconds: float = 0.0
    safe: bool = True
    error: str | None = None
    """Why there is no score, if there is none."""

    def data(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def grade(assignment: Assignment, submission: Any, limits: Limits, safe: bool = True) -> Result:
    """Grade a submission that was poured into the released notebook (``canonical.pour``)."""
    start = time.monotonic()
    run = _Run(assignment, submission, limits, safe)
    try:
        run.all_tests()
    finally:
        run.stop()
    run.result.seconds = round(time.monotonic() - start, 2)
    return run.result


class _Names(dict[str, Any]):
    """The names of a test: its own, the setup's, and the student's, fetched when used."""

    def __init__(self, names: dict[str, Any], run: "_Run") -> None:
        super().__init__(names)
        self.run = run

    def __missing__(self, name: str) -> Any:
        if name not in self.run.exports:
            raise KeyError(name)
        try:
            return self.run.get(name)
        except KeyError as error:  # to Python it would mean: look for a builtin of this name
            raise StudentError(f"{name} cannot be had: {error}") from None


class _Run:
    def __init__(self, assignment: Assignment, submission: Any, limits: Limits, safe: bool) -> None:
        self.assignment, self.limits, self.safe = assignment, limits, safe
        self.end = time.monotonic() + limits.submission_seconds
        self.result = Result(safe=safe)
        self.box: Box | None = None
        self.guilty: set[str] = set()  # cells that killed a box
        self.killers: set[str] = set()  # exercises whose tests did
        self.exports, self.setup = _public_names(assignment)
        self.cells = _cells(assignment, submission)

    # The box

    def start(self) -> Box:
        """Return a box in which every cell has run, but for those that kill it."""
        while self.box is None or self.box.ended:
            if self.box:
                self.stop()
                self.result.restarts += 1
            if self.result.restarts > self.limits.restarts:
                raise _GaveUp("its box died too often")
            if time.monotonic() > self.end:
                raise _GaveUp("it took too long")
            self.box = Box(self.limits, self.safe, self.end)
            self._run_cells(self.box)
        return self.box

    def stop(self) -> None:
        """End the box and keep what it printed."""
        if self.box:
            self.box.close()
            text = self.box.printed.decode("utf8", "replace")
            self.result.printed = (self.result.printed + text)[: self.limits.output_kb * 1024]
            self.box = None

    def get(self, name: str) -> Any:
        """Return what the student calls ``name``."""
        box = self.start()
        return from_box(box, box.ask("get", name=name))

    def inside(self, expression: str, **names: Any) -> Any:
        """Evaluate an instructor's expression in the box."""
        box = self.start()
        sent = {name: to_box(box, value) for name, value in names.items()}
        return from_box(box, box.ask("evaluate", source=expression, keywords=sent))

    def _run_cells(self, box: Box) -> None:
        first = not self.result.cell_errors and not self.result.restarts
        for id, source in self.cells:
            if id in self.guilty:
                continue
            error = ""
            try:
                box.ask("cell", source=source, name=id, seconds=2 * self.limits.call_seconds)
                if id in self.assignment.by_hand:
                    self.result.pictures.setdefault(id, _pngs(from_box(box, box.ask("pictures"))))
            except StudentError as raised:
                error = _said(raised)
            except BoxDied as died:
                self.guilty.add(id)
                error = str(died)
            if error and (first or id in self.guilty):
                self.result.cell_errors.setdefault(id, error[:MESSAGE])
            if id in self.guilty:
                return

    # The tests

    def all_tests(self) -> None:
        """Run the public part of every test, then the whole of those that hide something."""
        tests = self.assignment.tests
        public = self._pass(tests, whole=False)
        passed = [test for test in tests if public.get(test.id) == ""]
        hiding = [test for test in passed if test.hides]
        hidden = self._pass(hiding, whole=True)
        for test in tests:
            said = public.get(test.id) or hidden.get(test.id, "")
            self.result.scores[test.id] = 0.0 if said else test.points
            if public.get(test.id):
                self.result.messages[test.id] = public[test.id]
            elif said:
                self.result.messages[test.id] = HIDDEN_MESSAGE
                self.result.private[test.id] = said

    def _pass(self, tests: Any, whole: bool) -> dict[str, str]:
        """Run tests; return what each said, nothing if it passed.

        Once an exercise has killed a box, its other tests wait until those of all others are done.
        """
        said: dict[str, str] = {}
        waiting, put_off = deque(tests), set[str]()
        while waiting:
            test = waiting.popleft()
            if test.exercise in self.killers and test.id not in put_off and waiting:
                put_off.add(test.id)
                waiting.append(test)
                continue
            try:
                said[test.id] = self._one(test, whole)
            except BoxDied as died:
                self.killers.add(test.exercise)
                said[test.id] = str(died)
            except _GaveUp as why:
                said[test.id] = f"not run: {why}"
        return said

    def _one(self, test: Test, whole: bool) -> str:
        names = {"__builtins__": builtins, "__name__": "__main__"}
        namespace = _Names(names, self)
        self.start()
        printed = io.StringIO()
        with testing.in_box(self.inside), contextlib.redirect_stdout(printed):
            try:
                for source in self.setup:
                    exec(source, namespace)
                exec(
                    compile(test.whole if whole else test.public, f"<{test.id}>", "exec"), namespace
                )
            except (BoxDied, _GaveUp):
                raise
            except Exception as error:
                return _said(error)[:MESSAGE]
        return ""


class _GaveUp(Exception):
    """No more tries for this submission."""


def readable(text: str) -> str:
    """Return text that can be written to a file and cannot steer a terminal."""
    return "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in text)


def _said(error: Exception) -> str:
    name, text = type(error).__name__, readable(str(error)[: 2 * MESSAGE]).strip()
    if isinstance(error, AssertionError) and not isinstance(error, StudentError):
        return text or "an assertion failed"
    return text if name == "StudentError" else f"{name}: {text}".removesuffix(": ")


def _public_names(assignment: Assignment) -> tuple[set[str], list[Any]]:
    """Return the names that solutions define, and the given cells that need none of them."""
    exports: set[str] = set()
    given = []
    for cell in assignment.notebook.cells:
        if cell.cell_type != "code":
            continue
        tags = cell.metadata.get("tags", ())
        if "answer" in tags:
            exports |= _defined(ast.parse(cell.source))
        elif not {"test", "mutant"} & set(tags):
            given.append(ast.parse(cell.source))
    setup = []
    for tree in given:
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        if not used & exports:
            setup.append(compile(tree, "<given>", "exec"))
    return exports, setup


def _defined(tree: ast.Module) -> set[str]:
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            parts = [part for target in targets for part in ast.walk(target)]
            names |= {part.id for part in parts if isinstance(part, ast.Name)}
    return names


def _cells(assignment: Assignment, submission: Any) -> list[tuple[str, str]]:
    """Return what runs in the box: every code cell but the tests."""
    tests = {test.id for test in assignment.tests}
    cells = []
    for number, cell in enumerate(submission.cells):
        id = cell.metadata.get("nbgrader", {}).get("grade_id", f"added-{number}")
        if cell.cell_type == "code" and id not in tests:
            cells.append((id, cell.source))
    return cells


def _pngs(pictures: Any) -> list[str]:
    """Encode arrays of pixels from the box; whatever is no picture is dropped."""
    import numpy as np
    from PIL import Image

    made = []
    for pixels in pictures[:4] if isinstance(pictures, list) else ():
        if isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.ndim == 3:
            height, width, channels = pixels.shape
            if channels == 4 and min(height, width) > 0 and max(height, width) <= 2000:
                file = io.BytesIO()
                Image.fromarray(pixels).save(file, format="png")
                if file.tell() <= MAX_PICTURE:
                    made.append(base64.b64encode(file.getvalue()).decode())
    return made
