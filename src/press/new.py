"""A new chapter: four small files that run and pass every check, to be written over."""

import json
import keyword
import re
from importlib import resources
from pathlib import Path

import nbformat
import yaml

from press.book import BookError, Chapter, parts, planned, table_of_contents
from press.files import write_atomically

_TEMPLATES = ("chapter.ipynb", "module.py.txt", "record.yml.txt", "test.py.txt")


def make_chapter(root: Path, name: str) -> list[Path]:
    """Make the rooms of ``part/topic`` and enter it in the table of contents; return the paths.

    A record that is there already, with the claims of the notes, is kept: the notebook then checks
    none of them yet, and `press.structure` lists what is to be checked. Raises ``BookError`` for a
    name that is no such pair, an unknown part, a topic that another part has, or any other file
    that exists; nothing is written then.
    """
    part, _, topic = name.partition("/")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", part) or not re.fullmatch(r"[a-z][a-z0-9_]*", topic):
        raise BookError(f"a chapter is named part/topic, lower case, as in vision/ctc: {name!r}")
    if keyword.iskeyword(topic) or not isinstance(yaml.safe_load(topic), str):
        raise BookError(f"{topic!r} means something else to Python or YAML: choose another name")
    known = {one.id: one for one in parts(root)}
    if part not in known:
        raise BookError(f"no part {part!r} in book/contents.yml; there are: {', '.join(known)}")
    rivals = [one.name for one in planned(root) if one.id == topic and one.part != part]
    if rivals:
        raise BookError(f"a topic has one name: {topic} is planned as {rivals[0]}")
    titles = {one.id: one.title for one in known[part].chapters}
    title = titles.get(topic, topic.replace("_", " ").capitalize())
    chapter = Chapter(root, part, topic, title)
    recorded = chapter.record.exists()
    there = [room for room in chapter.rooms if room.exists() and room != chapter.record]
    if there:
        raise BookError(f"{there[0].relative_to(root)} exists: nothing was changed")
    made = []
    for room, template in zip(chapter.rooms, _TEMPLATES, strict=True):
        if room == chapter.record and recorded:
            continue
        text = resources.files("press").joinpath("templates", template).read_text("utf8")
        spelled = json.dumps(title, ensure_ascii=False)[1:-1]  # it stands in a notebook's JSON
        for token, value in (("@PART@", part), ("@TOPIC@", topic), ("@TITLE@", spelled)):
            text = text.replace(token, value)
        if room == chapter.notebook and recorded:
            text = _without_claim(text)
        write_atomically(room, text)
        made.append(room)
    package = chapter.module.parent / "__init__.py"
    if not package.exists():
        write_atomically(package, f'"""{known[part].title}."""\n')
        made.append(package)
    if topic not in titles:
        _plan(root, part, topic, title)
    write_atomically(root / "_toc.yml", table_of_contents(root))
    return made


def _without_claim(text: str) -> str:
    """Take the template's own claim out of its notebook, for a record that has others."""
    notebook = nbformat.reads(text, as_version=4)
    for cell in notebook.cells:
        if cell.id == "check":
            cell.source = cell.source.partition("keeps_up")[0] + "assert gap < 1e-12"
        if cell.id == "setup":
            cell.source = cell.source.replace("import check, ", "import ")
    return str(nbformat.writes(notebook)) + "\n"


def _plan(root: Path, part: str, topic: str, title: str) -> None:
    """Enter the topic at the end of its part, leaving the rest of the file to the letter."""
    path = root / "book/contents.yml"
    pieces = re.split(r"(?m)^(?=- id: )", path.read_text("utf8"))
    entry = f"  - {{id: {topic}, title: {title}}}\n"
    at = next(i for i, piece in enumerate(pieces) if piece.startswith(f"- id: {part}\n"))
    chapters = pieces[at].rstrip("\n")
    pieces[at] = f"{chapters}\n{entry}{pieces[at][len(chapters) + 1 :]}"
    write_atomically(path, "".join(pieces))
