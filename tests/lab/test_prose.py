import pytest

from dlnotes.lab.prose import display_prose


def test_the_same_text_is_given_to_the_site_to_jupyterlab_and_to_terminals(shown):
    display_prose("It *rises*.\n\nTwice.", "It rises. Twice.")
    ((bundle, metadata),) = shown
    assert bundle == {
        "text/markdown": "It *rises*.\n\nTwice.",
        "text/html": "<p>It <em>rises</em>.</p>\n<p>Twice.</p>\n",
        "text/plain": "It rises. Twice.",
    }
    assert metadata == {}


@pytest.mark.parametrize(
    ("markdown", "page"),
    [
        ("$a_1 * b_2 * c$", "$a_1 * b_2 * c$"),
        (r"so $\{x\}$ is", r">$\{x\}$<"),
        ("$x < y & z$", "$x &lt; y &amp; z$"),
        ("$$\nx_1 * y * _2\n$$", "$$x_1 * y * _2$$"),
    ],
)
def test_maths_reaches_the_page_with_its_dollars_and_no_markup_inside(shown, markdown, page):
    display_prose(markdown, "")
    made = shown[0][0]["text/html"]
    assert page in made
    assert "<em>" not in made


def test_html_in_the_text_stays_and_markdown_between_its_blank_lines_is_read(shown):
    display_prose('<div class="claim">\n\n**So** it is\n\n</div>', "")
    assert shown[0][0]["text/html"] == (
        '<div class="claim">\n<p><strong>So</strong> it is</p>\n</div>'
    )


def test_a_style_wraps_the_html_alone_and_metadata_is_passed_on(shown):
    display_prose("Yes", "Yes", style='content: "x"', metadata={"dlnotes": {"claim": "toy.1"}})
    ((bundle, metadata),) = shown
    assert bundle["text/html"] == ('<div style="content: &quot;x&quot;"><p>Yes</p>\n</div>')
    assert bundle["text/markdown"] == "Yes"
    assert metadata == {"dlnotes": {"claim": "toy.1"}}
