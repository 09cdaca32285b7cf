# ruff: noqa: ARG001, T201  (functions to draw take their controls, and what they print is shown)
import base64
import html
import importlib
import itertools
import json
import random
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ipywidgets.widgets.widget import _instances
from matplotlib.figure import Figure

from dlnotes.lab import choice, explore, slider
from dlnotes.lab.claims import METADATA
from dlnotes.lab.explore import Frame, figure_html, pack, unpack
from dlnotes.lab.svg import draw_svg, themed

WIDGET = "application/vnd.jupyter.widget-view+json"
module = importlib.import_module("dlnotes.lab.explore")  # the attribute is the function


@pytest.fixture
def baking(monkeypatch):
    monkeypatch.setenv("DLNOTES_BAKE", "1")


def small_figure(*heights):
    fig, ax = plt.subplots(figsize=(1, 1))
    ax.set_axis_off()
    ax.plot(heights)
    return fig


def swing(height=1.0, steps=2, kind="plain"):
    """A line that rises to its height.

    Only the line above says what is seen.
    """
    print(f"{kind}: {height:g} in {steps} steps")
    return small_figure(*np.linspace(0, height, steps), 5)


class Drawn:
    """Wraps `swing` and remembers the values it was called with."""

    __doc__ = swing.__doc__
    __name__ = "swing"

    def __init__(self):
        self.calls = []

    def __call__(self, height=1.0, steps=2, kind="plain"):
        self.calls.append((height, steps, kind))
        return swing(height, steps, kind)


def page(shown):
    return shown[-1][0]["text/html"]


def picture(shown):
    """Return the first picture as the theme will show it."""
    return themed(base64.b64decode(re.search(r"base64,([^\"]+)", page(shown))[1]).decode())


def said(shown):
    found = re.search(r"<pre[^>]*>(.*?)</pre>", page(shown), re.DOTALL)
    return html.unescape(found[1]) if found else ""


def frames(shown):
    found = re.search(r'<script type="application/x-explore"([^>]*)>([^<]*)<', page(shown))
    if found is None:
        return None
    unpacked = unpack(found[2])
    assert found[1] == f' data-frames="{len(unpacked)}"'
    return unpacked


def live(shown):
    """Return the handles and the view of the widget that was displayed."""
    box = _instances[shown[-1][0][WIDGET]["model_id"]]
    *handles, view = box.children
    return handles, view


def drawn_by_hand(**values):
    fig = swing(**values)
    plt.close(fig)
    return draw_svg(fig)


# -------------------------------------------------------------------------------- packing
element = st.text(st.characters(exclude_characters=">", codec="utf8"), max_size=8).map(
    lambda text: text + ">"
)
frame = st.builds(Frame, st.lists(element, min_size=1, max_size=6).map("".join), st.text())


@given(st.lists(frame, max_size=5))
def test_what_is_packed_comes_back_as_it_was(originals):
    assert unpack(pack(originals)) == originals


def test_elements_that_frames_share_are_stored_once():
    rng = np.random.default_rng(0)
    shared = [f'<path d="{rng.bytes(300).hex()}"/>' for _ in range(10)]
    many = [Frame("".join([*shared, f"<text>{i}</text>"]), "") for i in range(100)]
    document = json.loads(zlib.decompress(base64.b64decode(pack(many))))
    assert len(document["tok"]) == len(set(document["tok"])) == 10 + 2 + 99
    assert len(pack(many)) < 1.5 * len(pack(many[:1]))
    # What the script on the page reads: element numbers and words, frame by frame.
    assert len(document["frm"]) == len(document["txt"]) == 100


# --------------------------------------------------------------------------------- frames
@pytest.mark.parametrize("setting", [None, "", "0", "yes"])
def test_one_picture_is_drawn_unless_the_press_asks_for_frames(shown, monkeypatch, setting):
    if setting is not None:
        monkeypatch.setenv("DLNOTES_BAKE", setting)
    draw = Drawn()
    explore(draw, height=slider(0.0, 1.0, value=0.5), kind=["a", "b"])
    assert draw.calls == [(0.5, 2, "a")]
    assert frames(shown) is None


