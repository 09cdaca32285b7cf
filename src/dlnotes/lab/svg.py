"""Figures as small SVG that follows the theme of the page they stand on."""

import base64
import html
import io
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TEXT = "currentColor"
_PAGE = "var(--pst-color-background, var(--jp-layout-color0, #fff))"
# Matplotlib measures text in DejaVu Sans; the site brings a subset of it under a name of its own.
_FONT = "'Figure Sans', 'DejaVu Sans', sans-serif"

# What keeps two drawings of the same figure the same to the letter: no random ids, no text as
# outlines, no room left to the backend's mood.
RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dlnotes",
    "savefig.transparent": True,
}


def draw_svg(fig: "Figure") -> str:
    """Return the figure as one ``<svg>`` element: no prolog, black and white left to the theme.

    Coordinates keep one decimal of a point, ids that nothing refers to are dropped, and text stays
    text: searchable, and as sharp as the reader's screen.
    """
    import matplotlib

    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context(RC):
        fig.savefig(buffer, format="svg", metadata=nothing)
    return tidy(buffer.getvalue())


def tidy(svg: str) -> str:
    """Make Matplotlib's SVG small, and give it the colors of the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in used else "", svg)
    svg = re.sub(r' (?:d|x|y|points|transform)="[^"]*"', _round, svg)
    svg = re.sub(r' transform="rotate\(-?0 [^"]*"', "", svg)
    svg = re.sub(r"(fill|stroke): #000000", rf"\1: {_TEXT}", svg)
    svg = re.sub(r"(fill|stroke): #ffffff", rf"\1: {_PAGE}", svg)
    svg = re.sub(r"(font: [^;\"']*?[\d.]+px) [^;\"]*", rf"\1 {_FONT}", svg)
    svg = re.sub(r"font-family: [^;\"]*", f"font-family: {_FONT}", svg)
    svg = re.sub(r">\s+<", "><", svg).strip()
    svg = svg.replace("xlink:href", "href")
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    if found is None:
        raise ValueError("not an SVG with a viewBox starting at 0 0")
    width, height = map(float, found.groups())
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width * 4 / 3:.0f}" fill="currentColor" aria-hidden="true">'
    )
    return re.sub(r"<svg[^>]*>", head, svg, count=1)


def _round(attribute: re.Match[str]) -> str:
    """Keep one decimal, except in scales, where the third digit is seen."""
    if "scale" in attribute[0] or "matrix" in attribute[0]:
        return attribute[0]
    text = re.sub(r"-?\d+\.\d\d+", lambda m: f"{float(m[0]):.1f}", attribute[0])
    return re.sub(r"\.0(?=\D)", "", text).replace("\n", "")


def as_image(svg: str, alt: str) -> str:
    """Return the picture as an ``<img>``, on white: JupyterLab strips SVG from untrusted pages."""
    light = svg.replace("<svg ", '<svg style="background:#fff" ', 1)
    light = light.replace(_PAGE, "#fff")
    data = base64.b64encode(light.encode()).decode()
    width = re.search(r'width="(\d+)"', svg)
    size = f' width="{width[1]}"' if width else ""
    return f'<img alt="{html.escape(alt)}"{size} src="data:image/svg+xml;base64,{data}">'


def themed(light: str) -> str:
    """Undo what `as_image` did to the SVG: give it back to the theme of the page."""
    svg = light.replace(' style="background:#fff"', "", 1)
    return re.sub(r"(fill|stroke): #fff(?=[;\"])", rf"\1: {_PAGE}", svg)
