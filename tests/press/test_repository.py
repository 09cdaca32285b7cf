"""Which remote is a place for readers, and which must not be shown."""

import subprocess
from pathlib import Path

import pytest

from press.repository import repository_url, theme_options, web_address

BOOK = "https://github.com/org/book"


@pytest.fixture
def clone(tmp_path: Path, monkeypatch) -> Path:
    """A git repository on branch ``draft``, without remotes, and no word from the environment."""
    for name in ("BOOK_REPOSITORY_URL", "BOOK_REPOSITORY_BRANCH", "BOOK_JUPYTERHUB_URL"):
        monkeypatch.delenv(name, raising=False)
    subprocess.run(["git", "init", "-q", "-b", "draft", str(tmp_path)], check=True)
    return tmp_path


def add_remote(clone: Path, address: str) -> None:
    subprocess.run(["git", "-C", str(clone), "remote", "add", "origin", address], check=True)


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/org/book",
        "https://github.com/org/book/",
        "https://github.com/org/book.git",
        "https://github.com/org/book.git/",
        "http://github.com/org/book.git",
        "https://reader@github.com/org/book.git",
        "https://reader:secret@github.com/org/book.git",
        "https://x-access-token:secret@github.com/org/book",
        "https://GitHub.com/org/book",
        "git@github.com:org/book.git",
        "github.com:org/book.git",
        "git@github.com:org/book",
        "ssh://git@github.com/org/book.git",
        "ssh://git@github.com:22/org/book.git",
        "git://github.com/org/book.git",
        "https://github.com/org/book.git\n",
    ],
)
def test_every_spelling_of_a_remote_gives_one_page_and_no_secret(remote: str):
    assert web_address(remote) == BOOK


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("git@gitlab.com:group/sub/book.git", "https://gitlab.com/group/sub/book"),
        ("https://gitlab.example.org/group/book", "https://gitlab.example.org/group/book"),
        ("git@git.example.org:org/my.book.git", "https://git.example.org/org/my.book"),
        ("https://bitbucket.org/org/book.git", "https://bitbucket.org/org/book"),
    ],
)
def test_other_hosts_and_deeper_groups_keep_their_path(remote: str, page: str):
    assert web_address(remote) == page


@pytest.mark.parametrize(
    "remote",
    [
        "",
        "/srv/git/book.git",
        "../book",
        "./org/book",
        "file:///srv/git/org/book.git",
        r"C:\git\org\book",
        "http://localhost:3000/org/book",
        "http://127.0.0.1:3000/org/book.git",
        "http://[::1]/org/book",
        "git@localhost:org/book.git",
        "ssh://git@buildhost/org/book.git",
        "work:org/book.git",  # a name of ~/.ssh/config
        "https://github.com/org",
        "git@github.com:book.git",
        "ftp://github.com/org/book",
    ],
)
def test_a_folder_or_a_host_that_readers_cannot_reach_is_no_address(remote: str):
    assert web_address(remote) is None


def test_without_a_repository_the_theme_gets_no_buttons(clone: Path, tmp_path: Path):
    assert theme_options(clone) == {}
    add_remote(clone, str(tmp_path / "book.git"))
    assert theme_options(clone) == {}


def test_a_folder_without_git_has_no_address(tmp_path: Path, monkeypatch):
    monkeypatch.delenv("BOOK_REPOSITORY_URL", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))  # a machine without git
    assert repository_url(tmp_path) is None


def test_a_remote_on_github_gives_buttons_for_its_branch(clone: Path):
    add_remote(clone, "git@github.com:org/book.git")
    options = theme_options(clone)
    assert options["repository_url"] == BOOK
    assert options["repository_branch"] == "draft"
    assert set(options["launch_buttons"]) == {"notebook_interface", "binderhub_url", "colab_url"}


def test_colab_is_offered_for_github_only_and_a_hub_where_one_is_named(clone: Path, monkeypatch):
    add_remote(clone, "git@gitlab.com:org/book.git")
    monkeypatch.setenv("BOOK_JUPYTERHUB_URL", "https://hub.example.org")
    monkeypatch.setenv("BOOK_REPOSITORY_BRANCH", "main")
    options = theme_options(clone)
    assert options["repository_branch"] == "main"
    assert options["launch_buttons"]["jupyterhub_url"] == "https://hub.example.org"
    assert "colab_url" not in options["launch_buttons"]


def test_the_environment_wins_over_the_remote_and_may_say_that_there_is_none(
    clone: Path, monkeypatch
):
    add_remote(clone, "git@github.com:someone/fork.git")
    monkeypatch.setenv("BOOK_REPOSITORY_URL", "https://reader:secret@github.com/org/book.git")
    assert repository_url(clone) == BOOK
    monkeypatch.setenv("BOOK_REPOSITORY_URL", "")
    assert theme_options(clone) == {}