@pytest.mark.usefixtures("baking")
def test_the_press_gets_a_frame_for_every_stop_the_last_control_running_fastest(shown):
    draw = Drawn()
    explore(
        draw, kind=["a", "b"], height=slider(0.0, 1.0, n=3), steps=choice({"few": 2, "many": 9})
    )
    stops = list(itertools.product("ab", (0.0, 0.5, 1.0), (2, 9)))
    assert draw.calls[-12:] == [(height, steps, kind) for kind, height, steps in stops]
    baked = frames(shown)
    assert len(baked) == 12
    for (kind, height, steps), one in zip(stops, baked, strict=True):
        assert one.said == f"{kind}: {height:g} in {steps} steps"
        assert one.picture == drawn_by_hand(height=height, steps=steps, kind=kind)


@pytest.mark.usefixtures("baking")
def test_the_page_opens_at_the_frame_of_its_start(shown):
    explore(swing, height=slider(0.0, 1.0, n=5, value=0.75), kind=choice("a", "b", value="b"))
    axes = json.loads(html.unescape(re.search(r'data-axes="([^"]*)"', page(shown))[1]))
    assert axes == [
        {"name": "height", "kind": "range", "at": 3, "stops": ["0", "0.25", "0.5", "0.75", "1"]},
        {"name": "kind", "kind": "select", "at": 1, "stops": ["a", "b"]},
    ]
    assert frames(shown)[3 * 2 + 1] == Frame(picture(shown), said(shown))
    assert said(shown) == "b: 0.75 in 2 steps"


def test_the_first_picture_is_exactly_what_the_function_draws(shown):
    explore(swing, height=slider(1.0, 3.0, value=2.0), steps=[2, 4])
    assert picture(shown) == drawn_by_hand(height=2.0, steps=2)


@pytest.mark.usefixtures("baking")
def test_drawing_again_gives_the_same_bytes(shown):
    for _ in range(2):
        explore(swing, height=slider(0.0, 1.0, n=4), caption="A line.", name="fig-line")
    first, second = (bundle for bundle, _ in shown)
    assert first["text/html"] == second["text/html"]
    assert first["text/plain"] == second["text/plain"]


# ------------------------------------------------------------------------------ chance
def chancy(k=0):
    """A line that chance drew."""
    points = random.random(), np.random.rand(), torch.rand(()).item()
    print(points)
    return small_figure(*points)


AS_IN_A_CHAPTER = """
import os, random
import numpy as np
import torch
from ipywidgets.widgets.widget import _instances
from matplotlib.figure import Figure
from dlnotes.lab import explore, seed_everything

def three_numbers():
    return random.random(), np.random.rand(), torch.rand(()).item()

def chancy(k):
    "A line that chance drew."
    numbers = three_numbers()
    if k == 9:
        raise ArithmeticError(numbers)
    fig = Figure()
    fig.add_subplot().plot(numbers)
    return fig

def start():
    seed_everything(3)
    three_numbers()

start()
expected = three_numbers()
for bake in "01":
    os.environ["DLNOTES_BAKE"] = bake
    start()
    explore(chancy, k=[1, 2, 3])
    assert three_numbers() == expected, ("explore", bake)
(handle,) = [one for one in _instances.values() if hasattr(one, "options")][-1:]
for k in (2, 9):
    start()
    handle.options = [1, 2, 9]
    handle.value = k
    assert three_numbers() == expected, ("live", k)
start()
try:
    explore(chancy, k=[9, 1])
except ArithmeticError:
    assert three_numbers() == expected, "failed"
else:
    raise AssertionError("it should have failed")
"""


