"""Markers of tests, read without running them."""

import pytest

from press.book import BookError, Chapter
from press.oracles import Oracle, public_names, read_oracles, unchecked

MODULE = '''
from dataclasses import dataclass
from typing import NamedTuple

class State(NamedTuple):
    t: int

@dataclass(frozen=True)
class Settings:
    rate: float

class Refused(ValueError):
    """No."""

class Layer:
    def forward(self): ...

def attend(): ...
def _helper(): ...
'''
TESTS = """
import pytest

@pytest.mark.parametrize("seed", range(3))
@pytest.mark.oracle("torch.nn.functional.softmax", of=["attend", "Layer.forward"], tolerance=1e-9)
def test_it_agrees(seed, agree): ...

def test_without(): ...
"""


@pytest.fixture
def room(tmp_path):
    """Make a chapter of a module and its tests."""

    def write(tests=TESTS, module=MODULE):
        made = Chapter(tmp_path, "attention", "toy", "Toy")
        for path, text in ((made.module, module), (made.test, tests)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf8")
        return made

    return write


def test_a_marker_is_read_with_its_test_and_line(room):
    expected = Oracle(
        of=("attend", "Layer.forward"),
        implementation="torch.nn.functional.softmax",
        tolerance=1e-9,
        test="test_it_agrees",
        line=5,
    )
    assert read_oracles(room()) == [expected]


def test_what_computes_in_public_needs_an_oracle(room):
    made = room()
    assert public_names(made.module) == ["Layer", "attend"]
    assert unchecked(made) == []
    assert unchecked(room(tests="")) == ["Layer", "attend"]


@pytest.mark.parametrize(
    "marker",
    ['"a", of=NAME, tolerance=0', '"a", of="b"', '"a", of="b", tolerance=0, rtol=1', 'of="b"'],
)
def test_a_bad_marker_is_refused_with_file_and_line(room, marker):
    made = room(f"import pytest\n\n@pytest.mark.oracle({marker})\ndef test_x(agree): ...\n")
    with pytest.raises(BookError, match=r"test_toy\.py:3: a marker says oracle\("):
        read_oracles(made)


def test_a_name_that_the_module_lacks_is_refused(room):
    with pytest.raises(BookError, match=r"test_toy\.py:5: .*'attend'"):
        read_oracles(room(module="class Layer: ..."))
