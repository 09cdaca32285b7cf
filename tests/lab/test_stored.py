"""Stored results: what made them goes with them, and other code may not use them."""

import importlib
import json
import re
from pathlib import Path

import pytest

import dlnotes
from dlnotes.lab import keep, recall
from dlnotes.lab.stored import StoredError, fingerprint

NAME = "foundations/toy_sweep"


def train(steps):
    return [1 / (step + 1) for step in range(steps)]


def other(steps):
    return [2 / (step + 1) for step in range(steps)]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package folder of its own, in which results are looked for."""
    (tmp_path / "foundations").mkdir()
    monkeypatch.setattr("dlnotes.lab.stored.resources.files", lambda _: tmp_path)
    return tmp_path


def test_what_was_kept_comes_back_with_what_made_it(package):
    folder = package / "foundations"
    path = keep(NAME, train(3), code=[train], seconds=12.34, device="cpu", folder=folder, steps=3)
    assert path == folder / "toy_sweep.json"
    assert [one.name for one in folder.iterdir()] == ["toy_sweep.json"]
    stored = recall(NAME, code=[train])
    assert stored.data == train(3)
    assert stored.made["settings"] == {"steps": 3}
    assert re.fullmatch(
        r"stored result of \d{4}-\d\d-\d\d: 12 s on cpu, torch [\d.]+, Python [\d.]+", str(stored)
    )


def test_a_result_of_other_code_is_refused(package):
    keep(NAME, [], code=[train], seconds=1.0, device="cpu", folder=package / "foundations")
    with pytest.raises(StoredError, match="another version of other: run the chapter with preset"):
        recall(NAME, code=[other])


def test_comments_and_layout_are_not_code(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "plain_one.py").write_text("def train(steps): return steps\n")
    (tmp_path / "airy_one.py").write_text("def train(steps):\n    # why\n    return   steps\n")
    plain, airy = (importlib.import_module(name).train for name in ("plain_one", "airy_one"))
    assert fingerprint([plain]) == fingerprint([airy]) != fingerprint([train])


@pytest.mark.parametrize("text", ["{", "[]", '{"data": 1}', ""])
def test_a_missing_or_broken_file_says_what_to_do(package, text):
    with pytest.raises(StoredError, match=r"no stored result .*preset = 'gpu'"):
        recall(NAME, code=[train])
    (package / "foundations/toy_sweep.json").write_text(text, "utf8")
    with pytest.raises(StoredError, match=r"toy_sweep\.json is broken"):
        recall(NAME, code=[train])


def test_a_result_that_json_cannot_say_leaves_no_file(package):
    folder = package / "foundations"
    for bad in (float("nan"), object()):
        with pytest.raises((ValueError, TypeError)):
            keep(NAME, [bad], code=[train], seconds=1.0, device="cpu", folder=folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["toy", "../x/y", "a/b/c", "/etc", "a b/c"])
def test_a_name_is_a_part_and_a_topic(name):
    with pytest.raises(ValueError, match="named part/topic_what"):
        keep(name, [], code=[train], seconds=1.0, device="cpu")


def test_every_stored_result_of_the_book_is_sound():
    package = Path(dlnotes.__file__).parent
    for path in package.glob("*/*.json"):
        stored = json.loads(path.read_text("utf8"))
        assert set(stored) == {"made", "data"}, path
        assert stored["made"]["seconds"] > 0