def test_later_cells_see_the_same_random_numbers_slider_or_no_slider():
    """One picture, all frames, a moved handle, or a failure: nothing changes for what follows.

    In a process of its own: the type checks of these tests draw from Python's generator.
    """
    subprocess.run([sys.executable, "-c", AS_IN_A_CHAPTER], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.usefixtures("baking")
@pytest.mark.parametrize("seed", [0, 7])
def test_every_picture_starts_from_the_seed(shown, seed):
    explore(chancy, k=[1, 2], **({"seed": seed} if seed else {}))
    expected = (
        random.Random(seed).random(),
        np.random.RandomState(seed).rand(),
        torch.rand((), generator=torch.Generator().manual_seed(seed)).item(),
    )
    assert [one.said for one in frames(shown)] == [str(expected)] * 2
    assert said(shown) == str(expected)
    handles, view = live(shown)
    handles[0].value = 2
    assert html.escape(str(expected)) in view.value


def test_a_gpu_in_use_is_seeded_and_its_generators_put_back_an_idle_one_left_alone(
    shown, monkeypatch
):
    gpu = {"state": ["as before"]}
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: gpu["state"])
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", lambda state: gpu.update(state=state))
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: gpu.update(state=[seed]))

    def draw(k=0):
        """A line."""
        print(gpu["state"])
        return small_figure(1, 2)

    for in_use, seen in ((True, "[5]"), (False, "['as before']")):
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda in_use=in_use: in_use)
        explore(draw, k=[1, 2], seed=5)
        assert said(shown) == seen
        assert gpu["state"] == ["as before"]


# ---------------------------------------------------------------------------- refusals
def test_too_many_frames_are_refused_before_anything_is_drawn(shown):
    draw = Drawn()
    with pytest.raises(ValueError, match=r"21 × 20 = 420 frames, more than 400: give slider"):
        explore(draw, height=slider(0.0, 1.0, n=21), steps=list(range(2, 22)))
    assert draw.calls == []
    assert shown == []


def test_four_hundred_frames_are_not_too_many(shown):
    explore(swing, height=slider(0.0, 1.0, n=20), steps=list(range(2, 22)))
    assert len(shown) == 1


