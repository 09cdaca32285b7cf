"""The comparison of pictures can fail, and does where a reader would see a difference."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from nbval_pictures import difference

from dlnotes.lab.svg import draw_svg


@pytest.fixture(autouse=True)
def _house_style():
    with plt.style.context("dlnotes.lab.house"):
        yield
    plt.close("all")


def picture(shift=0.0, label="loss", points=200, image_noise=None):
    x = np.linspace(0, 6, points)
    fig, ax = plt.subplots()
    ax.plot(x, np.sin(x) + shift)
    ax.set(ylim=(-2, 2), xlim=(0, 6), xlabel=label)
    if image_noise is not None:
        rng = np.random.default_rng(0)
        pixels = rng.random((16, 16)) + image_noise * rng.random((16, 16))
        ax.imshow(pixels, extent=(0, 2, 0, 1), vmin=0, vmax=1)
    return draw_svg(fig)


def test_a_picture_is_like_itself():
    assert difference(picture(), picture()) == ""


def test_drift_that_no_reader_sees_passes():
    assert difference(picture(), picture(shift=0.01)) == ""


def test_other_corners_on_the_same_line_pass():
    assert difference(picture(points=200), picture(points=300)) == ""


def test_a_line_that_moved_is_found():
    assert "line moved" in difference(picture(), picture(shift=0.3))


def test_a_text_that_changed_is_found():
    assert "'loss' is now 'gain'" in difference(picture(), picture(label="gain"))


def test_a_missing_element_is_found():
    assert "elements" in difference(picture(), picture(image_noise=0))


def test_raster_parts_are_compared_by_what_they_show():
    assert difference(picture(image_noise=0), picture(image_noise=0.02)) == ""
    assert "raster" in difference(picture(image_noise=0), picture(image_noise=2))
