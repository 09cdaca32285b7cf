"""Show the code of the package where a chapter speaks of it: what is read is what is tested."""

import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from IPython.display import display


def source(thing: Callable[..., Any] | type) -> None:
    """Show the source of a function or class of the package, highlighted, with its full name.

    On the site the name links to the API page. Raises ``TypeError`` for what has no source.
    """
    try:
        code = textwrap.dedent(inspect.getsource(thing)).rstrip()
    except (TypeError, OSError):
        raise TypeError(f"source() shows functions and classes, not {thing!r}") from None
    name = f"{thing.__module__}.{thing.__qualname__}"
    # A fence longer than any in the code, so that a docstring may hold an example.
    fence = "`" * (3 if "```" not in code else 5)
    display(
        {
            "text/markdown": f"`{name}`\n\n{fence}python\n{code}\n{fence}",
            "text/plain": f"{name}\n\n{code}",
        },
        raw=True,
    )
