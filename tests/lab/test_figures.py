import base64
import html
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from dlnotes.lab import PALETTE, attention_map, curves, image_grid, show, use_house_style
from dlnotes.lab.svg import draw_svg, themed


def ramp(title=""):
    fig, ax = plt.subplots(figsize=(2, 1))
    ax.plot([0, 1])
    ax.set_title(title)
    return fig


# ----------------------------------------------------------------------------------- show
def test_show_displays_the_picture_itself_with_its_alt_text(shown):
    expected = draw_svg(fig := ramp("a ramp"))
    show(fig, alt="A line that rises")
    ((bundle, _),) = shown
    picture = base64.b64decode(re.search(r"base64,([^\"]+)", bundle["text/html"])[1]).decode()
    assert themed(picture) == expected
    assert '<img alt="A line that rises"' in bundle["text/html"]
    assert bundle["text/plain"] == "[figure: A line that rises]"
    assert set(bundle) == {"text/html", "text/plain"}


def test_show_closes_its_figure_and_no_other(shown):
    other, fig = ramp(), ramp()
    show(fig, alt="A line")
    assert plt.get_fignums() == [other.number]
    plt.close(other)
    assert len(shown) == 1


def test_caption_and_name_reach_the_page_and_a_plain_figure_has_neither(shown):
    show(ramp(), alt="A line", caption="The loss $L < 1$ *falls*.", name="fig-toy-loss")
    show(ramp(), alt="A line")
    named, plain = (bundle["text/html"] for bundle, _ in shown)
    assert 'data-name="fig-toy-loss"' in named
    caption = re.search(r"<figcaption>(.*)</figcaption>", named)[1]
    assert html.unescape(caption) == "The loss $L < 1$ *falls*."
    assert "<" not in caption
    assert "figcaption" not in plain
    assert "data-name" not in plain
    assert "explore-controls" not in named


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_a_figure_without_alt_text_is_refused_and_not_shown(shown, alt):
    fig = ramp()
    with pytest.raises(ValueError, match="needs alt="):
        show(fig, alt=alt)
    plt.close(fig)
    assert shown == []


# --------------------------------------------------------------------------------- curves
RUNS = np.array([[3.0, 2.0, 1.0], [5.0, 1.0, 0.0], [10.0, 3.0, 5.0]])


def test_curves_draw_the_mean_boldly_and_every_seed_thinly_in_its_color(axes):
    curves(axes, [10, 20, 30], RUNS, color="#3d85c6", linestyle="--")
    mean, *seeds = axes.lines
    np.testing.assert_allclose(mean.get_xdata(), [10, 20, 30])
    np.testing.assert_allclose(mean.get_ydata(), [6, 2, 2])
    np.testing.assert_allclose([line.get_ydata() for line in seeds], RUNS)
    assert {to_hex(line.get_color()) for line in axes.lines} == {"#3d85c6"}
    assert mean.get_linestyle() == "--"
    for line in seeds:
        np.testing.assert_allclose(line.get_xdata(), [10, 20, 30])
        assert line.get_linewidth() < mean.get_linewidth() / 2
        assert line.get_alpha() < 0.5


def test_curves_are_labeled_at_their_right_end_in_their_color(axes):
    curves(axes, [0, 1, 2], RUNS, label="adam")
    (label,) = axes.texts
    assert label.get_text() == "adam"
    assert label.xy == (2, 2)
    assert label.get_color() == axes.lines[0].get_color()
    assert label.xyann[0] > 0  # it stands to the right of the end


def test_without_a_label_nothing_is_written_and_colors_follow_the_cycle(axes):
    curves(axes, [0, 1, 2], RUNS)
    curves(axes, [0, 1, 2], RUNS)
    assert not axes.texts
    first, second = axes.lines[0], axes.lines[1 + len(RUNS)]
    assert first.get_color() != second.get_color()


def test_a_single_run_is_one_line(axes):
    curves(axes, [0, 1, 2], [3.0, 2.0, 1.0])
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_ydata(), [3, 2, 1])


@pytest.mark.parametrize("shape", [(3, 2), (2, 3, 3), (4,)])
def test_runs_that_do_not_fit_the_points_are_refused(axes, shape):
    with pytest.raises(ValueError, match="runs must be seeds × 3 points"):
        curves(axes, [0, 1, 2], np.zeros(shape))
    assert not axes.lines


