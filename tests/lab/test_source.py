import re
import sys
from pathlib import Path

import pytest

from dlnotes.lab import History, fit, source
from dlnotes.lab.controls import Control


class Outer:
    """Holds a function whose code is indented and shows a fenced example."""

    @staticmethod
    def fenced():
        """Give an example:

        ```python
        fenced()
        ```
        """
        return "done"


def parts(bundle):
    """Return the name, the fence and the code of what was shown."""
    found = re.fullmatch(r"`([\w.]+)`\n\n(`+)python\n(.*)\n\2", bundle["text/markdown"], re.DOTALL)
    return found.groups()


@pytest.mark.parametrize("thing", [fit, History, Control])
def test_what_is_shown_is_the_code_of_the_file_under_its_full_name(shown, thing):
    source(thing)
    ((bundle, _),) = shown
    name, _, code = parts(bundle)
    assert name == f"{thing.__module__}.{thing.__name__}"
    file = Path(sys.modules[thing.__module__].__file__)
    assert f"\n{code}\n" in file.read_text("utf8")
    assert re.search(rf"^(def|class) {thing.__name__}\b", code, re.MULTILINE)
    assert bundle["text/plain"] == f"{name}\n\n{code}"


def test_code_from_within_a_class_is_moved_to_the_margin(shown):
    source(Outer.fenced)
    name, _, code = parts(shown[0][0])
    assert name.endswith("test_source.Outer.fenced")
    assert code.startswith("@staticmethod\ndef fenced():\n    ")
    assert code.endswith('return "done"')


def test_the_fence_is_longer_than_any_in_the_code(shown):
    source(Outer.fenced)
    source(fit)
    (_, long, code), (_, short, _) = (parts(bundle) for bundle, _ in shown)
    assert "```" in code
    assert len(long) > 3
    assert short == "```"


@pytest.mark.parametrize("thing", [len, int, 5])
def test_what_has_no_source_is_refused(shown, thing):
    # With types checked the annotation refuses 5 first, in other words.
    with pytest.raises(TypeError, match=r"source\(\) shows functions and classes|'thing': 5"):
        source(thing)
    assert shown == []
