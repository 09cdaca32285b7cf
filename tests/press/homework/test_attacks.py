"""Every attack gets the score that its honest part deserves, harms nothing, and stops nobody else.

All attackers hand in to one course, honest students among them, and are graded in one run.
"""

import hashlib
import json
import os
import socket
import threading
from dataclasses import dataclass, field

import nbformat
import psutil
import pytest
from filelock import FileLock
from homework_toy import SOLVED, make_course, upload

from press.homework import gradebook
from press.homework.feedback import write_feedback
from press.homework.grade_all import grade_all, to_grade, workers
from press.homework.uploads import collect

RIGHT = "    return sum(a * b + b for a, b in zip(sizes[:-1], sizes[1:]))\n"
MARK = "homework-attack-survivor"  # on the command line of what tries to outlive its box


def count_does(body):
    """All solved; `count` does something else first."""
    return SOLVED | {"count": f"def count(sizes):\n{body}{RIGHT}"}


def all_do(body):
    """Nothing solved: every answer is the same trick."""
    return {name: f"def {name}(*given):\n{body}" for name in SOLVED}


@dataclass
class Attack:
    score: float
    answers: dict = field(default_factory=dict)
    before: str = ""
    after: str = ""
    edit: object = None


def retag(**changes):
    def edit(raw):
        for cell in raw["cells"]:
            grader = cell["metadata"].get("nbgrader", {})
            if grader.get("grade") and not grader.get("solution"):
                grader.update(changes)
                cell["source"] = "pass"

    return edit


def delete_tests(raw):
    raw["cells"] = [
        cell for cell in raw["cells"] if not cell["metadata"].get("nbgrader", {}).get("grade")
    ]


def tests_to_markdown(raw):
    for cell in raw["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade"):
            cell.update(cell_type="markdown", source="nothing to see")
            del cell["outputs"], cell["execution_count"]


def copy_cells(kind, source):
    """Put a copy of each answer (or test) before the real one."""

    def edit(raw):
        copies = []
        for cell in raw["cells"]:
            grader = cell["metadata"].get("nbgrader", {})
            if grader.get(kind) and cell["cell_type"] == "code":
                twin = json.loads(json.dumps(cell))
                copies.append(twin | {"source": source, "id": f"twin-{len(copies)}"})
            copies.append(cell)
        raw["cells"] = copies

    return edit


def scripts_everywhere(raw):
    script = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    raw["metadata"]["title"] = script
    markdown = {"cell_type": "markdown", "metadata": {}, "source": script, "id": "script"}
    raw["cells"].insert(0, markdown)
    for cell in raw["cells"]:
        if cell["cell_type"] == "code":
            html = {"text/html": script}
            cell["outputs"] = [{"output_type": "display_data", "data": html, "metadata": {}}]


FORGE = """
import json, os, threading, time
def forge(make):
    for fd in range(3, 12):
        try:
            os.write(fd, make())
        except OSError:
            pass
"""
EQUAL = """
class Equal(float):
    __eq__ = __le__ = __ge__ = lambda self, other: True
    __lt__ = __gt__ = __ne__ = lambda self, other: False
    __hash__ = float.__hash__
    shape, dtype = (), float
    def __array__(self, *_, **__):
        return self
    def __bool__(self):
        return True
    def __getattr__(self, name):
        return Equal()
"""

