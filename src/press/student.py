"""A chapter as its students get it: exercises without solutions, cells without outputs."""

from pathlib import Path

import nbformat
from nbconvert.preprocessors import ClearOutputPreprocessor, TagRemovePreprocessor

from press.book import Chapter
from press.files import write_atomically


def student_version(chapter: Chapter, folder: Path) -> Path:
    """Write the chapter without cells tagged ``solution`` and without outputs; return the path."""
    notebook = nbformat.read(chapter.notebook, as_version=4)
    for step in (TagRemovePreprocessor(remove_cell_tags={"solution"}), ClearOutputPreprocessor()):
        step.enabled = True
        notebook, _ = step.preprocess(notebook, {})
    filled = []
    for cell in notebook.cells:
        filled.append(cell)
        if "exercise" in cell.metadata.get("tags", ()):
            filled.append(nbformat.v4.new_code_cell("# Your answer", id=f"{cell.id}-answer"))
    notebook.cells = filled
    nbformat.validate(notebook)
    path = folder / f"{chapter.id}.ipynb"
    write_atomically(path, nbformat.writes(notebook) + "\n")
    return path
