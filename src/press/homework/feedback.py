"""The page that a student gets: points, what public tests said, what to read again.

Whatever comes from the student or from a hidden test stays out; the rest is text, escaped. The page
runs nothing and loads nothing.
"""

import io
import itertools
import json
import zipfile
from typing import Any

import jinja2

from press.files import write_atomically
from press.homework.assignment import Assignment, Exercise, Test
from press.homework.course import Course
from press.homework.export import numbered
from press.homework.gradebook import Score

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}: feedback</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem;
       overflow-wrap: anywhere; }
header p { margin: .2rem 0; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .2rem 0; }
h2 { display: flex; justify-content: space-between; gap: 1rem; margin: 2.2rem 0 .5rem;
     padding-bottom: .3rem;
     border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent);
     font-size: 1.15rem; line-height: 1.3; }
h2 span { flex: none; font-weight: normal; }
ul { list-style: none; margin: 0; padding: 0; }
li { margin: .6rem 0; padding-left: 1.6rem; position: relative; }
li::before { position: absolute; left: .2rem; }
li p { margin: 0; }
.total { font-size: 1.3rem; }
.quiet { opacity: .75; }
.passed::before { content: "✓" / ""; }
.failed::before { content: "✗" / ""; }
.passed::before, .passed b { color: light-dark(#1a7f37, #56d364); }
.failed::before, .failed b { color: light-dark(#b42318, #ff9a8f); }
pre { white-space: pre-wrap; margin: .3rem 0; padding: .5rem .7rem; font-size: .9rem;
      background: color-mix(in srgb, currentColor 8%, transparent); border-radius: .3rem; }
blockquote { margin: .3rem 0; padding-left: .8rem; white-space: pre-line;
             border-left: 3px solid light-dark(#2563eb, #7aa2ff); }
</style>
</head>
<body>
<header>
<p class="quiet">{{ course }}{% if name %} · {{ name }}{% endif %}</p>
<h1>{{ title }}</h1>
<p class="total"><strong>{{ "%g" % total }} of {{ "%g" % most }} points</strong>
{%- if waiting %}, not counting what is still to be graded by hand{% endif %}.</p>
</header>
{% if unsafe %}<p>Graded without a sandbox (unsafe).</p>{% endif %}
{% for note in notes %}<p>{{ note }}</p>
{% endfor %}
{% for one in exercises %}
<h2>{{ one.title }} <span>{{ "%g" % one.points }} of {{ "%g" % one.most }}</span></h2>
{% for answer, error in one.errors %}
<p>Your cell for <code>{{ answer }}</code> stopped with an error:</p>
<pre>{{ error }}</pre>
{% endfor %}
<ul>
{% for test in one.tests %}
<li class="{{ 'passed' if test.passed else 'failed' }}"><p><code>{{ test.name }}</code>
<b>{{ "passed" if test.passed else "failed" }}</b>, {{ "%g" % test.points }} of
{{ "%g" % test.most }}</p>
{% if test.about and not test.passed %}<p class="quiet">{{ test.about }}</p>{% endif %}
{% if test.said %}<pre>{{ test.said }}</pre>{% endif %}</li>
{% endfor %}
</ul>
{% if one.by_hand is not none %}<p>Given by hand: {{ "%g" % one.by_hand }}.</p>{% endif %}
{% if one.waiting %}<p>Still to be graded by hand.</p>{% endif %}
{% for said in one.said %}<blockquote>{{ said }}</blockquote>
{% endfor %}
{% if one.reread %}<p>Read again: <a href="{{ one.reread }}" rel="noreferrer">the section on
this</a>.</p>{% endif %}
{% endfor %}
</body>
</html>
"""


def write_feedback(course: Course, assignment: Assignment, score: Score) -> None:
    """Write one student's page."""
    path = course.result(assignment.name, score.student)
    result = json.loads(path.read_text("utf8"))
    text = page(course, assignment, score, result)
    write_atomically(course.feedback(assignment.name, score.student), text)


def page(course: Course, assignment: Assignment, score: Score, result: dict[str, Any]) -> str:
    """Return one student's page."""
    person = course.roster().get(score.student)
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    first = assignment.notebook.cells[0].source.strip().splitlines()[0]
    return template.from_string(PAGE).render(
        course=course.title,
        name=(person.name if person else "") or score.student,
        title=first.lstrip("# ") or assignment.name,
        total=score.total,
        most=assignment.points,
        waiting=score.waiting,
        unsafe=not score.safe,
        notes=["Grading failed; your instructor knows."] if result["error"] else [],
        exercises=[
            _exercise(course, assignment, one, score, result) for one in assignment.exercises
        ],
    )


def _exercise(
    course: Course, assignment: Assignment, one: Exercise, score: Score, result: dict[str, Any]
) -> dict[str, Any]:
    most, got = one.points + one.by_hand, score.points[one.id]
    tests = [test for test in assignment.tests if test.exercise == one.id]
    answers = [answer for answer, owner in assignment.owner.items() if owner == one.id]
    waiting = any(answer in score.waiting for answer in answers)
    by_tests = sum(result["scores"].get(test.id, 0) for test in tests)
    by_hand = round(got - by_tests, 6)  # for answers, or a test's points that somebody changed
    errors = result["cell_errors"]
    return {
        "title": one.title,
        "points": got,
        "most": most,
        "errors": [(answer, errors[answer]) for answer in answers if answer in errors],
        "tests": [
            {
                "name": test.id,
                "passed": result["scores"].get(test.id, 0) >= test.points,
                "points": result["scores"].get(test.id, 0),
                "most": test.points,
                "about": _about(test),
                "said": result["messages"].get(test.id, ""),
            }
            for test in tests
        ],
        "by_hand": by_hand if by_hand or (one.by_hand and not waiting) else None,
        "waiting": waiting,
        "said": [score.comments[answer] for answer in answers if answer in score.comments],
        "reread": section(course, assignment, one) if got < most and not waiting else "",
    }


def _about(test: Test) -> str:
    """Return the comment that opens a test's public part: what the instructor says it is about."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), test.public.splitlines())
    return " ".join(line.lstrip("# ") for line in lines)


def moodle_zip(course: Course, assignment: Assignment, students: list[str]) -> bytes:
    """Return the pages, named as Moodle wants feedback files to be."""
    file, roster = io.BytesIO(), course.roster()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for student in students:
            one = numbered(roster, student, "moodle")
            who = one.name.translate({ord("_"): " ", ord("/"): " "})  # as Moodle does it
            name = f"{who}_{one.number}_assignsubmission_file_{assignment.name}-feedback.html"
            archive.writestr(name, course.feedback(assignment.name, student).read_bytes())
    return file.getvalue()


def section(course: Course, assignment: Assignment, exercise: Exercise) -> str:
    """Return the address of the section that an exercise is about, if the book is published."""
    if not (course.site and assignment.topic and exercise.reread):
        return ""
    return f"{course.site}/book/{assignment.topic}.html#{exercise.reread.replace('_', '-')}"
