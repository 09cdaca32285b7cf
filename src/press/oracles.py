"""What reference implementations are checked against, read from the markers of their tests."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from press.book import BookError, Chapter

MARKER = "oracle"
_RECORDS = {"NamedTuple", "Protocol", "TypedDict"}  # they hold values and compute nothing


@dataclass(frozen=True)
class Oracle:
    """One test that compares reference implementations with an independent one."""

    of: tuple[str, ...]
    implementation: str
    tolerance: float
    test: str
    line: int


def read_oracles(chapter: Chapter) -> list[Oracle]:
    """Return a chapter's oracles, in the order of its tests; raise `BookError` for a bad marker."""
    oracles = [
        _oracle(chapter.test, function.name, decorator)
        for function in _functions(chapter.test)
        for decorator in function.decorator_list
        if _is_marker(decorator)
    ]
    there = _defined(chapter.module) if oracles else set()
    for oracle in oracles:
        for name in oracle.of:
            if name not in there:
                where, module = f"{chapter.test.name}:{oracle.line}", chapter.module.name
                raise BookError(f"{where}: marks an oracle of {name!r}, which {module} lacks")
    return oracles


def unchecked(chapter: Chapter) -> list[str]:
    """Return the module's public functions and classes that no test compares with an oracle.

    Classes that only hold values (data classes, named tuples) need none.
    """
    checked = {name.split(".")[0] for oracle in read_oracles(chapter) for name in oracle.of}
    return [name for name in public_names(chapter.module) if name not in checked]


def public_names(module: Path) -> list[str]:
    """Return a module's public functions and those of its classes that compute."""
    return [
        node.name
        for node in _parse(module).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not (isinstance(node, ast.ClassDef) and _holds_values(node))
    ]


def _defined(module: Path) -> set[str]:
    """Return the names of functions, classes and their methods."""
    names = set()
    for node in _parse(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (one for one in node.body if isinstance(one, ast.FunctionDef))
            names |= {f"{node.name}.{method.name}" for method in methods}
    return names


def _holds_values(node: ast.ClassDef) -> bool:
    bases = {ast.unparse(base).split(".")[-1].split("[")[0] for base in node.bases}
    decorators = {ast.unparse(one).split("(")[0].split(".")[-1] for one in node.decorator_list}
    return bool(bases & _RECORDS or "dataclass" in decorators or any("Error" in b for b in bases))


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf8"), filename=str(path))


def _functions(path: Path) -> Iterator[ast.FunctionDef]:
    if path.is_file():
        yield from (node for node in _parse(path).body if isinstance(node, ast.FunctionDef))


def _is_marker(decorator: ast.expr) -> bool:
    wanted = f"pytest.mark.{MARKER}"
    return isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == wanted


def _oracle(path: Path, test: str, decorator: Any) -> Oracle:
    where = f"{path.name}:{decorator.lineno}"
    try:
        (implementation,) = (ast.literal_eval(value) for value in decorator.args)
        given = {one.arg: ast.literal_eval(one.value) for one in decorator.keywords}
    except ValueError:
        raise BookError(f"{where}: a marker says {MARKER}({_USAGE}), in literals") from None
    if set(given) != {"of", "tolerance"}:
        raise BookError(f"{where}: a marker says {MARKER}({_USAGE}), not {sorted(given)}")
    names = (given["of"],) if isinstance(given["of"], str) else tuple(given["of"])
    return Oracle(names, implementation, given["tolerance"], test, decorator.lineno)


_USAGE = '"package.function", of="name", tolerance=1e-12'
