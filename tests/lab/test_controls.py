import math

import ipywidgets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlnotes.lab import choice, slider
from dlnotes.lab.controls import control_for

reasonable = st.floats(0.001, 1000, allow_nan=False)


# -------------------------------------------------------------------------------- sliders
def test_a_linear_slider_has_n_evenly_spaced_stops_from_end_to_end():
    assert slider(0.0, 1.0, n=5).values == (0, 0.25, 0.5, 0.75, 1)
    assert len(slider(-2.5, 2.5).values) == 11


def test_a_log_slider_multiplies_from_stop_to_stop():
    assert slider(0.01, 100.0, n=5, log=True).values == (0.01, 0.1, 1, 10, 100)
    assert slider(1, 1000, n=4, log=True).stops == ("1", "10", "100", "1e+03")


def test_two_integers_give_integers_and_no_stop_twice():
    control = slider(1, 4)
    assert control.values == (1, 2, 3, 4)
    assert control.stops == ("1", "2", "3", "4")
    assert all(type(value) is int for value in control.values)
    assert slider(0, 10, n=4).values == (0, 3, 7, 10)
    assert type(slider(0, 1.0).values[0]) is float


@given(lo=reasonable, ratio=st.floats(1.5, 100), n=st.integers(2, 30), log=st.booleans())
def test_what_a_stop_shows_is_what_is_drawn_in_rising_order(lo, ratio, n, log):
    control = slider(lo, lo * ratio, n=n, log=log)
    assert [float(stop) for stop in control.stops] == list(control.values)
    assert list(control.values) == sorted(set(control.values))
    assert control.values[0] == pytest.approx(lo, rel=0.006)
    assert control.values[-1] == pytest.approx(lo * ratio, rel=0.006)


def test_digits_say_how_much_of_a_number_is_kept():
    assert slider(0.0, 1.0, n=4).values == (0, 0.333, 0.667, 1)
    assert slider(0.0, 1.0, n=4, digits=1).stops == ("0", "0.3", "0.7", "1")


def test_the_start_is_the_first_stop_or_the_nearest_to_the_value():
    assert slider(0.0, 1.0, n=5).start == 0
    assert slider(0.0, 1.0, n=5, value=0.6).start == 2
    assert slider(0, 10, value=7).start == 7
    # On a log slider near means near in ratio: 4 is nearer to 10 than to 1.
    assert slider(1.0, 100.0, n=3, log=True, value=4.0).start == 1


@given(lo=reasonable, ratio=st.floats(1.5, 100), n=st.integers(2, 8), log=st.booleans())
def test_the_live_slider_takes_every_stop_without_moving_it(lo, ratio, n, log):
    """Ends that are rounded outward must not be pushed back in by the widget."""
    control = control_for("x", slider(lo, lo * ratio, n=n, log=log))
    widget = control.widget()
    assert widget.value == pytest.approx(control.values[0], rel=1e-12)
    for value in control.values:
        widget.value = value
        assert widget.value == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("control", "kind", "span", "step"),
    [
        (slider(0, 10), ipywidgets.IntSlider, 10, 1),
        (slider(0.0, 1.0, n=11), ipywidgets.FloatSlider, 1, 0.01),
        (slider(0.1, 10.0, n=5, log=True), ipywidgets.FloatLogSlider, 2, 0.05),
    ],
)
def test_the_live_slider_is_about_ten_times_finer_than_its_stops(control, kind, span, step):
    widget = control.widget()
    assert type(widget) is kind
    assert widget.max - widget.min == pytest.approx(span)
    assert widget.step == pytest.approx(step)


def test_the_live_slider_starts_where_the_page_starts():
    for control in (slider(0, 9, value=4), slider(0.5, 8.0, n=5, log=True, value=2.0)):
        assert control.values[control.start] == pytest.approx(control.widget().value)
        assert control.start > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"lo": 1, "hi": 1},
        {"lo": 2.0, "hi": 1.0},
        {"lo": 0, "hi": 1, "n": 1},
        {"lo": 0.0, "hi": 1.0, "log": True},
        {"lo": -1.0, "hi": 1.0, "log": True},
        {"lo": math.nan, "hi": 1.0},
    ],
)
def test_a_range_that_holds_no_stops_is_refused_with_what_was_asked(wrong):
    with pytest.raises(ValueError, match=f"lo={wrong['lo']}, hi={wrong['hi']}"):
        slider(**wrong)