ATTACKS = {
    "perfect": Attack(10, SOLVED),
    "blank": Attack(0),
    "syntax": Attack(7, SOLVED | {"softmax": "def softmax(x)\n    return x\n"}),
    # Time
    "loop-in-call": Attack(
        8, SOLVED | {"count": "def count(sizes):\n    while True:\n        pass"}
    ),
    "loop-in-cell": Attack(8, SOLVED | {"count": "while True:\n    pass"}),
    "stubborn-loop": Attack(
        8,
        SOLVED
        | {
            "count": "import signal\ndef count(sizes):\n"
            "    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
            "    while True:\n        try:\n            while True:\n                pass\n"
            "        except BaseException:\n            pass"
        },
    ),
    # Memory, processes, output, space
    "memory": Attack(
        8,
        SOLVED
        | {
            "count": "def count(sizes):\n    hoard = []\n    while True:\n"
            "        hoard.append(np.ones(5_000_000))"
        },
    ),
    "processes": Attack(
        10,
        count_does(
            "    import os, time\n    try:\n        for _ in range(150):\n"
            "            if os.fork() == 0:\n                time.sleep(30)\n"
            "                os._exit(0)\n    except OSError:\n        pass\n"
        ),
    ),
    "prints": Attack(
        10, count_does("    line = 'x' * 10**6\n    for _ in range(300):\n        print(line)\n")
    ),
    "fills-disks": Attack(
        10,
        count_does(
            "    for folder in ('/', '/dev/shm', '/tmp', '/box'):\n"
            "        for n in range(20):\n            try:\n"
            "                open(f'{folder}/fill{n}', 'wb').write(bytes(20 << 20))\n"
            "            except OSError:\n                pass\n"
        ),
    ),
    # Out of the box
    "reads-files": Attack(
        0,
        all_do(
            "    import pathlib\n    for path in pathlib.Path('{course}').rglob('*.ipynb'):\n"
            "        exec(path.read_text())\n"
            "    return open('{course}/masters/toy.ipynb').read()\n"
        ),
    ),
    "writes-gradebook": Attack(
        0,
        all_do(
            "    import sqlite3\n    with sqlite3.connect('{course}/gradebook.db') as book:\n"
            "        book.execute('update grade set manual_score = 10')\n"
        ),
    ),
    "network": Attack(
        10,
        count_does(
            "    import socket\n    try:\n"
            "        socket.create_connection(('127.0.0.1', {port}), 2).send(b'hello')\n"
            "    except OSError:\n        pass\n"
        ),
    ),
    "background": Attack(
        0,
        before=f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', "
        f"'import time; time.sleep(600)', '{MARK}'], start_new_session=True)",
    ),
    "parents": Attack(
        0,
        all_do(
            "    import os, signal\n    for pid in range(1, 100_000):\n        try:\n"
            "            os.kill(pid, signal.SIGKILL)\n        except OSError:\n            pass\n"
        ),
    ),
    # Cheating the tests
    "patches-numpy": Attack(
        0,
        all_do("    return np.zeros(3)\n"),
        before="import numpy as np, numpy.testing, builtins\nyes = lambda *a, **k: True\n"
        "np.allclose = np.testing.assert_allclose = np.testing.assert_equal = yes\n"
        "builtins.AssertionError = builtins.all = builtins.bool = yes\n",
    ),
    "equal-to-all": Attack(0, all_do("    return Equal()\n"), before=EQUAL),
    "int-subclass": Attack(
        0,
        all_do("    return One(5)\n"),
        before="class One(int):\n    __eq__ = lambda *_: True\n    __hash__ = int.__hash__\n",
    ),
    "transformer": Attack(
        0,
        before="import ast\nget_ipython().ast_transformers.append(ast.NodeTransformer())\n"
        "get_ipython().input_transformers_cleanup.append(lambda lines: [])",
    ),
    "patches-doctest": Attack(0, before="import doctest\ndoctest.OutputChecker.check_output = 1"),
    "frames": Attack(
        0,
        all_do(
            "    import gc, sys\n    frame = sys._getframe()\n    while frame:\n"
            "        for value in list(frame.f_locals.values()):\n"
            "            if isinstance(value, str) and 'assert' in value:\n"
            "                return value\n        frame = frame.f_back\n"
            "    texts = [x for x in gc.get_objects() if isinstance(x, str) and 'assert' in x]\n"
            "    return texts[0]\n"
        ),
    ),
    "pickle": Attack(
        0,
        all_do("    return Bomb()\n"),
        before="import os, pickle\nclass Bomb:\n    def __reduce__(self):\n"
        "        return os.system, ('touch {course}/pwned',)\n"
        "for place in ('/tmp/results.pkl', '/tmp/.otter.pkl'):\n"
        "    pickle.dump(Bomb(), open(place, 'wb'))\n",
    ),
    # Ends of the process
    "exit-in-cell": Attack(8, SOLVED | {"count": "import sys\nsys.exit(0)"}),
    "hard-exit-in-cell": Attack(8, SOLVED | {"count": "import os\nos._exit(0)"}),
    "hard-exit-in-call": Attack(
        8, SOLVED | {"count": "def count(sizes):\n    import os\n    os._exit(0)"}
    ),
    "crash": Attack(
        8, SOLVED | {"count": "def count(sizes):\n    import ctypes\n    ctypes.string_at(0)"}
    ),
    # The pipe
    "forged-reply": Attack(
        0,
        all_do("    forge(lambda: b'\\x00\\x00\\x00\\x1b' + b'{{\"number\":3,\"value\":true}}')\n"),
        before=FORGE,
    ),
    "garbage": Attack(0, all_do("    forge(lambda: os.urandom(1000))\n"), before=FORGE),
    "gigabyte": Attack(
        0, all_do("    forge(lambda: b'\\x40\\x00\\x00\\x00' + b'x' * 9)\n"), before=FORGE
    ),
    "deep": Attack(
        0,
        all_do("    forge(lambda: (200000).to_bytes(4, 'big') + b'[' * 200000)\n"),
        before=FORGE,
    ),
    "dripping": Attack(
        0,
        all_do("    while True:\n        forge(lambda: b'\\x00')\n        time.sleep(0.2)\n"),
        before=FORGE,
    ),
    "huge-answer": Attack(0, all_do("    return 'x' * (100 << 20)\n")),
    "nested-answer": Attack(
        0, all_do("    x = []\n    for _ in range(10**5):\n        x = [x]\n    return x\n")
    ),
    # The notebook
    "edits-tests": Attack(0, edit=retag(points=100)),
    "tests-as-solutions": Attack(0, edit=retag(solution=True, locked=False, points=100)),
    "tests-copied": Attack(0, edit=copy_cells("grade", "pass")),
    "answers-copied": Attack(10, SOLVED, edit=copy_cells("solution", "raise ValueError")),
    "tests-deleted": Attack(10, SOLVED, edit=delete_tests),
    "tests-in-markdown": Attack(10, SOLVED, edit=tests_to_markdown),
    "scripts": Attack(10, SOLVED, edit=scripts_everywhere),
    # Telling on hidden inputs
    "leaks-inputs": Attack(
        0,
        {
            name: f"def {name}(*given):\n    raise ValueError('LEAK ' + repr(given))"
            for name in SOLVED
        },
    ),
    "leaks-later": Attack(
        2,
        {
            "softmax": "seen = []\ndef softmax(x):\n"
            "    seen.append(repr(x))\n    return x * 0 + 0.5",
            "count": "def count(sizes):\n    seen.append(sizes)\n"
            "    if len(sizes) > 2:\n        raise ValueError('LEAK ' + repr(seen))\n    return 9",
            "fit": "def fit(*given):\n    raise ValueError('LEAK ' + ' '.join(map(str, seen)))",
        },
    ),
    # Numbers that are none
    "nothing-is-close-to-all": Attack(
        0,
        all_do("    return np.empty((0, 1) if len(given) == 1 else (0, given[0].shape[1]))\n"),
    ),
    "much-of-little": Attack(0, all_do("    return np.ones((5_000_000, 1, 1), np.int8)\n")),
    # Text that no file can hold, and that steers a terminal
    "surrogates": Attack(
        0, all_do("    raise ValueError(chr(0xd800) + chr(27) + '[2J' + chr(0x202e))\n")
    ),
    # Memory that no process has
    "hidden-memory": Attack(
        10,
        count_does(
            "    import ctypes, os, socket\n    def hoard():\n"
            "        file = os.memfd_create('hoard')\n        os.write(file, bytes(30 << 20))\n"
            "    def share():\n        libc = ctypes.CDLL(None)\n"
            "        if libc.shmget(0, 1 << 20, 0o1600) < 0:\n            raise OSError\n"
            "    for way in (hoard, share, socket.socketpair):\n        try:\n"
            "            for _ in range(100):\n                way()\n"
            "            os._exit(1)\n        except OSError:\n            pass\n"
        ),
    ),
    "many-files": Attack(
        8,
        count_does(
            "    import os\n    for n in range(10**7):\n"
            "        os.close(os.open(f'/tmp/{{n}}', os.O_CREAT))\n"
        ),
    ),
    # Old system calls: of 32 bits, and of the x32 kind
    "old-calls": Attack(
        8,
        count_does(
            "    import ctypes, mmap, os\n    child = os.fork()\n    if child == 0:\n"
            "        libc = ctypes.CDLL(None)\n        libc.syscall(0x40000000 + 41, 1, 1, 0)\n"
            "        os._exit(7)\n    status = os.waitpid(child, 0)[1]\n"
            "    if os.WIFSIGNALED(status):\n        os._exit(1)\n"
        ),
    ),
    # Its own answers
    "eats-its-answers": Attack(
        8,
        count_does(
            "    import os\n    try:\n        eaten = os.open('/proc/self/fd/4', os.O_RDONLY)\n"
            "    except OSError:  # where the grader is root\n        os._exit(1)\n"
            "    if os.fork() == 0:\n        while True:\n            os.read(eaten, 1)\n"
        ),
    ),
    "last-honest": Attack(10, SOLVED),
}


