"""Results of runs too long for a chapter, kept with the code, settings and time that made them.

The chapter's ``gpu`` preset computes such a result and calls `keep`; the ``laptop`` preset calls
`recall`, which refuses a result that other code made. Results live in the package, as
``<part>/<topic>_<what>.json``, so that a chapter finds them wherever it runs.
"""

import ast
import hashlib
import inspect
import json
import platform
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import Any

Code = Sequence[Callable[..., Any] | type]


class StoredError(ValueError):
    """A stored result is missing, broken, or was made by other code."""


@dataclass(frozen=True)
class Stored:
    """A result, and what made it: ``made`` has date, seconds, device, torch, python, settings."""

    data: Any
    made: dict[str, Any]

    def __str__(self) -> str:
        made = self.made
        return (
            f"stored result of {made['date']}: {made['seconds']:,.0f} s on {made['device']}, "
            f"torch {made['torch']}, Python {made['python']}"
        )


def keep(
    name: str,
    data: Any,
    *,
    code: Code,
    seconds: float,
    device: object,
    folder: Path | None = None,
    **settings: Any,
) -> Path:
    """Write a result and what made it to ``<topic>_<what>.json`` in the working folder.

    ``name`` is ``part/topic_what``; ``code`` lists the functions and classes whose source made the
    result, ``settings`` what they were called with. The file is written whole or not at all.
    """
    file = _checked(name).rsplit("/", 1)[-1] + ".json"
    made = {
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": round(seconds, 1),
        "device": str(device),
        "torch": metadata.version("torch").split("+")[0],
        "python": platform.python_version(),
        "code": fingerprint(code),
        "settings": settings,
    }
    text = json.dumps({"made": made, "data": data}, separators=(",", ":"), allow_nan=False)
    path = (folder or Path.cwd()) / file
    half = path.with_suffix(".half")
    half.write_text(text + "\n", "utf8")
    half.replace(path)
    return path


def recall(name: str, *, code: Code) -> Stored:
    """Return the stored result ``part/topic_what``.

    Raises `StoredError` if there is none, or if ``code`` is no longer the code that made it.
    """
    file = resources.files("dlnotes").joinpath(_checked(name) + ".json")
    again = "run the chapter with preset = 'gpu' and put the file that it writes there"
    try:
        stored = json.loads(file.read_text("utf8"))
        data, made = stored["data"], stored["made"]
    except FileNotFoundError:
        raise StoredError(f"no stored result {file}: {again}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise StoredError(f"{file} is broken ({error}): {again}") from None
    if made.get("code") != fingerprint(code):
        names = ", ".join(one.__name__ for one in code)
        raise StoredError(f"{file} was made by another version of {names}: {again}")
    return Stored(data, made)


def fingerprint(code: Code) -> str:
    """Return a digest of the source of functions and classes; comments and layout do not count."""
    parts = (textwrap.dedent(inspect.getsource(one)) for one in code)
    text = "\n".join(ast.unparse(ast.parse(part)) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _checked(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9_]+/[a-z0-9_]+", name):
        raise ValueError(f"a result is named part/topic_what, not {name!r}")
    return name
