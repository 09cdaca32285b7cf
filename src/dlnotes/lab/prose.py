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
def _parser(inline: tuple[str, str], block: tuple[str, str]) -> MarkdownIt:
    def untouched(tex: str, options: dict[str, Any]) -> str:
        before, after = block if options["display_mode"] else inline
        return f"{before}{html.escape(tex)}{after}"

    return MarkdownIt("commonmark").use(dollarmath_plugin, renderer=untouched)


def to_html(
    markdown: str,
    *,
    inline: tuple[str, str] = ("$", "$"),
    block: tuple[str, str] = ("$$", "$$"),
) -> str:
    """Return Markdown as HTML, its maths left to the page's own setter, in the marks it knows."""
    page: str = _parser(inline, block).render(markdown)
    return page


def display_prose(
    markdown: str, plain: str, *, style: str = "", metadata: dict[str, Any] | None = None
) -> None:
    """Display text in all three forms; ``style`` is CSS for where the site's own is not loaded."""
    page = to_html(markdown)
    display(
        {
            "text/markdown": markdown,
            "text/html": f'<div style="{html.escape(style)}">{page}</div>' if style else page,
            "text/plain": plain,
        },
        raw=True,
        metadata=metadata or {},
    )
