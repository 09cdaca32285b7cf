"""Made-up uploads, good, bad and hostile: to try everything before real ones arrive."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

from press.homework.assignment import Assignment, solutions
from press.homework.canonical import filled_in

# What a hostile student might write into an answer, none of which may earn a point.
HOSTILE = (
    "import os\nos._exit(0)",
    "import subprocess\nsubprocess.run(['cat', '/etc/shadow'])\nraise SystemExit",
    "hoard = []\nwhile True:\n    hoard.append(bytearray(50_000_000))",
    "import socket\nsocket.create_connection(('example.org', 80))",
    "import os\nwhile True:\n    os.fork()",
    "while True:\n    print('x' * 10_000)",
)


def uploads(assignment: Assignment, released: Any, students: int) -> dict[str, tuple[str, float]]:
    """Return notebooks by kind and number, each with the score it deserves.

    The kinds take turns: perfect, half right (solved up to the middle), blank, a syntax error in
    the first answer, an endless loop in it, hostile. Points given by hand do not count.
    """
    answers = list(assignment.owner)
    solved = solutions(assignment)
    first, half = assignment.exercises[0].id, answers[: (len(answers) + 1) // 2]
    spoilt = [answer for answer in answers if assignment.owner[answer] == first]
    automatic = sum(test.points for test in assignment.tests)
    rest = automatic - assignment.exercises[0].points
    kinds: list[tuple[str, Callable[[int], dict[str, str]], float | None]] = [
        ("perfect", lambda _: solved, automatic),
        ("half", lambda _: {one: solved[one] for one in half}, None),
        ("blank", lambda _: {}, 0.0),
        ("syntax", lambda _: solved | dict.fromkeys(spoilt, "def broken(:\n"), rest),
        ("loop", lambda _: solved | dict.fromkeys(spoilt, "while True:\n    pass"), rest),
        ("hostile", lambda n: dict.fromkeys(answers, HOSTILE[n % len(HOSTILE)]), 0.0),
    ]
    made = {}
    for number in range(students):
        kind, answered, score = kinds[number % len(kinds)]
        text = json.dumps(filled_in(released, answered(number // len(kinds))), indent=1)
        if score is None:
            known = {assignment.owner[answer] for answer in half}
            whole = known - {assignment.owner[one] for one in answers if one not in half}
            score = sum(test.points for test in assignment.tests if test.exercise in whole)
        made[f"{kind}-{number:03}"] = text, score
    return made


def moodle_zip(made: dict[str, tuple[str, float]], name: str) -> bytes:
    """Return the uploads as the zip that Moodle's *Download all submissions* gives."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (student, (text, _)) in enumerate(made.items(), start=1001):
            archive.writestr(f"{student}_{number}_assignsubmission_file_/{name}.ipynb", text)
    return file.getvalue()
