"""Where the book's files are, and which chapters it plans and has."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

DEFAULT_BUDGET = 30  # CPU seconds


class BookError(Exception):
    """Something about the book's files that its user can put right."""


@dataclass(frozen=True)
class Chapter:
    """One topic: the same name on every floor."""

    root: Path
    part: str
    id: str
    title: str
    budget: float = DEFAULT_BUDGET

    @property
    def name(self) -> str:
        """The full name, ``part/topic``."""
        return f"{self.part}/{self.id}"

    @property
    def notebook(self) -> Path:
        """The chapter itself."""
        return self.root / "book" / self.part / f"{self.id}.ipynb"

    @property
    def module(self) -> Path:
        """Its reference implementation."""
        return self.root / "src/dlnotes" / self.part / f"{self.id}.py"

    @property
    def record(self) -> Path:
        """Its claims and flashcards."""
        return self.module.with_suffix(".yml")

    @property
    def test(self) -> Path:
        """Its tests."""
        return self.root / "tests" / self.part / f"test_{self.id}.py"

    @property
    def rooms(self) -> tuple[Path, Path, Path, Path]:
        """Every file a chapter consists of."""
        return self.notebook, self.module, self.record, self.test


@dataclass(frozen=True)
class Part:
    """A part of the book and the chapters planned for it."""

    id: str
    title: str
    chapters: tuple[Chapter, ...]


def find_root(start: Path | None = None) -> Path:
    """Return the folder of the checkout that ``start`` (default: here) lies in."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "book/contents.yml").is_file():
            return folder
    raise BookError(f"no book here: {here} lies in no folder with book/contents.yml")


def parts(root: Path) -> tuple[Part, ...]:
    """Return the table of contents as planned."""
    plan = yaml.safe_load((root / "book/contents.yml").read_text("utf8"))
    return tuple(
        Part(
            part["id"],
            part["title"],
            tuple(
                Chapter(
                    root,
                    part["id"],
                    one["id"],
                    one["title"],
                    one.get("budget", DEFAULT_BUDGET),
                )
                for one in part["chapters"] or ()
            ),
        )
        for part in plan["parts"]
    )


def planned(root: Path) -> tuple[Chapter, ...]:
    """Return every planned chapter, in reading order."""
    return tuple(chapter for part in parts(root) for chapter in part.chapters)


def written(root: Path) -> tuple[Chapter, ...]:
    """Return the chapters that have a notebook, in reading order."""
    return tuple(chapter for chapter in planned(root) if chapter.notebook.is_file())


def select(chapters: Iterable[Chapter], names: Iterable[str]) -> tuple[Chapter, ...]:
    """Return the chapters so named (``part/topic`` or ``topic``), or all where none is named."""
    chapters, names = tuple(chapters), tuple(names)
    known = {chapter.name: chapter for chapter in chapters}
    known |= {chapter.id: chapter for chapter in chapters}
    unknown = [name for name in names if name not in known]
    if unknown:
        there = ", ".join(chapter.name for chapter in chapters) or "none"
        raise BookError(f"no chapter {', '.join(unknown)}; there are: {there}")
    return tuple(dict.fromkeys(known[name] for name in names)) or chapters


def table_of_contents(root: Path) -> str:
    """Return what ``_toc.yml`` must say: every written chapter, part by part."""
    lines = [
        "# Written by `python -m press toc` from book/contents.yml and the notebooks there are.",
        "format: jb-book",
        "root: book/index",
        "parts:",
        "- caption: The book",
        "  chapters:",
        "  - file: book/how-to",
        "    title: How to read, run, assign",
        "  - file: book/homework",
        "  - file: book/notation",
    ]
    for part in parts(root):
        there = [chapter for chapter in part.chapters if chapter.notebook.is_file()]
        if there:
            # Chapters are numbered, not their sections: figure 3.2 is the second of chapter 3.
            lines += [f"- {_entry('caption', part.title)}", "  numbered: 1", "  chapters:"]
        for chapter in there:
            lines += [
                f"  - file: book/{chapter.name}",
                f"    {_entry('title', chapter.title)}",
            ]
    lines += [
        "- caption: Reference",
        "  chapters:",
        "  - file: book/ledger",
        "  - file: book/oracles",
        "  - file: book/cards",
        "  - file: book/api",
        "    title: API",
        "  - file: book/glossary",
        "  - file: book/bibliography",
    ]
    return "\n".join(lines) + "\n"


def _entry(key: str, text: str) -> str:
    """Return ``key: text`` as YAML, quoted where it must be."""
    return yaml.safe_dump({key: text}, allow_unicode=True, width=1000).strip()
