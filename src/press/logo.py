"""The book's mark, drawn by code: three lines of a note, the last of them run and ticked."""

from pathlib import Path

_SIZE = 64
_GRAY, _BLUE, _ORANGE = "#7d8790", "#3d85c6", "#cf6f17"


def logo_svg() -> str:
    """Return the mark as SVG, in mid tones that read on a light page and on a dark one."""
    lines = [(14, 36), (24, 28)]
    bars = "".join(
        f'<rect x="22" y="{y}" width="{width}" height="4" rx="2" fill="{_GRAY}"/>'
        for y, width in lines
    )
    dots = "".join(f'<circle cx="13" cy="{y + 2}" r="3" fill="{_GRAY}"/>' for y, _ in lines)
    play = f'<path d="M9 36 L25 45.5 L9 55 Z" fill="{_BLUE}"/>'
    tick = (
        f'<path d="M32 46 L40 54 L57 35" fill="none" stroke="{_ORANGE}" stroke-width="6" '
        'stroke-linecap="round" stroke-linejoin="round"/>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE} {_SIZE}" '
        f'width="{_SIZE}" height="{_SIZE}">{dots}{bars}{play}{tick}</svg>\n'
    )


def draw_logo(folder: Path) -> Path:
    """Write ``logo.svg`` into the folder; it serves as favicon too."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "logo.svg"
    path.write_text(logo_svg(), "utf8")
    return path
