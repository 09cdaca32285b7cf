"""The instructor's notebook: solutions in place, executed in a kernel like any other notebook."""

from typing import Any

import nbformat

from press.homework.assignment import Assignment, HomeworkError, source_notebook
from press.homework.course import Course


def executed(course: Course, assignment: Assignment) -> Any:
    """Run the master with its solutions; raise HomeworkError with the cell that fails."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = source_notebook(assignment)
    client = NotebookClient(notebook, timeout=300, kernel_name="python3")
    try:
        client.execute(cwd=str(course.root))
    except CellExecutionError as error:
        raise HomeworkError(f"{assignment.name}: its own solution fails: {error}") from None
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    nbformat.validate(notebook)
    return notebook
