"""Sliders with three lives: `explore(draw, ...)` emits one output for three kinds of reader.

* it is live in JupyterLab and Binder: core ipywidgets, every move calls ``draw`` in the kernel;
* it is alive on the published page: precomputed frames, shown by a small script, with no kernel;
* it is plain text and one picture for everything else: nbval, terminals, pages without scripts.

Frames are drawn only where ``DLNOTES_BAKE=1`` is set (the press sets it when it executes a chapter
to store it); elsewhere one picture is drawn, so that tests and readers' kernels stay quick.
"""
# ruff: noqa: NPY002  (the global generator is kept and put back)

import base64
import contextlib
import html
import inspect
import io
import itertools
import json
import math
import os
import random
import sys
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from IPython.display import display

from dlnotes.lab.claims import METADATA
from dlnotes.lab.controls import Control, control_for
from dlnotes.lab.svg import as_image, draw_svg

if TYPE_CHECKING:
    import ipywidgets

MAX_CONTROLS, MAX_FRAMES, MAX_KB = 3, 400, 900
_SLOW = 0.3  # seconds; a slower picture is redrawn when the handle is let go, not while it moves


class Frame(NamedTuple):
    """One picture and what ``draw`` printed beside it."""

    picture: str
    said: str


def explore(
    draw: Callable[..., Any],
    *,
    alt: str | None = None,
    caption: str = "",
    name: str = "",
    seed: int = 0,
    **controls: Any,
) -> None:
    """Show ``draw(**values)`` under one control per keyword: a slider, a choice, a list or a bool.

    ``draw`` returns a Matplotlib figure, or makes exactly one; what it prints stands below the
    picture and is read aloud. ``alt`` defaults to the first line of its docstring, ``name`` makes
    the figure citable. Every picture starts from ``seed``, and the notebook's own generators
    are put back after it: later cells see the same random numbers, slider or no slider.

    Raises ``TypeError`` for controls that ``draw`` does not take, ``ValueError`` for none or more
    than three, for more than 400 frames, frames of more than 900 kB, or a missing alt text. What
    ``draw`` raises is passed on with the values at which it happened.
    """
    knobs = _controls_of(draw, controls)
    alt = alt or (inspect.getdoc(draw) or "").partition("\n")[0]
    if not alt:
        raise ValueError(f"{draw.__name__} needs a docstring that says what is seen, or pass alt=")
    start = {key: knob.values[knob.start] for key, knob in knobs.items()}
    first = _frame(draw, start, seed)
    frames, begun = None, time.process_time()
    if os.environ.get("DLNOTES_BAKE") == "1":
        stops = itertools.product(*(knob.values for knob in knobs.values()))
        frames = [_frame(draw, dict(zip(knobs, at, strict=True)), seed) for at in stops]
    live = _widget(draw, knobs, first, alt, seed)
    display(
        {
            **live._repr_mimebundle_(),
            "text/html": figure_html(first, alt, caption, name, knobs, frames),
            "text/plain": _plain(alt, knobs, first.said),
        },
        raw=True,
        # No reader pays for the frames: the press takes them off the chapter's cost.
        metadata={METADATA: {"bake_cpu_seconds": time.process_time() - begun}},
    )


def _controls_of(draw: Callable[..., Any], controls: dict[str, Any]) -> dict[str, Control]:
    if not 1 <= len(controls) <= MAX_CONTROLS:
        raise ValueError(f"explore takes 1 to {MAX_CONTROLS} controls, not {len(controls)}")
    parameters = inspect.signature(draw).parameters
    open_ended = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    unknown = sorted(set(controls) - set(parameters))
    if unknown and not open_ended:
        raise TypeError(f"{draw.__name__}() has no argument {', '.join(unknown)}")
    knobs = {key: control_for(key, spec) for key, spec in controls.items()}
    counts = [len(knob.values) for knob in knobs.values()]
    if math.prod(counts) > MAX_FRAMES:
        raise ValueError(
            f"{' × '.join(map(str, counts))} = {math.prod(counts)} frames, more than "
            f"{MAX_FRAMES}: give slider(…, n=) fewer stops"
        )
    return knobs


# ---------------------------------------------------------------------------- drawing
@contextlib.contextmanager
def _generators_kept(seed: int) -> Iterator[None]:
    torch: Any = sys.modules.get("torch")  # a chapter without torch need not load it
    on_gpu = torch and torch.cuda.is_initialized()
    kept = random.getstate(), np.random.get_state(), torch and torch.get_rng_state()
    kept_on_gpu = on_gpu and torch.cuda.get_rng_state_all()
    random.seed(seed)
    np.random.seed(seed)
    if torch:
        # Not torch.manual_seed, which would also reach a GPU that is not yet in use.
        torch.default_generator.manual_seed(seed)
    if on_gpu:
        torch.cuda.manual_seed_all(seed)
    try:
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
        if torch:
            torch.set_rng_state(kept[2])
        if on_gpu:
            torch.cuda.set_rng_state_all(kept_on_gpu)


