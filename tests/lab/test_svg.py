import base64
import html
import re
import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from dlnotes.lab.svg import as_image, draw_svg, themed, tidy

NAMESPACE = "{http://www.w3.org/2000/svg}"
PAGE = "var(--pst-color-background, var(--jp-layout-color0, #fff))"


def busy_figure():
    """A figure with what real ones have: markers, clips, a raster, maths, rotated text."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(5, 2.5))
    x = np.linspace(0, 1, 7)
    left.plot(x, np.sin(9 * x), "o-", color="#3d85c6", label="sine & <co>")
    left.fill_between(x, 0, x, color="#cf6f17", alpha=0.3)
    left.set(title="Loss at 12.3456", xlabel="$x^2$", ylabel="height")
    left.legend(facecolor="white", framealpha=1)
    right.imshow(np.arange(12).reshape(3, 4))
    right.set_xticks(range(4), ["one", "two", "three", "four"], rotation=30)
    right.text(1, 1, "ink", color="#101010")
    return fig


@pytest.fixture(scope="module")
def pictures():
    """The same figure as Matplotlib writes it and as the book shows it."""
    import io

    fig, buffer = busy_figure(), io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "dlnotes"}):
        fig.savefig(buffer, format="svg", transparent=True)
    ours = draw_svg(fig)
    plt.close(fig)
    return buffer.getvalue(), ours


def elements(svg, *names):
    root = ElementTree.fromstring(svg)
    return [one for one in root.iter() if one.tag.removeprefix(NAMESPACE) in names]


def numbers(text):
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]


def test_the_picture_is_one_svg_element_without_prolog_metadata_or_comments(pictures):
    theirs, ours = pictures
    assert "<metadata>" in theirs
    assert tidy(theirs) == ours
    assert ours.startswith("<svg xmlns=")
    assert ours.endswith("</svg>")
    assert ElementTree.fromstring(ours).tag == f"{NAMESPACE}svg"
    assert not elements(ours, "metadata")
    assert "<!--" not in ours
    assert "xlink" not in ours
    assert "> <" not in ours
    assert ">\n<" not in ours


def test_tidying_makes_it_much_smaller(pictures):
    theirs, ours = pictures
    assert len(ours) < 0.7 * len(theirs)


def test_every_reference_is_kept_and_every_other_id_is_gone(pictures):
    _, ours = pictures
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', ours))
    ids = [one.get("id") for one in ElementTree.fromstring(ours).iter() if one.get("id")]
    assert used
    assert sorted(ids) == sorted(used)


def test_curves_stay_where_they_were_to_a_twentieth_of_a_point(pictures):
    theirs, ours = pictures
    for name, attribute in (("path", "d"), ("use", "x"), ("use", "y"), ("text", "x")):
        before = [one.get(attribute, "") for one in elements(theirs, name)]
        after = [one.get(attribute, "") for one in elements(ours, name)]
        assert len(before) == len(after) > 2
        for one, other in zip(before, after, strict=True):
            np.testing.assert_allclose(numbers(other), numbers(one), atol=0.0501)
            assert not re.search(r"\.\d\d|\.0(?!\d)", other)


def test_scales_keep_their_digits(pictures):
    theirs, ours = pictures
    before = [one.get("transform", "") for one in elements(theirs, "image")]
    after = [one.get("transform", "") for one in elements(ours, "image")]
    assert before == after
    assert any("scale" in one for one in after)
    assert ' transform="matrix(1.2345 0 0 1.2345 0 0)"' in tidy(
        '<svg viewBox="0 0 9 9"><g transform="matrix(1.2345 0 0 1.2345 0 0)"/></svg>'
    )


def test_text_stays_text_in_the_font_the_site_brings(pictures):
    _, ours = pictures
    texts = ["".join(one.itertext()) for one in elements(ours, "text")]
    assert {"Loss at 12.3456", "sine & <co>", "one", "four", "height"} <= set(texts)
    styles = [one.get("style", "") for one in elements(ours, "text", "tspan")]
    fonts = [style for style in styles if "font" in style]
    assert any("oblique" in font for font in fonts)  # the x of the label
    for font in fonts:
        assert re.search(r"\d+px", font)
        assert "'Figure Sans', 'DejaVu Sans', sans-serif" in font
    assert ours.count("DejaVu") == ours.count("Figure Sans") == len(fonts)


def test_the_short_form_of_a_font_that_older_matplotlib_writes_is_replaced_too():
    text = "<text style=\"font: oblique 9.5px 'DejaVu Sans', Verdana; text-anchor: end\">x</text>"
    assert "font: oblique 9.5px 'Figure Sans', 'DejaVu Sans', sans-serif; text-anchor: end" in tidy(
        f'<svg viewBox="0 0 9 9">{text}</svg>'
    )


def test_text_turned_by_nothing_is_not_turned_and_other_text_is(pictures):
    _, ours = pictures
    turned = {
        "".join(one.itertext()): one.get("transform")
        for one in elements(ours, "text")
        if one.get("transform")
    }
    assert set(turned) == {"height", "one", "two", "three", "four"}
    assert turned["height"].startswith("rotate(-90 ")
    assert turned["one"].endswith("rotate(-30)")


def test_black_and_white_follow_the_theme_and_no_other_color_does(pictures):
    theirs, ours = pictures
    assert "#000000" in theirs
    assert "fill: #ffffff" in theirs
    assert "#000000" not in ours
    assert "#ffffff" not in ours
    assert f"fill: {PAGE}" in ours
    assert "stroke: currentColor" in ours
    assert ElementTree.fromstring(ours).get("fill") == "currentColor"
    for color in ("#3d85c6", "#cf6f17", "#101010"):
        assert ours.count(color) == theirs.count(color) > 0


def test_the_background_is_left_to_the_page_whatever_the_style_says():
    fig, ax = plt.subplots(facecolor="#123456")
    ax.set_facecolor("#654321")
    svg = draw_svg(fig)
    plt.close(fig)
    assert "#123456" not in svg
    assert "#654321" not in svg


def test_the_same_figure_gives_the_same_letters_whatever_was_set_before():
    first = draw_svg(fig := busy_figure())
    plt.close(fig)
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": None}):
        second = draw_svg(fig := busy_figure())
    plt.close(fig)
    assert first == second
    assert str(2026) not in first
    assert "matplotlib" not in first.lower()


def test_it_is_as_wide_as_the_figure_in_css_pixels_and_hidden_from_screen_readers():
    fig = plt.figure(figsize=(3, 2))
    root = ElementTree.fromstring(draw_svg(fig))
    plt.close(fig)
    assert root.get("viewBox") == "0 0 216 144"  # points, of which an inch has 72
    assert root.get("width") == "288"  # pixels, of which an inch has 96
    assert root.get("height") is None
    assert root.get("aria-hidden") == "true"  # its alt text is read instead


def test_what_is_no_picture_is_refused():
    with pytest.raises(ValueError, match="viewBox"):
        tidy('<svg width="3"></svg>')


# ------------------------------------------------------------------------------- as image
def test_the_image_holds_the_picture_on_white(pictures):
    _, ours = pictures
    tag = as_image(ours, "a sine")
    inside = base64.b64decode(re.search(r"base64,([^\"]+)", tag)[1]).decode()
    assert tag.startswith('<img alt="a sine" ')
    assert ElementTree.fromstring(inside).get("style") == "background:#fff"
    assert "var(" not in inside  # a picture in an image does not see the theme of the page
    assert re.search(r'width="(\d+)"', tag)[1] == re.search(r'width="(\d+)"', ours)[1]


def test_the_press_can_give_the_image_back_to_the_theme(pictures):
    _, ours = pictures
    tag = as_image(ours, "a sine")
    inside = base64.b64decode(re.search(r"base64,([^\"]+)", tag)[1]).decode()
    assert PAGE in ours
    assert inside != ours
    assert themed(inside) == ours


def test_the_alt_text_cannot_break_out_of_its_attribute():
    alt = "x < 3 & \"y\" > 'z'"
    tag = as_image('<svg width="7"></svg>', alt)
    assert html.unescape(re.match(r'<img alt="([^"]*)" width="7" src=', tag)[1]) == alt
    assert "<" not in tag[1:]
