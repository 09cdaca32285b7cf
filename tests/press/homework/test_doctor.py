"""The box is tried from inside; where there is none, nothing is graded."""

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from homework_toy import SOLVED, upload
from typer.testing import CliRunner

from press.homework import doctor, sandbox
from press.homework.cli import app
from press.homework.doctor import examine, require_box
from press.homework.sandbox import Limits, NoSandbox, boxed
from press.homework.uploads import collect


@pytest.fixture
def run(monkeypatch):
    """Run a command as on a terminal that is wide."""
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*words):
        return CliRunner().invoke(app, list(map(str, words)))

    return invoke


def test_this_machine_has_a_box():
    """Without one the tests of homework prove nothing: `.ci/run` installs what it takes."""
    probes = examine(Limits(), [str(os.path.expanduser("~/.bashrc")), "/etc/passwd"])
    assert [(probe.what, probe.detail) for probe in probes if not probe.holds] == []
    assert len(probes) > 15


@pytest.mark.parametrize(
    ("drop", "notices"),
    [
        ("--unshare-pid", "no other processes"),
        ("--unshare-net", "no network"),
        ("--seccomp", "no memory that is not counted"),
        ("-i", "no secrets in the environment"),
        ("--nproc", "processes are limited"),
        ("--as", "memory is limited"),
        ("--fsize", "files are limited"),
        ("--cpu", "time is limited"),
        ("--size", "scratch folders are small"),
    ],
)
def test_a_hole_in_the_box_is_found(monkeypatch, drop, notices):
    """Leave out one layer at a time, of those that no other layer stands behind."""
    lengths = {"--seccomp": 2, "--size": 2}

    def holed(command, limits, calls):
        words, kept, skip = boxed(command, limits, calls), [], 0
        for word in words:
            if skip:
                skip -= 1
            elif word == drop or word.startswith(f"{drop}="):
                skip = lengths.get(drop, 1) - 1
            else:
                kept.append(word)
        assert kept != words
        return kept

    monkeypatch.setattr(doctor, "boxed", holed)
    monkeypatch.setenv("SECRET_TOKEN", "1")
    if drop == "--unshare-net" and len(Path("/proc/net/route").read_text().splitlines()) < 2:
        pytest.skip("this machine has no network itself")
    limits = Limits(address_space_mb=4096, file_mb=8, processes=40)
    failed = [probe.what for probe in examine(limits, []) if not probe.holds]
    assert notices in failed


def test_files_of_yours_that_the_box_shows_are_found():
    failed = [probe for probe in examine(Limits(), [sys.executable]) if not probe.holds]
    assert [probe.what for probe in failed] == ["no files of yours"]
    assert sys.executable in failed[0].detail


def test_a_missing_program_is_named_with_what_installs_it(monkeypatch):
    there = shutil.which
    monkeypatch.setattr(sandbox.shutil, "which", lambda one: None if one == "bwrap" else there(one))
    (missing,) = [probe for probe in examine(Limits(), []) if not probe.holds]
    assert "apt-get install bubblewrap" in missing.detail
    with pytest.raises(NoSandbox, match="bwrap is installed: no"):
        require_box(Limits(), [])


@pytest.fixture
def forbidding(monkeypatch, tmp_path):
    """A machine whose kernel forbids namespaces."""
    fake = tmp_path / "bin"
    fake.mkdir()
    script = fake / "bwrap"
    script.write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("forbidding")
def test_a_kernel_that_forbids_namespaces_is_explained(run, course):
    result = run("doctor", "--course", course.root)
    assert result.exit_code == 1
    assert "apparmor" in result.output.lower()


@pytest.mark.usefixtures("forbidding")
def test_without_a_box_nothing_is_graded(run, course, released, tmp_path):
    folder = tmp_path / "up"
    folder.mkdir()
    (folder / "ada.ipynb").write_text(upload(released, SOLVED))
    collect(course, "toy", folder)
    result = run("grade", "toy", "--course", course.root)
    assert result.exit_code == 2
    assert "no safe box" in result.output
    assert not course.result("toy", "ada").exists()
    assert run("check", "toy", "--course", course.root).exit_code == 2


@pytest.mark.usefixtures("forbidding")
def test_unsafe_is_said_everywhere(run, course, released, tmp_path):
    folder = tmp_path / "up"
    folder.mkdir()
    (folder / "ada.ipynb").write_text(upload(released, SOLVED))
    collect(course, "toy", folder)
    result = run("grade", "toy", "--course", course.root, "--unsafe-no-sandbox")
    assert result.exit_code == 0, result.output
    assert result.output.count("unsafe") == 2
    assert '"safe": false' in course.result("toy", "ada").read_text()
    assert run("export", "toy", "--course", course.root).exit_code == 0
    assert "unsafe" in (course.root / "grades/toy.csv").read_text()
    assert run("feedback", "toy", "--course", course.root).exit_code == 0
    assert "(unsafe)" in course.feedback("toy", "ada").read_text()


def test_a_user_who_is_not_root_gets_a_user_namespace(monkeypatch):
    monkeypatch.setattr(sandbox.os, "geteuid", lambda: 1000)
    words = boxed(["true"], Limits(), 9)
    assert "--unshare-user" in words
    assert "--disable-userns" in words
    assert "setpriv" not in words
    assert "--cap-add" not in words


def test_bubblewrap_starts_without_the_graders_environment():
    """To a user who is not root, /proc/1/environ of the box is open."""
    assert boxed(["true"], Limits(), 9)[:2] == ["env", "-i"]


def test_a_folder_of_the_box_that_can_be_written_is_found(monkeypatch):
    def holed(command, limits, calls):
        words = boxed(command, limits, calls)
        place = words.index("--remount-ro")
        return [*words[:place], "--perms", "0777", "--tmpfs", "/box/open", *words[place:]]

    monkeypatch.setattr(doctor, "boxed", holed)
    failed = {probe.what: probe.detail for probe in examine(Limits(), []) if not probe.holds}
    assert failed == {"cannot write": "/box/open"}


def test_limits_reach_the_command():
    words = boxed(["true"], replace(Limits(), processes=7, file_mb=3), 9)
    assert "--nproc=7" in words
    assert f"--fsize={3 << 20}" in words