def fingerprints(root):
    """Everything of a course that attackers would like to change."""
    files = [root / "masters/toy.ipynb", root / "source/toy/toy.ipynb", root / "gradebook.db"]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def fight(folder):
    """Grade everybody; return what there is to know afterward."""
    course = make_course(
        folder / "course", call_seconds=4, submission_seconds=90, memory_mb=400, restarts=8
    )
    released = nbformat.read(course.release("toy"), as_version=4)
    assignment = course.assignment("toy")
    visits = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        stop = threading.Event()

        def listen():
            while not stop.is_set():
                try:
                    visits.append(server.accept()[1])
                except TimeoutError:
                    continue

        ear = threading.Thread(target=listen)
        ear.start()
        port = server.getsockname()[1]
        uploads = folder / "uploads"
        uploads.mkdir()
        for name, attack in ATTACKS.items():

            def fill(text):
                return text.replace("{course}", str(course.root)).replace("{port}", str(port))

            answers = {key: fill(text) for key, text in attack.answers.items()}
            text = upload(released, answers, fill(attack.before), attack.after, attack.edit)
            (uploads / f"{name}.ipynb").write_text(text)
        collect(course, "toy", uploads)
        before = fingerprints(course.root)
        done = []
        with workers(None, 2) as client:
            prints = to_grade(course, "toy", course.students("toy"), safe=True)
            grade_all(client, course, "toy", prints, True, lambda who, _: done.append(who))
        stop.set()
        ear.join()
    after = fingerprints(course.root)
    survivors = [one.pid for one in psutil.process_iter(["cmdline"]) if MARK in str(one.info)]
    for name in ATTACKS:
        gradebook.record(course, assignment, name)
    for score in gradebook.scores(course, assignment):
        write_feedback(course, assignment, score)
    pages = {name: course.feedback("toy", name).read_text() for name in ATTACKS}
    shown = {name: course.autograded("toy", name).read_text() for name in ATTACKS}
    totals = {one.student: one.total for one in gradebook.scores(course, assignment)}
    results = {name: json.loads(course.result("toy", name).read_text()) for name in ATTACKS}
    return {
        "done": sorted(done),
        "results": results,
        "totals": totals,
        "pages": pages,
        "shown": shown,
        "visits": len(visits),
        "survivors": survivors,
        "changed": [str(path) for path in before if before[path] != after[path]],
        "pwned": (course.root / "pwned").exists(),
    }


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory):
    """One fight, however many processes the tests are spread over."""
    run = tmp_path_factory.getbasetemp()
    run = run.parent if "PYTEST_XDIST_WORKER" in os.environ else run
    report = run / "attacks.json"
    with FileLock(run / "attacks.lock"):
        if not report.exists():
            report.write_text(json.dumps(fight(tmp_path_factory.mktemp("attacks"))))
    return json.loads(report.read_text())


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gets_what_its_honest_part_deserves(aftermath, name):
    result = aftermath["results"][name]
    assert result["error"] is None
    assert sum(result["scores"].values()) == ATTACKS[name].score, result
    assert aftermath["totals"][name] == ATTACKS[name].score


