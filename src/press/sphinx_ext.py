"""What the book adds to Sphinx.

Numbered figures out of notebook outputs, links to the API, frames beside the page, and nothing
that asks the network.
"""

import base64
import hashlib
import html
import re
from pathlib import Path
from typing import Any

import sphinxcontrib.katex
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform

from press import book, repository, web
from press.anki import write_deck
from press.directives import DECK, AllCards, ExploreOf, Ledger, Tally, inline_myst
from press.logo import draw_logo
from press.oracle_page import oracle_page
from press.records import read_records

_FIGURE = re.compile(r'<figure class="explore"([^>]*)>(.*)</figure>', re.DOTALL)
_CAPTION = re.compile(r"<figcaption>(.*?)</figcaption>", re.DOTALL)
_NAME = re.compile(r' data-name="([^"]*)"')
_IMAGE = re.compile(r'<img [^>]*src="data:image/svg\+xml;base64,([^"]+)">')
_FRAMES = re.compile(r'<script type="application/x-explore" data-frames="(\d+)">([^<]+)</script>')
_ICON_SCRIPT = re.compile(r"<(?:script|link)[^>]*scripts/fontawesome\.js[^>]*>(?:</script>)?")
_API_NAME = re.compile(r"dlnotes(\.\w+){2,}")
_MODULES_MARK, _ORACLES_MARK = "<!--modules-->", "<!--oracles-->"


class NumberFigures(SphinxTransform):
    """Turn a notebook's figure into a Sphinx figure: numbered, captioned, citable by name."""

    default_priority = 200

    def apply(self, **_: Any) -> None:
        """Replace every such output of the page."""
        for raw in list(self.document.findall(nodes.raw)):
            found = _FIGURE.search(raw.astext()) if raw.get("format") == "html" else None
            if found:
                raw.parent.replace(raw, self._figure(raw, found[1], found[2]))

    def _figure(self, raw: nodes.raw, attributes: str, inside: str) -> nodes.figure:
        caption, name = _CAPTION.search(inside), _NAME.search(attributes)
        body = _IMAGE.sub(_inline, _CAPTION.sub("", inside))
        figure = nodes.figure(classes=["explore-figure"])
        figure.source, figure.line = raw.source, raw.line
        page = f'<div class="explore"{attributes}>{body}</div>'
        figure += nodes.raw("", page, format="html")
        if caption:
            figure += nodes.caption(
                "", "", *inline_myst(self.document, [html.unescape(caption[1])])[0]
            )
        if name:
            figure["names"].append(html.unescape(name[1]))
            self.document.note_explicit_target(figure, figure)
        return figure


def _inline(image: re.Match[str]) -> str:
    """Put the SVG of an ``<img>`` into the page itself, where it follows the page's theme."""
    from dlnotes.lab.svg import themed

    return themed(base64.b64decode(image[1]).decode())


class LinkApiNames(SphinxTransform):
    """Make ``dlnotes.part.topic.name`` in running text a link to its API entry."""

    default_priority = 201

    def apply(self, **_: Any) -> None:
        """Wrap every such name of the page."""
        for literal in list(self.document.findall(nodes.literal)):
            name = literal.astext()
            inside = literal.parent
            if _API_NAME.fullmatch(name) and not isinstance(inside, nodes.reference):
                link = addnodes.pending_xref(
                    "", refdomain="py", reftype="obj", reftarget=name, refwarn=True
                )
                inside.replace(literal, link)
                # The full name is long; the page says which part it is in.
                short = ".".join(name.split(".")[-2:])
                link += nodes.literal(short, short, classes=literal["classes"])


def _write_api(app: Sphinx, _docname: str, source: list[str]) -> None:
    """Fill the API page: the bench, then each chapter's module, in reading order."""
    if _MODULES_MARK not in source[0]:
        return
    root = Path(app.srcdir)
    lab = sorted(path.stem for path in (root / "src/dlnotes/lab").glob("[!_]*.py"))
    sections = [("The bench", [("lab", name) for name in lab])]
    for part in book.parts(root):
        there = [(part.id, one.id) for one in part.chapters if one.notebook.is_file()]
        if there:
            sections.append((part.title, there))
    lines = []
    for title, modules in sections:
        lines.append(f"## {title}\n")
        for part_id, module in modules:
            name = f"dlnotes.{part_id}.{module}"
            lines.append(f"### {part_id}.{module}\n")
            lines.append(f"```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n")
    source[0] = source[0].replace(_MODULES_MARK, "\n".join(lines))


