"""What runs inside the box: a student's cells, and calls to what they define.

Untrusted from the first cell on: the grader believes nothing that this process says but the values
it returns. Requests come as length and JSON (``codec.pack``) on standard input, answers leave on
standard output; whatever the student prints goes to standard error.
"""

import contextlib
import json
import os
import sys
import types
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import codec  # a file beside this one, in the box

MAX_TEXT = 2000
FIGURE_PIXELS = 1600


def read_exactly(stream: int, count: int) -> bytes:
    """Read ``count`` bytes; end the process if there are no more."""
    data = b""
    while len(data) < count:
        piece = os.read(stream, min(count - len(data), 1 << 20))
        if not piece:
            os._exit(0)
        data += piece
    return data


def run_cell(source: str, name: str, namespace: dict[str, Any]) -> None:
    """Run a cell as a notebook would, but without magics: those lines are left out."""
    try:
        code = compile(source, f"<{name}>", "exec")
    except SyntaxError:
        lines = source.splitlines()
        kept = ["" if line.lstrip().startswith(("%", "!")) else line for line in lines]
        if kept == lines:
            raise
        code = compile("\n".join(kept), f"<{name}>", "exec")
    exec(code, namespace)


def pictures() -> list[Any]:
    """Draw every open figure as an array of pixels, then close them."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return []
    drawn = []
    for number in pyplot.get_fignums()[:4]:
        figure = pyplot.figure(number)
        figure.set_dpi(min(100, FIGURE_PIXELS / max(*figure.get_size_inches(), 1)))
        figure.canvas.draw()
        import numpy as np

        drawn.append(np.asarray(figure.canvas.buffer_rgba()))
    pyplot.close("all")
    return drawn


def serve(read: int, write: int) -> None:
    """Answer requests until the grader hangs up."""
    home = sys.modules["__main__"] = types.ModuleType("__main__")  # the student's own
    namespace = vars(home)
    namespace.update(display=print, get_ipython=lambda: None)
    handles: list[Any] = []

    def put(value: Any) -> int:
        handles.append(value)
        return len(handles) - 1

    def names(request: dict[str, Any]) -> dict[str, Any]:
        given = request.get("keywords", {})
        return {name: codec.decode(item, handles.__getitem__) for name, item in given.items()}

    def answer(request: dict[str, Any]) -> Any:
        kind = request["do"]
        if kind == "hello":
            return None
        if kind == "cell":
            return run_cell(request["source"], request["name"], namespace)
        if kind == "pictures":
            return pictures()
        if kind == "evaluate":
            return eval(request["source"], {**namespace, **names(request)})
        if kind == "get":
            if request["name"] not in namespace:
                raise NameError(f"name {request['name']!r} is not defined")
            return namespace[request["name"]]
        target = handles[request["handle"]]
        if kind == "attribute":
            return getattr(target, request["name"])
        arguments = [codec.decode(item, handles.__getitem__) for item in request["arguments"]]
        return target(*arguments, **names(request))

    while True:
        size = int.from_bytes(read_exactly(read, 4), "big")
        request = json.loads(read_exactly(read, size))
        try:
            reply = {"value": codec.encode(answer(request), put)}
        except BaseException as error:  # sys.exit, too, ends a cell and not the grading
            reply = {"error": [type(error).__name__, str(error)[:MAX_TEXT]]}
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):
                stream.flush()
        data = codec.pack({"number": request["number"], **reply})
        while data:
            data = data[os.write(write, data) :]


if __name__ == "__main__":
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    serve(requests, answers)
