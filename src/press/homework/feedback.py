"""The page that a student gets: points, what public tests said, what to read again.

Whatever comes from the student or from a hidden test stays out; the rest is text, escaped. The page
runs nothing and loads nothing.
"""

import json
from typing import Any

import jinja2

from press.files import write_atomically
from press.homework.assignment import Assignment, Exercise
from press.homework.course import Course
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
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin: 2rem 0 .3rem; font-size: 1.15rem; }
h2 span { float: right; font-weight: normal; }
ul { padding-left: 1.2rem; }
li { margin: .3rem 0; overflow-wrap: anywhere; }
.total { font-size: 1.3rem; }
.passed { color: light-dark(#1a7f37, #56d364); }
.failed { color: light-dark(#b42318, #ff9a8f); }
pre { white-space: pre-wrap; margin: .2rem 0 .6rem; padding: .5rem .7rem;
      background: color-mix(in srgb, currentColor 8%, transparent); }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="total"><strong>{{ "%g" % total }} of {{ "%g" % most }} points</strong>
{%- if waiting %}, not counting what is still to be graded by hand{% endif %}.</p>
{% if unsafe %}<p>Graded without a sandbox (unsafe).</p>{% endif %}
{% for note in notes %}<p>{{ note }}</p>
{% endfor %}
{% for one in exercises %}
<h2>{{ one.title }} <span>{{ "%g" % one.points }} of {{ "%g" % one.most }}</span></h2>
<ul>
{% for test in one.tests %}
<li class="{{ 'passed' if test.passed else 'failed' }}">{{ test.name }}:
{{ "passed" if test.passed else "failed" }}, {{ "%g" % test.points }} of {{ "%g" % test.most }}
{% if test.said %}<pre>{{ test.said }}</pre>{% endif %}</li>
{% endfor %}
{% for said in one.said %}<li>{{ said }}</li>
{% endfor %}
</ul>
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
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    first = assignment.notebook.cells[0].source.strip().splitlines()[0]
    return template.from_string(PAGE).render(
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
    said = [
        "to be graded by hand" for answer in score.waiting if assignment.owner[answer] == one.id
    ]
    said += [
        comment
        for answer, comment in score.comments.items()
        if assignment.owner.get(answer) == one.id
    ]
    return {
        "title": one.title,
        "points": got,
        "most": most,
        "tests": [
            {
                "name": test.id,
                "passed": result["scores"].get(test.id, 0) >= test.points,
                "points": result["scores"].get(test.id, 0),
                "most": test.points,
                "said": result["messages"].get(test.id, ""),
            }
            for test in assignment.tests
            if test.exercise == one.id
        ],
        "said": said,
        "reread": section(course, assignment, one) if got < most else "",
    }


def section(course: Course, assignment: Assignment, exercise: Exercise) -> str:
    """Return the address of the section that an exercise is about, if the book is published."""
    topic = assignment.notebook.metadata.get("homework", {}).get("topic")
    if not (course.site and topic and exercise.reread):
        return ""
    return f"{course.site}/book/{topic}.html#{exercise.reread.replace('_', '-')}"
