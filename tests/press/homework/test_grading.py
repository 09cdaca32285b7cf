"""Grading one submission."""

import base64
import io
import time

import matplotlib.image
import nbformat
import numpy as np
import pytest
from homework_toy import SOLVED, cell, master, toy_cells, upload

from press.homework.assignment import parse_master, source_notebook
from press.homework.box import Box, BoxDied, Remote, StudentError, from_box, to_box
from press.homework.canonical import parse, pour
from press.homework.grade_all import grade_in_process
from press.homework.grading import HIDDEN_MESSAGE, grade
from press.homework.sandbox import Limits
from press.homework.testing import inside

QUICK = Limits(call_seconds=10)


def graded(course, released, answers, limits=QUICK, **options):
    notebook, _ = pour(released, parse(upload(released, answers, **options).encode()))
    return grade(course.assignment("toy"), notebook, limits)


@pytest.fixture
def box():
    one = Box(QUICK)
    yield one
    one.close()


def define(box, source):
    box.ask("cell", source=source, name="cell")


def get(box, name):
    return from_box(box, box.ask("get", name=name))


def test_perfect_half_and_blank(course, released):
    assert sum(graded(course, released, SOLVED).scores.values()) == 10
    half = SOLVED | {
        "softmax": "def softmax(x):\n    e = np.exp(x)\n    return e / e.sum(1)[:, None]"
    }
    result = graded(course, released, half)
    assert result.scores["softmax-public"] == 1
    assert result.scores["softmax-hidden"] == 0
    assert result.messages == {"softmax-hidden": HIDDEN_MESSAGE}
    assert "not close" in result.private["softmax-hidden"].lower() or result.private
    blank = graded(course, released, {})
    assert not any(blank.scores.values())
    assert "NotImplementedError" in blank.messages["count-public"]


def test_public_messages_are_the_instructors(course, released):
    wrong = SOLVED | {"fit": "def fit(X, y, rate, steps):\n    return np.zeros(2)"}
    assert graded(course, released, wrong).messages["fit-public"] == "one step of gradient descent"


def test_added_cells_run_and_may_define_helpers(course, released):
    answers = SOLVED | {"count": "def count(sizes):\n    return helper(sizes)"}
    helper = "%matplotlib inline\n!ls\n" + SOLVED["count"].replace("count", "helper")
    assert sum(graded(course, released, answers, before=helper).scores.values()) == 10


def test_a_dead_exercise_waits_for_the_others(course, released):
    # Two deaths are allowed; without waiting, the last exercise would not be graded.
    answers = SOLVED | {"softmax": "def softmax(x):\n    import os\n    os._exit(1)"}
    result = graded(course, released, answers, Limits(call_seconds=10, restarts=1))
    assert sum(result.scores.values()) == 7


def test_an_exception_arrives_as_what_it_is(box):
    define(
        box, "def f(x):\n    raise {'v': ValueError, 'o': type('Odd', (Exception,), {})}[x]('no')"
    )
    f = get(box, "f")
    with pytest.raises(ValueError, match=r"^no$") as caught:
        f("v")
    assert isinstance(caught.value, StudentError)
    with pytest.raises(StudentError, match="Odd: no"):
        f("o")
    with pytest.raises(NameError, match="'g' is not defined"):
        get(box, "g")


def test_objects_stay_in_the_box(box):
    define(
        box,
        "import torch\nnet = torch.nn.Linear(2, 3)\n"
        "class Pair:\n    def __init__(self, a):\n        self.a = a\n"
        "    def twice(self):\n        return 2 * self.a",
    )
    net, pair = get(box, "net"), get(box, "Pair")(4)
    assert type(net) is Remote
    assert net.weight.shape == (3, 2)
    assert pair.a == 4
    assert pair.twice() == 8
    assert get(box, "Pair")(pair).a.twice() == 8  # an object goes back as itself
    for judge in (bool, len, list, float, lambda x: x == x, lambda x: x + 1, lambda x: x[0]):
        with pytest.raises(TypeError, match="says nothing by itself"):
            judge(net)
    with pytest.raises(TypeError):
        hash(net)


def test_an_object_does_not_judge_itself(box):
    """It would be sent what to compare with, and say yes."""
    define(box, "class Yes:\n    def __getattr__(self, name):\n        return lambda *_: True")
    yes = get(box, "Yes")()
    assert yes.anything() is True
    for judgment in ("allclose", "equal", "all", "eq"):
        with pytest.raises(TypeError, match="says nothing by itself"):
            getattr(yes, judgment)(np.ones(3))


def test_what_ends_loops_does_not_arrive_as_that(box):
    define(box, "def f(x):\n    raise StopIteration")
    with pytest.raises(StudentError, match="StopIteration"):
        assert all(map(get(box, "f"), [1, 2]))


def test_arrays_of_nothing_are_no_answer(box):
    define(box, "import numpy as np\ndef f(x):\n    return {'w': np.empty((0, 3))}")
    with pytest.raises(StudentError, match=r"without elements, of shape \(0, 3\)"):
        get(box, "f")(1)


def test_an_answer_that_the_student_reads_again_stops_nobody(monkeypatch):
    """There was something to read, and it is gone: no read may wait for more."""
    box = Box(Limits(call_seconds=1))
    monkeypatch.setattr("select.select", lambda *streams: streams[:3])
    with pytest.raises(BoxDied, match="took too long"):
        define(box, "while True:\n    pass")


