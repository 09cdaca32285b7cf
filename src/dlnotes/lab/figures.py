"""One look for every figure, and the few plots that every chapter needs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from IPython.display import display

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

#: Mid tones that reach 3:1 against both the light and the dark page; order of the color cycle.
PALETTE = {
    "blue": "#3d85c6",
    "orange": "#cf6f17",
    "green": "#2f9672",
    "purple": "#9a6fd0",
    "red": "#d4556a",
    "teal": "#178f9c",
    "pink": "#c25fa3",
    "gray": "#7d8790",
}


def use_house_style() -> None:
    """Give this notebook's figures the look of the book."""
    import matplotlib.pyplot as plt

    plt.style.use("dlnotes.lab.house")


def show(fig: "Figure", *, alt: str, caption: str = "", name: str = "") -> None:
    """Show a figure as SVG that follows the theme of the page, and close it.

    ``alt`` says what is to be seen, for those who do not see it. ``caption`` may hold maths and
    inline markup; with a ``name`` the figure is citable: ``{numref}`name```. Raises
    ``ValueError`` for an empty ``alt``.
    """
    import matplotlib.pyplot as plt

    from dlnotes.lab.explore import Frame, figure_html
    from dlnotes.lab.svg import draw_svg

    if not alt.strip():
        raise ValueError("show needs alt=: one sentence that says what is to be seen")
    page = figure_html(Frame(draw_svg(fig), ""), alt, caption, name)
    plt.close(fig)
    display({"text/html": page, "text/plain": f"[figure: {alt}]"}, raw=True)


def curves(
    ax: "Axes", x: Any, runs: Any, *, label: str = "", color: str | None = None, **style: Any
) -> None:
    """Draw the mean of ``runs`` (seeds by points) and each run thinly; label it at its right end.

    Raises ``ValueError`` when ``runs`` is not seeds by ``len(x)`` points.
    """
    x, runs = np.asarray(x), np.atleast_2d(np.asarray(runs, float))
    if runs.ndim != 2 or runs.shape[1] != len(x):
        raise ValueError(f"runs must be seeds × {len(x)} points, not {runs.shape}")
    mean = runs.mean(axis=0)
    (line,) = ax.plot(x, mean, color=color, **style)
    if len(runs) > 1:
        ax.plot(x, runs.T, color=line.get_color(), linewidth=0.6, alpha=0.35)
    if label:
        ax.annotate(
            label,
            (x[-1], mean[-1]),
            xytext=(5, 0),
            textcoords="offset points",
            color=line.get_color(),
            va="center",
            annotation_clip=False,
        )


def image_grid(
    images: Any,
    *,
    titles: Sequence[str] = (),
    columns: int = 8,
    cmap: str = "gray",
    size: float = 0.9,
) -> "Figure":
    """Return a figure of small pictures side by side; ``images`` is n × H × W, or × 3 in 0..1."""
    import matplotlib.pyplot as plt

    images = np.asarray(images)
    if images.ndim not in (3, 4) or not len(images):
        raise ValueError(f"images must be n × H × W or n × H × W × 3, not {images.shape}")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    extra = 0.25 if titles else 0.0
    fig, axes = plt.subplots(
        rows, columns, figsize=(size * columns, (size + extra) * rows), squeeze=False
    )
    for ax in axes.flat:
        ax.axis("off")
    for i, (ax, image) in enumerate(zip(axes.flat, images, strict=False)):
        ax.imshow(image, cmap=cmap, vmin=images.min(), vmax=images.max())
        if i < len(titles):
            ax.set_title(titles[i], fontsize=9, loc="center")
    return fig


def attention_map(
    ax: "Axes",
    weights: Any,
    *,
    queries: Sequence[str] = (),
    keys: Sequence[str] = (),
    annotate: bool | None = None,
    vmax: float = 1.0,
) -> "AxesImage":
    """Draw attention weights, one row per query, and write them into the cells if these are few."""
    weights = np.asarray(weights, float)
    if weights.ndim != 2:
        raise ValueError(f"weights must be queries × keys, not {weights.shape}")
    image = ax.imshow(weights, vmin=0, vmax=vmax, cmap="viridis")
    ax.set(xlabel="key", ylabel="query")
    for names, axis in ((keys, ax.xaxis), (queries, ax.yaxis)):
        axis.set_ticks(range(len(names)), names)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.tick_params(length=0)
    if annotate or (annotate is None and weights.size <= 64):
        for (i, j), weight in np.ndenumerate(weights):
            # Near-black or near-white, whichever reads on the cell: not a color of the theme.
            ink = "#f2f2f2" if weight < 0.43 * vmax else "#101010"
            ax.text(j, i, f"{weight:.2f}", ha="center", va="center", color=ink, fontsize=8.5)
    return image
