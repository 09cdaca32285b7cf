"""What pages load: small, and all of it there."""

import re
from pathlib import Path

import pytest

from press import web

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def vendor() -> Path:
    folder = REPOSITORY / "_build/web/extra/vendor"
    if not (folder / "stamp.txt").is_file():
        pytest.skip("not fetched yet: make book fetches fonts and styles from the npm registry")
    return folder


def test_the_fonts_of_the_text_weigh_at_most_150_kilobytes(vendor: Path):
    sizes = {
        name: (vendor / "fonts" / name).stat().st_size
        for family, styles in web.FONTS.items()
        for name in (f"{family}-latin-{style}.woff2" for style in styles)
    }
    assert all(size > 5000 for size in sizes.values()), sizes
    assert sum(sizes.values()) <= 150_000, sizes


def test_every_font_that_the_style_names_is_fetched(vendor: Path):
    style = (Path(web.__file__).parent / "web/book.css").read_text("utf8")
    named = set(re.findall(r"vendor/(fonts/[\w.-]+)", style))
    assert named
    assert not [name for name in named if not (vendor / name).is_file()]


def test_every_icon_has_its_picture(vendor: Path):
    style = (vendor / "icons.css").read_text("utf8")
    for name in [*web.ICONS["solid"], *web.ICONS["brands"]]:
        assert re.search(rf'\.fa-{name} \{{ --icon: url\("data:image/svg', style), name


def test_the_style_of_maths_comes_with_its_fonts(vendor: Path):
    style = (vendor / "katex/katex.min.css").read_text("utf8")
    named = set(re.findall(r"fonts/([\w-]+\.woff2)", style))
    assert named
    assert named <= {path.name for path in (vendor / "katex/fonts").iterdir()}


def test_nothing_is_asked_from_another_host(vendor: Path):
    styles = [vendor / "icons.css", vendor / "katex/katex.min.css"]
    styles.append(Path(web.__file__).parent / "web/book.css")
    for path in styles:
        text = path.read_text("utf8")
        assert not re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", text), path


def test_node_comes_with_the_environment():
    assert Path(web.node()).is_file()
