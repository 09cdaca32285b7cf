"""A small assignment for tests: three exercises in NumPy, 10 points, quick to grade."""

import json

import nbformat

from press.homework import gradebook
from press.homework.course import open_course

EXERCISES = {
    "softmax": {
        "task": "Write `softmax(x)` for a 2-D array: of each row, also for large numbers.",
        "answer": "def softmax(x):\n{}",
        "solution": (
            "    z = x - x.max(axis=1, keepdims=True)\n"
            "    e = np.exp(z)\n"
            "    return e / e.sum(axis=1, keepdims=True)\n"
        ),
        "public": (
            "p = softmax(np.array([[0.0, 0.0], [1.0, 1.0]]))\n"
            "assert p.shape == (2, 2)\nassert np.allclose(p, 0.5)\n"
        ),
        "hidden": (
            "p = softmax(np.array([[1000.0, 1001.0], [-1000.0, -1002.0]]))\n"
            "np.testing.assert_allclose(\n"
            "    p, [[0.26894142, 0.73105858], [0.88079708, 0.11920292]], rtol=1e-6\n"
            ")\n"
        ),
        "points": (1, 2),
    },
    "count": {
        "task": "Write `count(sizes)`: weights and biases of a perceptron with these layers.",
        "answer": "def count(sizes):\n{}",
        "solution": "    return sum(a * b + b for a, b in zip(sizes[:-1], sizes[1:]))\n",
        "public": "assert count([2, 3]) == 9",
        "hidden": "assert count([784, 128, 64, 10]) == 109386\nassert count([5]) == 0\n",
        "points": (1, 1),
    },
    "fit": {
        "task": "Write `fit(X, y, rate, steps)`: least squares by gradient descent from zero.",
        "answer": "def fit(X, y, rate, steps):\n{}",
        "solution": (
            "    w = np.zeros(X.shape[1])\n"
            "    for _ in range(steps):\n"
            "        w = w - rate * 2 * X.T @ (X @ w - y) / len(y)\n"
            "    return w\n"
        ),
        "public": (
            "w = fit(np.eye(2), np.array([1.0, 2.0]), 0.5, 1)\n"
            "assert len(w) == 2\n"
            "assert np.allclose(w, [0.5, 1.0]), 'one step of gradient descent'\n"
        ),
        "hidden": (
            "rng = np.random.default_rng(0)\n"
            "X, truth = rng.normal(size=(50, 3)), np.array([1.0, -2.0, 3.0])\n"
            "w = fit(X, X @ truth, 0.1, 500)\n"
            "assert len(w) == 3 and np.allclose(w, truth, atol=1e-3)\n"
            "assert np.allclose(fit(X, X @ truth, 0.1, 0), 0)\n"
        ),
        "points": (2, 3),
    },
}
SOLVED = {name: one["answer"].format(one["solution"]) for name, one in EXERCISES.items()}


def cell(source, *tags, kind="code"):
    make = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
    return make(source, metadata={"tags": list(tags)} if tags else {})


def toy_cells():
    cells = [cell("# Toy homework", kind="markdown"), cell("import numpy as np")]
    for name, one in EXERCISES.items():
        inside = f"    ### BEGIN SOLUTION\n{one['solution']}    ### END SOLUTION\n"
        public, hidden = one["points"]
        title = f"## The exercise {name}\n\n{one['task']}"
        cells += [
            cell(title, "exercise", f"id=ex-{name}", "reread=a_section", kind="markdown"),
            cell(one["answer"].format(inside), "answer", f"id={name}"),
            cell(one["public"], "test", f"id={name}-public", f"points={public}"),
            cell(
                f"# more is tested\n### BEGIN HIDDEN TESTS\n{one['hidden']}### END HIDDEN TESTS",
                "test",
                f"id={name}-hidden",
                f"points={hidden}",
            ),
        ]
    cells.append(cell("def count(sizes):\n    return 9\n", "mutant", "of=count", "exhibit=nine"))
    return cells


def by_hand_cells():
    """An exercise that somebody has to look at."""
    answer = (
        "### BEGIN SOLUTION\nimport matplotlib.pyplot as plt\n\n"
        "fig, ax = plt.subplots(figsize=(2, 2))\nax.plot([1, 2])\n### END SOLUTION"
    )
    return [
        cell("## Draw", "exercise", "id=ex-draw", kind="markdown"),
        cell(answer, "answer", "id=draw", "points=2"),
    ]


def master(cells=None):
    notebook = nbformat.v4.new_notebook(cells=cells or toy_cells())
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "P", "language": "python"}
    for number, one in enumerate(notebook.cells):
        one["id"] = f"cell-{number}"
    return nbformat.writes(notebook)


def upload(released, answers, before="", after="", edit=None):
    """A student's file: answers in place, cells added at both ends, then anything else."""
    raw = json.loads(nbformat.writes(released))
    for one in raw["cells"]:
        id = one["metadata"].get("nbgrader", {}).get("grade_id")
        if id in answers:
            one["source"] = answers[id]
    for text, place in ((before, 0), (after, len(raw["cells"]) + 1)):
        if text:
            added = {"cell_type": "code", "metadata": {}, "source": text, "id": f"new-{place}"}
            raw["cells"].insert(place, added | {"outputs": [], "execution_count": None})
    if edit:
        edit(raw)
    return json.dumps(raw)


def make_course(folder, text=None, name="toy", **limits):
    """A course with one assignment, built, without executing its solution."""
    (folder / "masters").mkdir(parents=True)
    (folder / "masters" / f"{name}.ipynb").write_text(text or master())
    lines = [f"{key} = {value}\n" for key, value in limits.items()]
    site = 'title = "Toy"\nsite = "https://book.example"\n'
    (folder / "homework.toml").write_text(f"{site}[limits]\n{''.join(lines)}")
    course = open_course(folder)
    gradebook.release(course, course.assignment(name))
    return course