def _frame(draw: Callable[..., Any], values: dict[str, Any], seed: int) -> Frame:
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    said, before = io.StringIO(), set(plt.get_fignums())
    with _generators_kept(seed), contextlib.redirect_stdout(said), plt.ioff():
        try:
            returned = draw(**values)
        except Exception as error:
            error.add_note(f"explore: {draw.__name__}({_spell(values)}) raised this")
            raise
        finally:
            new = [plt.figure(number) for number in plt.get_fignums() if number not in before]
            for made in new:
                plt.close(made)
    figure = returned if isinstance(returned, Figure) else (new[0] if len(new) == 1 else None)
    if figure is None:
        raise TypeError(
            f"{draw.__name__}({_spell(values)}) must return a Matplotlib figure, or make one; "
            f"it returned {type(returned).__name__} and made {len(new)}"
        )
    return Frame(draw_svg(figure), said.getvalue().rstrip())


def _spell(values: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in values.items())


# ---------------------------------------------------------------------------- live
def _widget(
    draw: Callable[..., Any], knobs: dict[str, Control], first: Frame, alt: str, seed: int
) -> "ipywidgets.VBox":
    import ipywidgets

    handles = {key: knob.widget() for key, knob in knobs.items()}
    view = ipywidgets.HTML(_view(first.picture, first.said, alt))

    def redraw(_: Any) -> None:
        # An error in a widget's callback is shown to nobody: it goes where the picture was.
        begun = time.perf_counter()
        try:
            values = {key: handle.value for key, handle in handles.items()}
            frame = _frame(draw, values, seed)
            view.value = _view(frame.picture, frame.said, alt)
        except Exception:
            view.value = f"<pre>{html.escape(traceback.format_exc(limit=-2))}</pre>"
        if time.perf_counter() - begun > _SLOW:
            for handle in handles.values():
                if hasattr(handle, "continuous_update"):
                    handle.continuous_update = False

    for handle in handles.values():
        handle.layout.width = "min(32rem, 95%)"
        handle.observe(redraw, "value")
    return ipywidgets.VBox([*handles.values(), view])


# ---------------------------------------------------------------------------- static
def figure_html(
    first: Frame,
    alt: str,
    caption: str,
    name: str,
    knobs: dict[str, Control] | None = None,
    frames: list[Frame] | None = None,
) -> str:
    """Return the ``<figure>`` that pages show; the press turns its caption into a numbered one.

    What lies between the explore marks is not compared as text by nbval but, by the test suite,
    as a picture. Raises ``ValueError`` when the frames weigh more than 900 kB.
    """
    axes = [
        {"name": knob.label, "kind": knob.kind, "at": knob.start, "stops": knob.stops}
        for knob in (knobs or {}).values()
    ]
    payload = ""
    if frames is not None:
        packed = pack(frames)
        if len(packed) > MAX_KB * 1000:
            raise ValueError(
                f"{len(frames)} frames weigh {len(packed) // 1000} kB, more than {MAX_KB}: fewer "
                "stops, fewer points, or rasterized=True for large artists"
            )
        payload = (
            f'<script type="application/x-explore" data-frames="{len(frames)}">{packed}</script>'
        )
    attributes = f' data-axes="{html.escape(_json(axes))}"' if axes else ""
    attributes += f' data-name="{html.escape(name)}"' if name else ""
    return (
        f'<figure class="explore"{attributes}>'
        + ('<div class="explore-controls"></div>' if axes else "")
        + f"<!--explore-->{_view(as_image(first.picture, alt), first.said, alt)}{payload}"
        + "<!--/explore-->"
        + (f"<figcaption>{html.escape(caption)}</figcaption>" if caption else "")
        + "</figure>"
    )


def _view(picture: str, said: str, alt: str) -> str:
    spoken = f'<pre class="explore-said" aria-live="polite">{html.escape(said)}</pre>'
    return (
        f'<div class="explore-view" role="img" aria-label="{html.escape(alt)}">{picture}</div>'
        + (spoken if said else "")
    )


def _plain(alt: str, knobs: dict[str, Control], said: str) -> str:
    rows = [f"[figure with controls: {alt}]"]
    for knob in knobs.values():
        ends = knob.stops if len(knob.stops) < 6 else [knob.stops[0], "…", knob.stops[-1]]
        rows.append(f"  {knob.label}: {knob.stops[knob.start]}   (of {', '.join(ends)})")
    return "\n".join(rows + ([said] if said else []))


def pack(frames: list[Frame]) -> str:
    """Store each element that frames share once, and frames as lists of element numbers."""
    table: dict[str, int] = {}
    rows = [
        [table.setdefault(element, len(table)) for element in _elements(frame.picture)]
        for frame in frames
    ]
    document = {"tok": list(table), "frm": rows, "txt": [frame.said for frame in frames]}
    return base64.b64encode(zlib.compress(_json(document).encode(), 9)).decode()


def unpack(packed: str) -> list[Frame]:
    """Undo `pack`."""
    document = json.loads(zlib.decompress(base64.b64decode(packed)))
    pictures = ("".join(document["tok"][at] for at in row) for row in document["frm"])
    return [Frame(*pair) for pair in zip(pictures, document["txt"], strict=True)]


def _elements(picture: str) -> list[str]:
    return [piece + ">" for piece in picture.split(">")[:-1]]


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