def _write_oracles(app: Sphinx, _docname: str, source: list[str]) -> None:
    """Fill the page of oracles."""
    if _ORACLES_MARK in source[0]:
        source[0] = source[0].replace(_ORACLES_MARK, oracle_page(Path(app.srcdir)))


def _finish_page(
    app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: Any
) -> None:
    """Move frames into files read on first touch; drop scripts that would ask the network."""
    context["script_files"] = [
        script for script in context.get("script_files", ()) if not _unwanted(script)
    ]
    if "application/x-explore" not in (context.get("body") or ""):
        return
    folder = Path(app.outdir) / "_explore"
    folder.mkdir(exist_ok=True)

    def move(frames: re.Match[str]) -> str:
        key = hashlib.sha256(frames[2].encode()).hexdigest()[:16]
        (folder / f"{key}.js").write_text(f'exploreFrames("{key}","{frames[2]}")', "utf8")
        address = context["pathto"](f"_explore/{key}.js", resource=True)
        return (
            f'<script type="application/x-explore" data-frames="{frames[1]}" '
            f'data-key="{key}" data-src="{address}"></script>'
        )

    context["body"] = _FRAMES.sub(move, context["body"])


def _unwanted(script: Any) -> bool:
    """Thebe loads itself from a CDN and declares a constant twice; widget state is read by none."""
    attributes = getattr(script, "attributes", {})
    words = f"{getattr(script, 'filename', script)} {attributes.get('body', '')}"
    return "thebe" in words.lower() or "widget-state" in str(attributes.get("type", ""))


def _drop_icon_script(app: Sphinx, error: Exception | None) -> None:
    """Take the theme's icon script, 1.5 MB on every page, out of the site for icons.css."""
    if error or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for page in out.rglob("*.html"):
        text = page.read_text("utf8")
        page.write_text(_ICON_SCRIPT.sub("", text), "utf8")
    for script in (out / "_static/scripts").glob("fontawesome*"):
        script.unlink()


_start_katex_once = sphinxcontrib.katex.KaTeXServer.start_server_process


def _start_katex(rundir: Path, timeout: float) -> Any:
    """Start the server that sets maths, again if need be.

    sphinxcontrib-katex 0.9.11 connects as soon as the server's socket is a file, which may be
    before anybody listens. A server given up here ends with the build (see `press.site`).
    """
    for _ in range(10):
        try:
            return _start_katex_once(rundir, timeout)
        except ConnectionRefusedError:
            (rundir / "katex.sock").unlink()
    raise ExtensionError("the server that sets maths does not answer")


def _configure(app: Sphinx, config: Config) -> None:
    """Bring the files that pages need, and the address that launch buttons need."""
    root = Path(app.srcdir)
    build = root / "_build"
    try:
        extra = web.fetch(build)
        write_deck(root, read_records(root), extra / "deck" / DECK)
    except book.BookError as error:
        raise ExtensionError(str(error)) from error
    logo = draw_logo(build / "web/static")
    config.html_extra_path = [*config.html_extra_path, str(extra)]
    ours = Path(__file__).parent / "web"
    config.html_static_path = [str(ours), str(logo.parent)]
    config.html_logo = config.html_favicon = str(logo)
    config.html_theme_options = {**config.html_theme_options, **repository.theme_options(root)}
    sphinxcontrib.katex.NODEJS_BINARY = web.node()
    sphinxcontrib.katex.KaTeXServer.start_server_process = _start_katex
    app.add_css_file("../vendor/icons.css", priority=890)
    app.add_css_file("book.css", priority=900)
    for script in ("explore.js", "ledger.js", "cards.js"):
        app.add_js_file(script, loading_method="defer")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything; Sphinx calls this."""
    app.connect("config-inited", _configure, priority=700)
    app.connect("source-read", _write_api)
    app.connect("source-read", _write_oracles)
    app.connect("html-page-context", _finish_page, priority=900)
    app.connect("build-finished", _drop_icon_script)
    app.add_transform(NumberFigures)
    app.add_transform(LinkApiNames)
    app.add_directive("explore-of", ExploreOf)
    app.add_directive("tally", Tally)
    app.add_directive("ledger", Ledger)
    app.add_directive("all-cards", AllCards)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
