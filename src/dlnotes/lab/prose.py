"""Text among the outputs of a notebook: Markdown for the site, HTML for JupyterLab, plain for all.

JupyterLab sets the maths of an HTML output, but not, where its MyST extension shows the chapter's
text as the site does, that of a Markdown output.
"""

import html
from functools import cache
from typing import Any

from IPython.display import display
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").use(dollarmath_plugin, renderer=_untouched)


def _untouched(tex: str, options: dict[str, Any]) -> str:
    """Leave maths to the page's own maths setter, dollars and all."""
    dollars = "$$" if options["display_mode"] else "$"
    return f"{dollars}{html.escape(tex)}{dollars}"


def display_prose(
    markdown: str, plain: str, *, style: str = "", metadata: dict[str, Any] | None = None
) -> None:
    """Display text in all three forms; ``style`` is CSS for where the site's own is not loaded."""
    page = _parser().render(markdown)
    display(
        {
            "text/markdown": markdown,
            "text/html": f'<div style="{html.escape(style)}">{page}</div>' if style else page,
            "text/plain": plain,
        },
        raw=True,
        metadata=metadata or {},
    )
