"""Replacing a file in one step: the old one or the new one, whatever happens."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from press.files import write_atomically


def test_writes_a_new_file_and_its_folders(tmp_path: Path):
    path = tmp_path / "a/b/c.txt"
    write_atomically(path, "né\n")
    assert path.read_bytes() == "né\n".encode()
    assert path.stat().st_mode & 0o777 == 0o644


def test_replaces_a_file_and_keeps_its_mode(tmp_path: Path):
    path = tmp_path / "run.sh"
    path.write_text("old")
    path.chmod(0o755)
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o755
    assert os.listdir(tmp_path) == ["run.sh"]


def test_text_that_cannot_be_written_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "chapter.ipynb"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new" * 100_000 + "\ud800")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["chapter.ipynb"]


def test_a_replacement_that_fails_leaves_no_file_behind(tmp_path: Path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_atomically(tmp_path / "taken", "new")
    assert os.listdir(tmp_path) == ["taken"]


def test_a_kill_in_the_middle_of_writing_leaves_one_whole_text(tmp_path: Path, wait_for):
    path = tmp_path / "chapter.ipynb"
    texts = [letter * 3_000_000 for letter in "ab"]
    endless = (
        "import itertools, pathlib, sys\n"
        "from press.files import write_atomically\n"
        "for letter in itertools.cycle('ab'):\n"
        "    write_atomically(pathlib.Path(sys.argv[1]), letter * 3_000_000)\n"
    )
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", endless, str(path)])
        path.unlink(missing_ok=True)
        wait_for(path.exists, 60)
        process.kill()
        process.wait()
        assert path.read_text() in texts
