"""The controls of `explore`: a range of numbers, a choice of options, a switch."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ipywidgets

_LABEL_STYLE = {"description_width": "initial"}


@dataclass(frozen=True)
class Control:
    """One control: its stops on the static page, and how to make its live widget."""

    values: tuple[Any, ...]
    stops: tuple[str, ...]
    kind: str  # "range", "select" or "check"
    start: int
    label: str
    make: Callable[["Control"], "ipywidgets.Widget"] = field(repr=False)

    def widget(self) -> "ipywidgets.Widget":
        """Return a fresh live widget."""
        return self.make(self)


def slider(
    lo: int | float,
    hi: int | float,
    n: int = 11,
    *,
    log: bool = False,
    value: int | float | None = None,
    label: str = "",
    digits: int = 3,
) -> Control:
    """Numbers from ``lo`` to ``hi``: ``n`` stops on the page, about ten times finer when live.

    Two integers give integers. ``log`` spaces the stops evenly in ratio. What a stop shows, to
    ``digits`` significant digits, is exactly what is drawn. ``value`` is the stop to start at, or
    near. Raises ``ValueError`` for an empty range, fewer than two stops, stops that all
    read the same, or a log range that does not lie above 0.
    """
    if not lo < hi or n < 2 or (log and lo <= 0):
        raise ValueError(
            f"slider needs lo < hi, n >= 2, and lo > 0 if log: {lo=}, {hi=}, {n=}, {log=}"
        )
    integers = isinstance(lo, int) and isinstance(hi, int) and not log
    shares = [i / (n - 1) for i in range(n)]
    raw = [lo * (hi / lo) ** share if log else lo + (hi - lo) * share for share in shares]
    numbers = [round(v) if integers else float(f"{v:.{digits}g}") for v in raw]
    values = tuple(dict.fromkeys(numbers))  # few integers, many stops: no stop twice
    if len(values) < 2:
        raise ValueError(f"from {lo} to {hi} all stops read {values[0]}: give more digits=")
    start = 0 if value is None else _nearest(values, value, log=log)
    stops = tuple(str(v) if integers else f"{v:.{digits}g}" for v in values)

    def make(control: Control) -> "ipywidgets.Widget":
        import ipywidgets

        common = {
            "description": control.label,
            "value": control.values[control.start],
            "style": _LABEL_STYLE,
        }
        low, high = values[0], values[-1]  # what is rounded may lie outside lo and hi
        if integers:
            return ipywidgets.IntSlider(min=low, max=high, **common)
        readout = {"readout_format": f".{digits}g"}
        if log:
            low, high = math.log10(low), math.log10(high)
            step = (high - low) / (10 * (n - 1))
            return ipywidgets.FloatLogSlider(min=low, max=high, step=step, **readout, **common)
        step = (high - low) / (10 * (n - 1))
        return ipywidgets.FloatSlider(min=low, max=high, step=step, **readout, **common)

    return Control(values, stops, "range", start, label, make)


def _nearest(values: tuple[int | float, ...], wanted: int | float, *, log: bool) -> int:
    if log and wanted <= 0:
        raise ValueError(f"value must be above 0 on a log slider, not {wanted}")
    distance = [abs(math.log(v / wanted)) if log else abs(v - wanted) for v in values]
    return distance.index(min(distance))


def choice(*options: Any, value: Any = None, label: str = "") -> Control:
    """Offer options: ``choice("sgd", "adam")``, or with labels ``choice({"plain": 0.0})``.

    Numbers become a slider over exactly these, anything else a menu. Raises ``ValueError`` for
    fewer than two options, two that read the same, or a ``value`` that is not among them.
    """
    if len(options) == 1 and isinstance(options[0], dict):
        stops, values = tuple(map(str, options[0])), tuple(options[0].values())
        numeric = False
    else:
        stops, values = tuple(map(str, options)), options
        numeric = all(isinstance(option, int | float) for option in options)
    if len(values) < 2 or len(set(stops)) < len(stops):
        raise ValueError(f"choice needs at least two options that read differently, not {stops}")
    if value is not None and value not in values:
        raise ValueError(f"choice starts at one of its values {values}, not {value!r}")

    def make(control: Control) -> "ipywidgets.Widget":
        import ipywidgets

        kind = ipywidgets.SelectionSlider if numeric else ipywidgets.Dropdown
        return kind(
            options=list(zip(control.stops, control.values, strict=True)),
            value=control.values[control.start],
            description=control.label,
            style=_LABEL_STYLE,
        )

    start = 0 if value is None else values.index(value)
    return Control(values, stops, "range" if numeric else "select", start, label, make)


def _switch(at: bool) -> Control:
    def make(control: Control) -> "ipywidgets.Widget":
        import ipywidgets

        return ipywidgets.Checkbox(value=at, description=control.label, indent=False)

    return Control((False, True), ("off", "on"), "check", int(at), "", make)


def control_for(name: str, spec: Any) -> Control:
    """Return the control that a keyword of `explore` stands for, labeled."""
    if isinstance(spec, bool):
        control = _switch(spec)
    elif isinstance(spec, Control):
        control = spec
    elif isinstance(spec, list | tuple | range):
        control = choice(*spec)
    elif isinstance(spec, dict):
        control = choice(spec)
    else:
        raise TypeError(f"{name}= wants slider(…), choice(…), a list, a dict or a bool: {spec!r}")
    label = control.label or name.replace("_", " ")
    return Control(control.values, control.stops, control.kind, control.start, label, control.make)
