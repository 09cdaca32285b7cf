"""Values as plain data, for the pipe between grader and box: no pickle, nothing that could run.

Both ends use this file, the box as a file of its own: it imports NumPy and torch only where a value
needs them, and nothing of this package.
"""

import base64
import json
import math
from collections.abc import Callable
from typing import Any

MAX_BYTES = 16 << 20  # of one message
MAX_DEPTH = 20
MAX_KEYS = 10_000  # of a dict, but for strings: others can be chosen so that their hashes are one
DTYPES = frozenset(
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 "
    "float16 float32 float64 complex64 complex128".split()
)


def encode(value: Any, handle: Callable[[Any], int] | None = None, depth: int = 0) -> Any:
    """Turn a value into JSON; what is not plain data becomes a number from ``handle``.

    Plain data: None, bool, int, float, complex, str, list, tuple, dict, NumPy arrays and scalars of
    numbers, torch tensors. Raises TypeError for anything else if there is no ``handle``.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    kind = type(value)

    def inner(item: Any) -> Any:
        return encode(item, handle, depth + 1)

    if value is None or kind in (bool, str):
        return value
    if kind is int:
        return value if abs(value) < 2**53 else {"int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if kind is complex:
        return {"complex": [inner(value.real), inner(value.imag)]}
    if kind is list:
        return {"list": [inner(item) for item in value]}
    if isinstance(value, tuple):
        return {"tuple": [inner(item) for item in value]}
    if kind is dict:
        return {"dict": [[inner(key), inner(item)] for key, item in value.items()]}
    package = kind.__module__.partition(".")[0]
    if package == "torch" and hasattr(value, "detach"):
        array = value.detach().cpu()
        array = (array.float() if str(array.dtype) == "torch.bfloat16" else array).numpy()
        return {"tensor": _bytes(array)}
    if package == "numpy" and str(getattr(value, "dtype", "")) in DTYPES:
        return {"array" if kind.__name__ == "ndarray" else "scalar": _bytes(value)}
    if handle is None:
        raise TypeError(f"a {kind.__name__} cannot be sent; send numbers, arrays, lists or dicts")
    return {"handle": handle(value)}


def decode(
    data: Any,
    handle: Callable[[int], Any] | None = None,
    depth: int = 0,
    *,
    empty: bool = True,
) -> Any:
    """Turn JSON back into a value of exactly the types above; raise ValueError for all else.

    Unless ``empty``, arrays and tensors without elements are among all else.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if data is None or type(data) in (bool, int, float, str):
        return data
    if type(data) is not dict or len(data) != 1:
        raise ValueError("not a value")
    ((kind, content),) = data.items()

    def inner(item: Any) -> Any:
        return decode(item, handle, depth + 1, empty=empty)

    if kind == "int" and type(content) is str and len(content) < 10_000:
        return int(content, 16)
    if kind == "float" and content in ("inf", "-inf", "nan"):
        return float(content)
    if kind == "handle" and handle is not None and type(content) is int:
        return handle(content)
    if type(content) is list:
        if kind == "complex":
            real, imaginary = (float(inner(part)) for part in content)
            return complex(real, imaginary)
        if kind == "list":
            return [inner(item) for item in content]
        if kind == "tuple":
            return tuple(inner(item) for item in content)
        if kind == "dict":
            pairs = [(inner(key), inner(item)) for key, item in content]
            if sum(type(key) is not str for key, _ in pairs) > MAX_KEYS:
                raise ValueError(f"a dict of more than {MAX_KEYS} keys that are no strings")
            return dict(pairs)
        if kind in ("array", "scalar", "tensor"):
            return _array(kind, empty, *content)
    raise ValueError("not a value")


def _bytes(array: Any) -> list[Any]:
    return [str(array.dtype), list(array.shape), base64.b64encode(array.tobytes()).decode()]


def _array(kind: str, empty: bool, dtype: str, shape: list[int], text: str) -> Any:
    import numpy as np

    if dtype not in DTYPES or len(shape) > 16 or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("not an array")
    raw = base64.b64decode(text, validate=True)
    if math.prod(shape) * np.dtype(dtype).itemsize != len(raw):
        raise ValueError("not an array: its bytes do not fill its shape")
    if not (raw or empty):
        raise ValueError(f"it holds an array without elements, of shape {tuple(shape)}")
    if dtype == "bool" and raw.translate(None, b"\0\1"):
        raise ValueError("not an array: neither true nor false")
    array = np.frombuffer(raw, dtype).reshape(shape).copy()
    if kind == "tensor":
        import torch

        return torch.from_numpy(array)
    return array if kind == "array" else array[()]


def pack(message: dict[str, Any]) -> bytes:
    """Return a message with its length in front."""
    body = json.dumps(message, allow_nan=False).encode()
    return len(body).to_bytes(4, "big") + body
