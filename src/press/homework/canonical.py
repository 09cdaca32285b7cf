"""A student's upload, poured into the notebook that was handed out.

Only the text of answers and of cells that the student added survives. No id, point, test, output or
metadata of an upload is believed, so what comes out can be graded by any tool.
"""

import copy
import json
from typing import Any

import nbformat

MAX_CELLS = 2000
MAX_SOURCE = 1 << 20


class NotANotebook(ValueError):
    """An upload that no answers can be read from."""


def parse(data: bytes) -> dict[str, Any]:
    """Read an upload as JSON; raise NotANotebook with the reason."""
    try:
        raw = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise NotANotebook("not text") from None
    except RecursionError:
        raise NotANotebook("nested too deeply") from None
    except ValueError as error:
        raise NotANotebook(f"not JSON: {str(error)[:100]}") from None
    if not isinstance(raw, dict) or not isinstance(raw.get("cells"), list):
        raise NotANotebook("no notebook: it has no list of cells")
    return raw


def filled_in(released: Any, answers: dict[str, str]) -> dict[str, Any]:
    """Return what a student would upload who gave these answers, by id, and did nothing else."""
    upload: dict[str, Any] = json.loads(nbformat.writes(released))
    for cell in upload["cells"]:
        if (id := _id(cell)) in answers:
            cell["source"] = answers[id]
    return upload


def pour(released: Any, raw: dict[str, Any]) -> tuple[Any, list[str]]:
    """Return the released notebook with the upload's answers, and what was odd about the upload.

    An answer that occurs twice counts as it stood last; one that is missing stays blank; a locked
    cell that was changed is put back.
    """
    notebook, notes = copy.deepcopy(released), []
    ours = {_id(cell): cell for cell in notebook.cells}
    answers: dict[str, str] = {}
    added: dict[str | None, list[tuple[str, str]]] = {}
    last: str | None = None
    for cell in raw["cells"][:MAX_CELLS]:
        if not isinstance(cell, dict):
            continue
        text, id = _text(cell), _id(cell)
        if id is not None and id in ours:
            last = id
            if _grader(ours[id]).get("solution"):
                if id in answers:
                    notes.append(f"{id}: more than one cell; the last one counts")
                answers[id] = text
            elif text != ours[id].source:
                notes.append(f"{id}: was changed; the cell that was handed out counts")
        elif cell.get("cell_type") in ("code", "markdown") and text.strip():
            added.setdefault(last, []).append((cell["cell_type"], text))
    if len(raw["cells"]) > MAX_CELLS:
        notes.append(f"more than {MAX_CELLS} cells; the rest was left out")
    if not set(ours) & {_id(cell) for cell in raw["cells"] if isinstance(cell, dict)}:
        notes.append("no cell of this assignment in it: is it the right notebook?")
    poured = _fresh(added.get(None, ()), 0)
    for cell in notebook.cells:
        id = _id(cell)
        if _grader(cell).get("solution"):
            if id in answers:
                cell.source = answers[id]
            else:
                notes.append(f"{id}: missing; counts as blank")
        poured.append(cell)
        poured += _fresh(added.get(id, ()), len(poured))
    notebook.cells = poured
    return notebook, notes


def _grader(cell: Any) -> dict[str, Any]:
    metadata = cell.get("metadata")
    found = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else {}


def _id(cell: Any) -> str | None:
    id = _grader(cell).get("grade_id")
    return id if isinstance(id, str) else None


def _text(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    text = source[:MAX_SOURCE] if isinstance(source, str) else ""
    return text.encode("utf8", "replace").decode("utf8")  # halves of surrogate pairs


def _fresh(cells: Any, start: int) -> list[Any]:
    make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    return [
        make[kind](text, id=f"added-{start + number}") for number, (kind, text) in enumerate(cells)
    ]
