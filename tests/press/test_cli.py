"""What commands say, how they end, and what a kill leaves behind."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from press.book import Chapter
from press.cli import parse_seeds


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("5", [5]),
        ("0-3", [0, 1, 2, 3]),
        ("4-4", [4]),
        ("0,3,7", [0, 3, 7]),
        ("7, 1-2", [7, 1, 2]),
        ("0-2,1-3,0", [0, 1, 2, 3]),
    ],
)
def test_seeds_are_ranges_and_lists_each_seed_once(text: str, seeds: list[int]):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-1", "-1", "0-", "1,,2", "0:9", "1.5", "0-1-2"])
def test_anything_else_is_refused_with_an_example(text: str):
    with pytest.raises(typer.BadParameter, match="seeds look like 0-9 or 0,3,7"):
        parse_seeds(text)


def test_the_command_line_refuses_bad_seeds_before_it_starts_anything(empty: Path, press):
    result = press(empty, "run", "verify", "--seeds", "9-0")
    assert result.exit_code == 2
    assert "seeds look like 0-9" in result.output


def test_a_folder_outside_any_book_is_refused(tmp_path: Path, press):
    result = press(tmp_path, "check")
    assert result.exit_code == 2
    assert "no book here" in result.output


@pytest.mark.parametrize("command", [("run", "execute"), ("run", "verify"), ("check",)])
def test_an_unknown_chapter_is_refused_with_the_known_ones(small_book: Path, press, command):
    result = press(small_book, *command, "soup")
    assert result.exit_code == 2
    assert "no chapter soup; there are: sequences/stream_mean" in " ".join(result.output.split())


def test_brackets_in_an_error_are_shown_not_taken_for_colors(empty: Path, press):
    assert "'[red]/[bold]'" in press(empty, "new", "[red]/[bold]").output


def test_help_names_every_command(empty: Path, press):
    text = press(empty, "--help").output
    for command in ("run", "site", "new", "toc", "check", "student"):
        assert f" {command} " in text


# ---------------------------------------------------------------------------- execute
def test_a_killed_execute_leaves_the_notebook_and_the_folder_as_they_were(
    small_book: Path, stream_mean: Chapter, add_chapter, environment, tmp_path: Path, wait_for
):
    begun = tmp_path / "begun"
    marks = f"""
        import os, pathlib, time
        pathlib.Path({str(begun)!r}).write_text(str(os.getpid()))
        time.sleep(300)
    """
    chapter = add_chapter(small_book, "ctc", "print('an output of this run')", marks)
    before = {path: path.read_bytes() for path in small_book.rglob("*") if path.is_file()}
    assert {chapter.notebook, stream_mean.notebook} <= before.keys()
    command = [sys.executable, "-m", "press", "run", "execute", "ctc", "--workers", "1"]
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(command, cwd=small_book, env=environment, stdout=log, stderr=log)
    kernel = 0
    try:
        wait_for(lambda: begun.exists() and begun.read_text(), 120)
        kernel = int(begun.read_text())
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
        after = {path: path.read_bytes() for path in small_book.rglob("*") if path.is_file()}
        assert after == before
        wait_for(lambda: not running(kernel), 30)  # nor does a kernel go on unseen
    finally:
        process.kill()
        process.wait()
        log.close()
        if kernel and running(kernel):
            os.kill(kernel, signal.SIGKILL)


def running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_notebook_that_cannot_be_read_fails_alone_and_by_its_name(
    small_book: Path, add_chapter, press, cluster
):
    good = add_chapter(small_book, "ctc", "print('fine')")
    bad = add_chapter(small_book, "decoding")
    bad.notebook.write_text("{")
    words = ("run", "execute", "decoding", "ctc", "--scheduler", cluster.address)
    result = press(small_book, *words)
    assert result.exit_code == 1
    assert "sequences/decoding at seed 0:\nNotJSONError" in result.output
    assert "fine" in good.notebook.read_text("utf8")
    assert bad.notebook.read_text() == "{"


def test_a_cell_beyond_the_time_limit_is_a_failure(small_book: Path, add_chapter, press, cluster):
    chapter = add_chapter(small_book, "ctc", "import time; time.sleep(300)")
    before = chapter.notebook.read_bytes()
    words = ("run", "execute", "ctc", "--timeout", "1", "--scheduler", cluster.address)
    result = press(small_book, *words)
    assert result.exit_code == 1
    assert "CellTimeoutError" in result.output
    assert chapter.notebook.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "folder", "parameters"),
    [
        (["--preset", "gpu"], "_build/run/gpu", ["gpu", "auto"]),
        (["--output", "mine"], "mine", ["laptop", "auto"]),
    ],
)
def test_what_is_not_to_be_stored_goes_to_a_folder(
    small_book: Path, add_chapter, press, cluster, words, folder, parameters
):
    chapter = add_chapter(small_book, "ctc", "print('ran with', [preset, device])")
    before = chapter.notebook.read_bytes()
    words = ("run", "execute", "ctc", "--scheduler", cluster.address, *words)
    result = press(small_book, *words)
    assert result.exit_code == 0, result.output
    assert chapter.notebook.read_bytes() == before
    ran = json.loads((small_book / folder / "sequences/ctc.ipynb").read_text("utf8"))
    assert f"ran with {parameters}" in str(ran["cells"][-1]["outputs"])


def test_a_result_that_a_longer_run_keeps_comes_back_beside_its_notebook(
    small_book: Path, add_chapter, press, cluster
):
    add_chapter(
        small_book,
        "ctc",
        """
        from dlnotes.lab import keep
        if preset == "gpu":
            keep("sequences/ctc_sweep", [1, 2], code=[keep], seconds=1.0, device="cpu")
        """,
    )
    words = ("run", "execute", "ctc", "--preset", "gpu", "--scheduler", cluster.address)
    assert press(small_book, *words).exit_code == 0
    kept = small_book / "_build/run/gpu/sequences/ctc_sweep.json"
    assert json.loads(kept.read_text("utf8"))["data"] == [1, 2]


def test_an_address_at_which_nobody_answers_is_named_in_one_clear_line(small_book: Path, press):
    with socket.socket() as taken:  # bound, but it does not listen
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        result = press(small_book, "run", "verify", "--scheduler", address)
    assert result.exit_code == 2
    assert f"error: no Dask scheduler answers at {address}" in result.output
    assert "Traceback" not in result.output
    assert not (small_book / "_build").exists()