def test_stops_that_all_read_the_same_are_refused():
    with pytest.raises(ValueError, match=r"all stops read 1.0: give more digits"):
        slider(0.9999, 1.0)
    assert len(slider(0.9999, 1.0, digits=6).values) > 5


def test_a_log_slider_cannot_start_at_zero():
    with pytest.raises(ValueError, match=r"above 0 on a log slider, not 0"):
        slider(0.1, 1.0, log=True, value=0)


# -------------------------------------------------------------------------------- choices
def test_words_become_a_menu_and_numbers_a_slider_over_exactly_these():
    words, numbers = choice("sgd", "adam"), choice(1, 5, 25)
    assert (words.kind, numbers.kind) == ("select", "range")
    assert type(words.widget()) is ipywidgets.Dropdown
    assert type(numbers.widget()) is ipywidgets.SelectionSlider
    assert numbers.values == (1, 5, 25)
    assert [value for _, value in numbers.widget().options] == [1, 5, 25]
    assert choice(1, 5, "all").kind == "select"


def test_a_dict_shows_its_keys_and_hands_over_its_values():
    control = choice({"none": 0.0, "strong": 0.9}, value=0.9)
    assert (control.kind, control.stops, control.values) == (
        "select",
        ("none", "strong"),
        (0.0, 0.9),
    )
    widget = control.widget()
    assert (widget.label, widget.value) == ("strong", 0.9)


def test_a_choice_starts_at_its_first_option_or_at_the_value():
    assert choice("a", "b", "c").start == 0
    assert choice("a", "b", "c", value="b").start == 1
    assert choice("a", "b", "c", value="c").widget().value == "c"


@pytest.mark.parametrize("options", [(), ("only",), ({"only": 1},), (1, "1"), ("a", "b", "a")])
def test_fewer_than_two_options_that_read_differently_are_refused(options):
    with pytest.raises(ValueError, match="at least two options"):
        choice(*options)


def test_a_start_that_is_no_option_is_refused():
    with pytest.raises(ValueError, match=r"one of its values \('a', 'b'\), not 'c'"):
        choice("a", "b", value="c")


# --------------------------------------------------------------- what a keyword stands for
@pytest.mark.parametrize("at", [False, True])
def test_a_bool_becomes_a_switch_that_starts_there(at):
    control = control_for("dots", at)
    assert (control.kind, control.values, control.stops) == ("check", (False, True), ("off", "on"))
    assert control.values[control.start] is at
    widget = control.widget()
    assert type(widget) is ipywidgets.Checkbox
    assert widget.value is at


@pytest.mark.parametrize(
    ("spec", "values", "kind"),
    [
        ([1, 2, 3], (1, 2, 3), "range"),
        (("a", "b"), ("a", "b"), "select"),
        (range(2, 5), (2, 3, 4), "range"),
        ({"x": 1, "y": 2}, (1, 2), "select"),
        (slider(0, 2), (0, 1, 2), "range"),
    ],
)
def test_lists_ranges_dicts_and_controls_are_understood(spec, values, kind):
    control = control_for("x", spec)
    assert (control.values, control.kind) == (values, kind)


def test_the_label_is_the_keyword_in_words_unless_one_is_given():
    assert control_for("learning_rate", [1, 2]).label == "learning rate"
    assert control_for("rate", slider(0, 1, label="learning rate")).label == "learning rate"
    assert control_for("rate", choice(1, 2, label="pace")).widget().description == "pace"
    assert control_for("with_dots", True).widget().description == "with dots"


@pytest.mark.parametrize("spec", [3, 0.5, "sgd", None])
def test_what_is_no_control_is_refused_by_its_keyword(spec):
    with pytest.raises(TypeError, match=f"rate= wants slider.*{spec!r}"):
        control_for("rate", spec)