def test_an_object_of_a_dead_box_is_refused(box):
    define(box, "class A:\n    pass\na = A()")
    a = get(box, "a")
    other = Box(QUICK)
    try:
        with pytest.raises(BoxDied, match="box that is gone"):
            to_box(other, a)
    finally:
        other.close()


def test_arguments_and_keywords(box):
    define(box, "def f(a, *rest, b=1, **more):\n    return [a, rest, b, more]")
    assert get(box, "f")(1, 2, np.float64(3), b="x", c=None) == [1, (2, 3.0), "x", {"c": None}]
    with pytest.raises(TypeError, match="cannot be sent"):
        get(box, "f")(object())


def test_the_box_answers_in_time_or_dies():
    box = Box(Limits(call_seconds=1))
    start = time.monotonic()
    with pytest.raises(BoxDied, match="took too long"):
        define(box, "while True:\n    pass")
    assert time.monotonic() - start < 10
    with pytest.raises(BoxDied):
        define(box, "1")


def test_inside_looks_at_objects_in_the_box_and_in_a_notebook():
    cells = [
        *toy_cells()[:3],
        cell(
            "### BEGIN SOLUTION\nclass Net:\n    sizes = [2, 3]\n### END SOLUTION",
            "answer",
            "id=net",
        ),
        cell(
            "### BEGIN HIDDEN TESTS\nfrom press.homework.testing import inside\n"
            "assert inside('len(net.sizes) + n', net=Net(), n=1) == 3\n### END HIDDEN TESTS",
            "test",
            "id=net-test",
            "points=1",
        ),
    ]
    toy = parse_master("toy", master(cells))
    result = grade(toy, source_notebook(toy), QUICK)
    assert result.scores == {"net-test": 1}, result
    assert inside("len(x)", x=[1, 2]) == 2


def test_given_cells_that_use_answers_run_in_the_box_only():
    cells = [
        *toy_cells()[:4],
        cell("half = 0.5\ndef is_half(x):\n    return np.allclose(x, half)"),
        cell("shown = softmax(np.zeros((1, 2)))"),
        cell("assert is_half(softmax(np.zeros((2, 2))))", "test", "id=t", "points=1"),
    ]
    toy = parse_master("toy", master(cells))
    assert grade(toy, source_notebook(toy), QUICK).scores == {"t": 1}


def test_no_builtin_stands_in_for_an_answer():
    cells = [
        *toy_cells()[:2],
        cell("# Sort", "exercise", "id=ex", kind="markdown"),
        cell(
            "### BEGIN SOLUTION\nimport codec\ndef no(*_):\n    raise KeyError\n"
            "codec.encode = no\ndef sorted(x):\n    return 0\n### END SOLUTION",
            "answer",
            "id=sort",
        ),
        cell("assert sorted([2, 1]) == [1, 2]", "test", "id=t", "points=1"),
    ]
    toy = parse_master("toy", master(cells))
    result = grade(toy, source_notebook(toy), QUICK)
    assert result.scores == {"t": 0}
    assert "sorted cannot be had" in result.messages["t"]


def test_all_of_a_submission_ends_in_time(course, released):
    """Every call is quick enough, but there are many; every cell is, but the student added more."""
    for answers, before in (
        (
            {
                name: code.replace(":\n", ":\n    __import__('time').sleep(2)\n", 1)
                for name, code in SOLVED.items()
            },
            "",
        ),
        (SOLVED, "import time\ntime.sleep(9)"),
    ):
        limits = Limits(call_seconds=5, submission_seconds=6)
        start = time.monotonic()
        result = graded(course, released, answers, limits, before=before)
        assert time.monotonic() - start < 10
        assert any("took too long" in said for said in result.messages.values()), result
        assert sum(result.scores.values()) < 10


def test_pictures_of_answers_graded_by_hand(drawing_course):
    toy = drawing_course.assignment("toy")
    result = grade(toy, source_notebook(toy), Limits(call_seconds=30))
    (picture,) = result.pictures["draw"]
    pixels = matplotlib.image.imread(io.BytesIO(base64.b64decode(picture)))
    assert pixels.shape == (200, 200, 4)
    assert pixels.std() > 0


def test_a_test_that_makes_much_of_little_ends_alone(course, released):
    """Small arrays broadcast to huge ones: the grader may not take the machine's memory."""
    text = course.master("toy").read_text()
    spoilt = text.replace("assert count([2, 3]) == 9", "np.ones((20_000, 1)) + np.ones(20_000)")
    assert spoilt != text
    limits = Limits(memory_mb=600)
    result = grade_in_process(("toy", spoilt), upload(released, SOLVED), limits, True)
    assert "Unable to allocate" in result["messages"]["count-public"]
    assert sum(result["scores"].values()) == 9


@pytest.mark.parametrize(
    "trick", ["import time\nwhile True:\n    time.sleep(1)", "import os\nos._exit(3)"]
)
def test_an_instructors_test_that_hangs_or_crashes_is_reported(
    course, released, monkeypatch, trick
):
    text = course.master("toy").read_text()
    spoilt = text.replace("assert count([2, 3]) == 9", trick.replace("\n", "\\n"))
    assert spoilt != text
    monkeypatch.setattr("press.homework.grade_all.GRACE", 0)
    limits = Limits(submission_seconds=8)
    result = grade_in_process(("toy", spoilt), nbformat.writes(released), limits, True)
    assert result["error"]
    assert "hang" in result["error"] or "died" in result["error"]
    assert not any(result["scores"].values())