# ----------------------------------------------------------------------------- image grids
@pytest.fixture
def grid():
    made = []

    def make(*args, **kwargs):
        made.append(image_grid(*args, **kwargs))
        return made[-1]

    yield make
    for fig in made:
        plt.close(fig)


def test_pictures_stand_in_order_row_by_row(grid):
    images = np.arange(5 * 2 * 3, dtype=float).reshape(5, 2, 3)
    fig = grid(images, columns=3, titles=["a", "b"])
    assert len(fig.axes) == 6
    for ax, image in zip(fig.axes, images, strict=False):
        np.testing.assert_array_equal(ax.images[0].get_array(), image)
    assert [ax.get_title() for ax in fig.axes] == ["a", "b", "", "", "", ""]
    geometry = fig.axes[0].get_subplotspec().get_gridspec()
    assert (geometry.nrows, geometry.ncols) == (2, 3)


def test_places_without_a_picture_stay_empty_and_no_axis_is_drawn(grid):
    fig = grid(np.zeros((5, 2, 2)), columns=3)
    assert not fig.axes[5].images
    assert not any(ax.axison for ax in fig.axes)


def test_all_pictures_share_one_scale_of_gray(grid):
    images = np.stack([np.full((2, 2), 0.2), np.full((2, 2), 0.7)])
    fig = grid(images)
    assert [ax.images[0].get_clim() for ax in fig.axes] == [(0.2, 0.7)] * 2
    assert fig.axes[0].images[0].get_cmap().name == "gray"


def test_few_pictures_take_few_columns_and_color_pictures_are_taken(grid):
    fig = grid(np.random.default_rng(0).random((2, 4, 4, 3)))
    assert len(fig.axes) == 2
    assert fig.axes[1].images[0].get_array().shape == (4, 4, 3)
    titled = grid(np.zeros((2, 4, 4)), titles=["a", "b"])
    assert titled.get_figheight() > fig.get_figheight()
    assert titled.get_figwidth() == fig.get_figwidth()


@pytest.mark.parametrize("shape", [(4, 4), (0, 4, 4), (0,), (1, 2, 3, 4, 5)])
def test_what_is_no_row_of_pictures_is_refused(shape):
    with pytest.raises(ValueError, match=re.escape(f"not {shape}")):
        image_grid(np.zeros(shape))


# -------------------------------------------------------------------------- attention maps
WEIGHTS = np.array([[0.9, 0.1, 0.0], [0.25, 0.25, 0.5]])


def test_a_map_has_a_row_per_query_and_a_column_per_key_with_their_names(axes):
    image = attention_map(axes, WEIGHTS, queries=["she", "it"], keys=["the", "cat", "sat"])
    np.testing.assert_array_equal(image.get_array(), WEIGHTS)
    assert image.get_clim() == (0, 1)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["the", "cat", "sat"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["she", "it"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("key", "query")


def test_each_cell_is_annotated_with_its_own_weight(axes):
    attention_map(axes, WEIGHTS)
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "0.90", (1, 0): "0.10", (2, 0): "0.00"} | {
        (0, 1): "0.25",
        (1, 1): "0.25",
        (2, 1): "0.50",
    }
    assert len(axes.get_xticks()) == 0


@pytest.mark.parametrize(
    ("size", "annotate", "written"),
    [(8, None, True), (9, None, False), (9, True, True), (8, False, False)],
)
def test_a_large_map_is_annotated_only_on_request(axes, size, annotate, written):
    attention_map(axes, np.eye(size), annotate=annotate)
    assert len(axes.texts) == (size * size if written else 0)


def test_a_larger_top_of_the_scale_is_kept(axes):
    assert attention_map(axes, WEIGHTS, vmax=0.5).get_clim() == (0, 0.5)


def test_weights_of_several_heads_are_refused(axes):
    with pytest.raises(ValueError, match=re.escape("not (2, 3, 3)")):
        attention_map(axes, np.zeros((2, 3, 3)))


# ---------------------------------------------------------------------------- house style
def test_the_house_style_is_that_of_the_package():
    use_house_style()
    assert plt.rcParams["axes.spines.top"] is False
    assert plt.rcParams["figure.constrained_layout.use"] is True
    fig, ax = plt.subplots()
    (line,) = ax.plot([0, 1])
    assert line.get_color().lstrip("#") == PALETTE["blue"].lstrip("#")
    plt.close(fig)