def test_everybody_is_graded(aftermath):
    assert aftermath["done"] == sorted(ATTACKS)


def test_nothing_reached_the_network(aftermath):
    assert aftermath["visits"] == 0


def test_nothing_outlives_its_box(aftermath):
    assert aftermath["survivors"] == []


def test_nothing_of_the_instructor_changed(aftermath):
    assert aftermath["changed"] == []
    assert not aftermath["pwned"]


def test_little_of_what_is_printed_is_kept(aftermath):
    assert len(aftermath["results"]["prints"]["printed"]) <= 64 * 1024


@pytest.mark.parametrize("name", ATTACKS)
def test_feedback_shows_no_markup_and_no_hidden_test(aftermath, name):
    page = aftermath["pages"][name].lower()
    assert "<script" not in page
    assert "onerror" not in page
    for secret in ("109386", "784", "0.26894142", "default_rng", "1001"):
        assert secret not in page
    assert "content-security-policy" in page
    assert all(one.isprintable() or one in "\n\t" for one in page)


def test_hidden_inputs_reach_no_feedback(aftermath):
    assert "LEAK" in aftermath["pages"]["leaks-inputs"]  # of a public test: no secret
    assert "1000" not in aftermath["pages"]["leaks-inputs"]
    assert "LEAK []" not in aftermath["pages"]["leaks-later"]
    assert "784" not in aftermath["pages"]["leaks-later"]


def test_the_formgrader_gets_markdown_as_text(aftermath):
    notebook = nbformat.reads(aftermath["shown"]["scripts"], as_version=4)
    (added,) = [cell for cell in notebook.cells if "onerror" in cell.source]
    assert added.source.startswith("~~~text\n")
    assert added.source.endswith("\n~~~")
    assert "onerror" not in str([cell.get("outputs") for cell in notebook.cells])
