"""What is true of the colors of the book: measured, for the pages they stand on."""

import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from skimage.color import deltaE_ciede2000, rgb2lab

from dlnotes.lab import PALETTE, attention_map, use_house_style

LIGHT_PAGE, DARK_PAGE = "#fffefb", "#14181d"

# Machado, Oliveira and Fernandes (2009), table 1, severity 1.0; they act on linear RGB.
SEEN_WITH = {
    "full color vision": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


def linear(color):
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """WCAG 2.2: the ratio of relative luminances, each raised by the glare of the screen."""
    light = sorted(float(linear(color) @ [0.2126, 0.7152, 0.0722]) for color in (one, other))
    return (light[1] + 0.05) / (light[0] + 0.05)


def distance(one, other, vision):
    """CIEDE2000 between two colors as they are seen; about 2 is just seen side by side."""

    def seen(color):
        rgb = np.clip(SEEN_WITH[vision] @ linear(color), 0, 1)
        encoded = np.where(rgb <= 0.0031308, rgb * 12.92, 1.055 * rgb ** (1 / 2.4) - 0.055)
        return rgb2lab(encoded)

    return float(deltaE_ciede2000(seen(one), seen(other)))


def closest(colors, vision):
    return min(distance(a, b, vision) for a, b in itertools.combinations(colors, 2))


def test_the_measures_agree_with_their_published_values():
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#777", "#fff") == pytest.approx(4.48, abs=0.005)
    assert distance("#fff", "#000", "full color vision") == pytest.approx(100, abs=0.1)
    # A red and a green that fall together without the green cones.
    assert distance("#a06000", "#788000", "full color vision") > 20
    assert distance("#a06000", "#788000", "deuteranopia") < 12


@pytest.mark.parametrize("page", [LIGHT_PAGE, DARK_PAGE])
@pytest.mark.parametrize("name", PALETTE)
def test_every_color_stands_out_from_the_page(name, page):
    assert contrast(PALETTE[name], page) >= 3


def test_the_cycle_of_the_style_is_the_palette_in_its_order():
    use_house_style()
    cycle = [to_hex(color) for color in plt.rcParams["axes.prop_cycle"].by_key()["color"]]
    assert cycle == [to_hex(color) for color in PALETTE.values()]
    assert to_hex(plt.rcParams["grid.color"]) == to_hex(PALETTE["gray"])


def test_all_colors_are_apart_for_full_color_vision():
    assert closest(PALETTE.values(), "full color vision") > 13


@pytest.mark.parametrize("vision", ["protanopia", "deuteranopia"])
def test_the_first_three_colors_are_apart_for_everybody(vision):
    assert closest(list(PALETTE.values())[:3], vision) > 16


@pytest.mark.parametrize("vision", ["protanopia", "deuteranopia"])
def test_orange_is_apart_from_every_other_color_for_everybody(vision):
    orange = PALETTE["orange"]
    others = [color for color in PALETTE.values() if color != orange]
    assert min(distance(orange, other, vision) for other in others) > 14


@pytest.mark.parametrize("vision", ["protanopia", "deuteranopia"])
def test_no_two_colors_fall_together_but_eight_are_too_many_for_color_alone(vision):
    """Blue and purple, and teal and gray, are close: curves are labeled directly for that."""
    assert 3 < closest(PALETTE.values(), vision) < 6


def test_what_is_not_data_is_black_or_clear_so_that_the_page_can_color_it():
    use_house_style()
    for name in ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"):
        assert to_hex(plt.rcParams[name]) == "#000000"
    for name in ("figure.facecolor", "axes.facecolor"):
        assert plt.rcParams[name] == "none"
    assert plt.rcParams["savefig.transparent"] is True
    assert plt.rcParams["legend.frameon"] is False


def test_weights_written_into_a_map_read_on_every_cell(axes):
    use_house_style()
    steps = np.linspace(0, 0.5, 101)
    image = attention_map(axes, steps[None], annotate=True, vmax=0.5)
    cells = mpl.colormaps["viridis"](image.norm(steps))
    ratios = [
        contrast(to_hex(cell), text.get_color())
        for cell, text in zip(cells, axes.texts, strict=True)
    ]
    assert min(ratios) > 4
