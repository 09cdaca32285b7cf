"""Where the files are, what is planned, and what the table of contents says of it."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml

from press import book
from press.book import DEFAULT_BUDGET, BookError

REPOSITORY = Path(__file__).parents[2]
PLAN = """\
parts:
- id: first
  title: First things
  chapters:
  - {id: one, title: One}
  - {id: two, title: "Two: a \\"colon\\"", budget: 90}
- id: last
  title: Last things
  chapters:
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "book/first").mkdir(parents=True)
    (tmp_path / "book/contents.yml").write_text(PLAN)
    return tmp_path


def test_finds_the_book_from_any_folder_inside_it(small: Path, monkeypatch):
    assert book.find_root(small / "book/first") == small
    monkeypatch.chdir(small / "book")
    assert book.find_root() == small


def test_says_where_it_looked_when_there_is_no_book(tmp_path: Path):
    with pytest.raises(BookError, match=str(tmp_path)):
        book.find_root(tmp_path)


def test_reads_parts_chapters_and_budgets_in_order(small: Path):
    first, last = book.parts(small)
    assert [chapter.name for chapter in first.chapters] == ["first/one", "first/two"]
    assert [chapter.budget for chapter in first.chapters] == [DEFAULT_BUDGET, 90]
    assert last.chapters == ()  # a part may wait for its first chapter
    assert book.planned(small) == first.chapters


def test_every_room_of_a_chapter_has_its_name(small: Path):
    rooms = [str(room.relative_to(small)) for room in book.planned(small)[0].rooms]
    assert rooms == [
        "book/first/one.ipynb",
        "src/dlnotes/first/one.py",
        "src/dlnotes/first/one.yml",
        "tests/first/test_one.py",
    ]


def test_a_chapter_is_written_once_its_notebook_exists(small: Path):
    assert book.written(small) == ()
    (small / "book/first/two.ipynb").touch()
    assert [chapter.id for chapter in book.written(small)] == ["two"]


def test_selects_by_short_and_full_name_each_chapter_once_and_all_without_names(small: Path):
    one, two = book.planned(small)
    assert book.select((one, two), ["two", "first/two", "first/one"]) == (two, one)
    assert book.select((one, two), []) == (one, two)


def test_an_unknown_name_is_refused_with_the_known_ones(small: Path):
    with pytest.raises(BookError, match=r"no chapter three, four; there are: first/one, first/two"):
        book.select(book.planned(small), ["three", "one", "four"])
    with pytest.raises(BookError, match="there are: none"):
        book.select((), ["one"])


def test_the_table_of_contents_lists_what_is_written_and_quotes_what_yaml_would_misread(
    small: Path,
):
    (small / "book/first/two.ipynb").touch()
    toc = yaml.safe_load(book.table_of_contents(small))
    captions = {part["caption"]: part["chapters"] for part in toc["parts"]}
    assert list(captions) == ["The book", "First things", "Reference"]
    assert captions["First things"] == [{"file": "book/first/two", "title": 'Two: a "colon"'}]


def test_the_books_own_plan_gives_every_topic_one_name_only():
    names = Counter(chapter.id for chapter in book.planned(REPOSITORY))
    assert names.total() > 80
    assert not [name for name, times in names.items() if times > 1]


def test_toc_writes_the_table_of_contents(small_book: Path, press):
    wanted = (small_book / "_toc.yml").read_text("utf8")
    (small_book / "_toc.yml").unlink()
    assert press(small_book, "toc").exit_code == 0
    assert (small_book / "_toc.yml").read_text("utf8") == wanted
    shutil.rmtree(small_book / "book/sequences")
    assert press(small_book, "toc").exit_code == 0
    assert "stream_mean" not in (small_book / "_toc.yml").read_text("utf8")