@pytest.mark.parametrize(("characters", "fits"), [(860_000, True), (910_000, False)])
def test_frames_that_weigh_more_than_900_kilobytes_are_refused(characters, fits):
    noise = base64.b64encode(np.random.default_rng(0).bytes(characters * 3 // 4)).decode()
    half = len(noise) // 2
    heavy = [Frame(f"<svg><!--{part}--></svg>", "") for part in (noise[:half], noise[half:])]
    assert (len(pack(heavy)) <= 900_000) is fits
    if fits:
        assert pack(heavy) in figure_html(heavy[0], "noise", "", "", {}, heavy)
    else:
        with pytest.raises(ValueError, match=r"2 frames weigh 9\d\d kB, more than 900: fewer"):
            figure_html(heavy[0], "noise", "", "", {}, heavy)


@pytest.mark.usefixtures("baking")
def test_heavy_frames_are_refused_where_they_are_drawn(shown, monkeypatch):
    monkeypatch.setattr(module, "MAX_KB", 0.1)
    with pytest.raises(ValueError, match="2 frames weigh"):
        explore(swing, steps=[2, 3])
    assert shown == []


@pytest.mark.parametrize("count", [0, 4])
def test_a_picture_has_one_to_three_controls(shown, count):
    def draw(**_values):
        """A line."""
        raise AssertionError("not reached")

    with pytest.raises(ValueError, match=f"1 to 3 controls, not {count}"):
        explore(draw, **dict.fromkeys("abcd"[:count], True))
    assert shown == []


def test_three_controls_are_taken(shown):
    explore(swing, height=[1.0, 2.0], steps=[2, 3], kind=["a", "b"])
    assert len(live(shown)[0]) == 3


def test_a_control_that_the_function_does_not_take_is_refused_by_name(shown):
    with pytest.raises(TypeError, match=r"swing\(\) has no argument colour, width"):
        explore(swing, width=[1, 2], height=[1.0, 2.0], colour=["red", "blue"])
    assert shown == []


def test_a_function_of_any_keywords_takes_any_control(shown):
    def draw(**values):
        """A line."""
        print(values)
        return small_figure(1, 2)

    explore(draw, width=[1, 2])
    assert said(shown) == "{'width': 1}"


def test_a_keyword_that_is_no_control_is_refused(shown):
    with pytest.raises(TypeError, match=r"height= wants slider.*: 3\.0"):
        explore(swing, height=3.0)
    assert shown == []


def test_without_a_docstring_or_alt_it_is_refused_before_anything_is_drawn(shown):
    def draw(k=0):
        raise AssertionError("not reached")

    with pytest.raises(ValueError, match="draw needs a docstring that says what is seen"):
        explore(draw, k=[1, 2])
    assert shown == []


def test_the_alt_text_is_the_first_line_of_the_docstring_or_what_is_given(shown):
    explore(swing, steps=[2, 3])
    assert 'aria-label="A line that rises to its height."' in page(shown)
    assert '<img alt="A line that rises to its height."' in page(shown)
    explore(swing, steps=[2, 3], alt="A ramp")
    assert 'aria-label="A ramp"' in page(shown)
    assert "rises" not in page(shown)


# ------------------------------------------------------------------ what draw may return
def test_what_drawing_raises_is_passed_on_with_the_values_at_which_it_happened(shown):
    def draw(rate, kind):
        """A line."""
        plt.subplots()
        raise ZeroDivisionError("no rate")

    with pytest.raises(ZeroDivisionError, match="no rate") as failure:
        explore(draw, rate=slider(0.5, 1.0), kind=["a", "b"])
    assert failure.value.__notes__ == ["explore: draw(rate=0.5, kind='a') raised this"]
    assert plt.get_fignums() == []
    assert shown == []


@pytest.mark.usefixtures("baking")
def test_a_frame_that_fails_says_which(shown):
    def draw(k):
        """A line."""
        if k == 3:
            raise KeyError("three")
        return small_figure(1, k)

    with pytest.raises(KeyError) as failure:
        explore(draw, k=[1, 2, 3, 4])
    assert failure.value.__notes__ == ["explore: draw(k=3) raised this"]
    assert shown == []


@pytest.mark.parametrize("made", [0, 2])
def test_drawing_that_leaves_the_figure_open_to_question_is_refused(shown, made):
    def draw(k):
        """A line."""
        for _ in range(made):
            plt.subplots()
        return 3.5

    complaint = rf"draw\(k=1\) must return a .* returned float and made {made}"
    with pytest.raises(TypeError, match=complaint):
        explore(draw, k=[1, 2])
    assert plt.get_fignums() == []
    assert shown == []


def test_the_one_figure_made_need_not_be_returned(shown):
    def draw(k):
        """A line."""
        small_figure(0, k)

    explore(draw, k=[1, 2])
    by_hand = small_figure(0, 1)
    plt.close(by_hand)
    assert picture(shown) == draw_svg(by_hand)


def test_of_several_figures_the_returned_one_is_shown(shown):
    def draw(k):
        """A line."""
        wanted = small_figure(0, k)
        small_figure(k, 0)
        return wanted

    explore(draw, k=[1, 2])
    by_hand = small_figure(0, 1)
    plt.close(by_hand)
    assert picture(shown) == draw_svg(by_hand)


def test_a_figure_that_pyplot_does_not_know_is_shown(shown):
    def draw(k):
        """A line."""
        fig = Figure(figsize=(1, 1))
        fig.add_subplot().plot([0, k])
        return fig

    explore(draw, k=[1, 2])
    assert "<path" in picture(shown)


@pytest.mark.usefixtures("baking")
def test_all_its_figures_are_closed_and_those_of_the_notebook_are_left_alone(shown):
    older, current = small_figure(1, 2), small_figure(2, 1)
    explore(swing, steps=[2, 3, 4])
    handles, _ = live(shown)
    handles[0].value = 3
    assert plt.get_fignums() == [older.number, current.number]
    assert plt.gcf() is current
    plt.close(older)
    plt.close(current)


@pytest.mark.parametrize("interactive", [False, True])
def test_interactive_mode_is_off_while_drawing_and_as_before_after(shown, interactive):
    def draw(k):
        """A line."""
        print(plt.isinteractive())
        return small_figure(1, k)

    with plt.ion() if interactive else plt.ioff():
        explore(draw, k=[1, 2])
        assert plt.isinteractive() is interactive
    assert said(shown) == "False"


# ---------------------------------------------------------------------------------- live
def test_moving_a_handle_draws_anew_with_the_values_of_all(shown):
    explore(swing, height=slider(0.0, 1.0, value=0.5), steps=slider(2, 9), kind=["a", "b"])
    (height, steps, kind), view = live(shown)
    assert isinstance(view, ipywidgets.HTML)
    assert drawn_by_hand(height=0.5) in view.value
    assert "a: 0.5 in 2 steps" in view.value

    height.value = 0.33  # between two stops: live is finer than the page
    assert drawn_by_hand(height=0.33) in view.value
    steps.value = 6
    kind.value = "b"
    assert drawn_by_hand(height=0.33, steps=6) in view.value
    assert "b: 0.33 in 6 steps" in view.value
    assert 'aria-label="A line that rises to its height."' in view.value


@pytest.mark.usefixtures("baking")
def test_at_its_stops_the_live_picture_is_that_of_the_page(shown):
    explore(swing, height=slider(1 / 3, 2 / 3, n=4), steps=choice({"few": 2, "many": 9}))
    (height, steps), view = live(shown)
    stops = itertools.product(slider(1 / 3, 2 / 3, n=4).values, (2, 9))
    for (at_height, at_steps), one in zip(stops, frames(shown), strict=True):
        height.value, steps.value = at_height, at_steps
        assert one.picture in view.value
        assert one.said in view.value


def test_what_is_printed_stands_below_the_picture_and_nowhere_else(shown, capsys):
    explore(swing, steps=[2, 3])
    live(shown)[0][0].value = 3
    assert said(shown) == "plain: 1 in 2 steps"
    assert 'aria-live="polite"' in page(shown)
    assert capsys.readouterr().out == ""


def test_a_picture_that_says_nothing_has_no_place_for_words(shown):
    def draw(k):
        """A line."""
        return small_figure(1, k)

    explore(draw, k=[1, 2])
    assert "<pre" not in page(shown)
    assert shown[0][0]["text/plain"] == "[figure with controls: A line.]\n  k: 1   (of 1, 2)"


def test_an_error_while_live_is_shown_where_the_picture_was_until_the_next_move(shown):
    def draw(k):
        """A line."""
        plt.subplots()
        if k == 2:
            raise ValueError("k < 2 & more")
        plt.close()
        return small_figure(1, k)

    explore(draw, k=[1, 2, 3])
    (handle,), view = live(shown)
    handle.value = 2
    assert view.value.startswith("<pre>Traceback")
    assert "ValueError: k &lt; 2 &amp; more" in view.value
    assert html.escape("explore: draw(k=2) raised this") in view.value
    assert "<svg" not in view.value
    assert plt.get_fignums() == []
    handle.value = 3
    assert "<svg" in view.value
    assert "Traceback" not in view.value


@pytest.mark.parametrize(("limit", "stays"), [(1e9, True), (-1.0, False)])
def test_a_slow_picture_waits_until_the_handle_is_let_go(shown, monkeypatch, limit, stays):
    monkeypatch.setattr(module, "_SLOW", limit)
    explore(swing, height=slider(0.0, 1.0), steps=slider(2, 9), kind=["a", "b"])
    (height, steps, menu), _ = live(shown)
    height.value = 0.5
    assert height.continuous_update is steps.continuous_update is stays
    assert not hasattr(menu, "continuous_update")


# ----------------------------------------------------------------------- representations
def test_one_output_is_live_static_and_plain(shown):
    explore(swing, height=slider(0.0, 1.0, value=0.5), steps=[2, 3], alt="A ramp")
    ((bundle, metadata),) = shown
    assert set(bundle) == {WIDGET, "text/html", "text/plain"}
    assert bundle["text/plain"].splitlines() == [
        "[figure with controls: A ramp]",
        "  height: 0.5   (of 0, …, 1)",
        "  steps: 2   (of 2, 3)",
        "plain: 0.5 in 2 steps",
    ]
    assert metadata[METADATA]["bake_cpu_seconds"] >= 0


@pytest.mark.usefixtures("baking")
def test_the_cost_of_the_frames_is_recorded_without_that_of_the_first_picture(shown, monkeypatch):
    clock = itertools.count(100.0)
    monkeypatch.setattr(module.time, "process_time", lambda: next(clock))

    def draw(k):
        """A line."""
        next(clock)  # a second each
        return small_figure(1, k)

    explore(draw, k=[1, 2, 3])
    assert shown[0][1][METADATA] == {"bake_cpu_seconds": 1 + 3}


class Page(HTMLParser):
    """Collects the tags, their attributes, and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open = [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text[self.open[-1]] = self.text.get(self.open[-1], "") + data

    def attributes(self, **wanted):
        return [a for _, a in self.tags if wanted.items() <= a.items()]


@pytest.mark.usefixtures("baking")
def test_nothing_a_chapter_writes_can_break_the_page(shown):
    nasty = "a < b & \"c\" > 'd' </figure>"

    def draw(kind):
        """Unused."""
        print(nasty)
        return small_figure(1, 2)

    explore(draw, alt=nasty, caption=nasty, name="fig-nasty", kind={nasty: 1, "tame": 2})
    parsed = Page(page(shown))
    assert parsed.open == []
    (figure,) = [attributes for tag, attributes in parsed.tags if tag == "figure"]
    assert figure["data-name"] == "fig-nasty"
    assert json.loads(figure["data-axes"])[0]["stops"] == [nasty, "tame"]
    assert parsed.attributes(role="img")[0]["aria-label"] == nasty
    assert parsed.text["figcaption"] == parsed.text["pre"] == nasty
    handles, view = live(shown)
    handles[0].value = 2
    assert Page(view.value).text["pre"] == nasty


@pytest.mark.usefixtures("baking")
def test_what_changes_from_machine_to_machine_stands_between_the_marks(shown):
    """nbval blanks what lies there; the controls and the caption it compares."""
    explore(swing, steps=[2, 3], caption="A line.")
    outside = re.sub(r"<!--explore-->.*<!--/explore-->", "", page(shown), flags=re.DOTALL)
    assert outside == (
        '<figure class="explore" data-axes="[{&quot;name&quot;:&quot;steps&quot;,'
        "&quot;kind&quot;:&quot;range&quot;,&quot;at&quot;:0,"
        '&quot;stops&quot;:[&quot;2&quot;,&quot;3&quot;]}]"><div class="explore-controls"></div>'
        "<figcaption>A line.</figcaption></figure>"
    )


def test_labels_are_read_on_the_page_in_plain_text_and_live(shown):
    def draw(learning_rate, with_dots):
        """A line."""
        return small_figure(1, learning_rate)

    explore(draw, learning_rate=slider(1, 5), with_dots=False)
    assert "&quot;name&quot;:&quot;learning rate&quot;" in page(shown)
    assert "  learning rate: 1   (of 1, 2, 3, 4, 5)" in shown[0][0]["text/plain"]
    assert "  with dots: off   (of off, on)" in shown[0][0]["text/plain"]
    assert [handle.description for handle in live(shown)[0]] == ["learning rate", "with dots"]
