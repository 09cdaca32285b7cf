"""For tests: look at what a student's object holds, wherever that object lives.

In a hidden test, ``inside("sum(p.numel() for p in net.parameters())", net=net)`` evaluates the
expression beside the student's objects: in the box when homework is graded, in the notebook itself
when an instructor runs the master.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

# How to evaluate: in a box while homework is graded, right here if it is empty.
_evaluate: list[Callable[..., Any]] = []


def inside(expression: str, **names: Any) -> Any:
    """Evaluate an expression in which ``names`` stand for a student's objects."""
    if _evaluate:
        return _evaluate[-1](expression, **names)
    import __main__

    return eval(expression, {**vars(__main__), **names})


@contextlib.contextmanager
def in_box(evaluate: Callable[..., Any]) -> Iterator[None]:
    """Let ``inside`` ask a box for as long as this lasts."""
    _evaluate.append(evaluate)
    try:
        yield
    finally:
        _evaluate.pop()
