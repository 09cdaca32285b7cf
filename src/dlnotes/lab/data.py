"""Data for experiments: what ships with libraries, what is generated, and, by choice, hub data.

Everything but `hub_dataset` works offline. Axes: n examples, d features, H and W pixels.
"""

import inspect
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Int64, UInt8


@dataclass(frozen=True)
class Split:
    """A labeled data set, shuffled and cut in two; ``names`` are those of the classes."""

    train_x: Float32[np.ndarray, "n_train d"]
    train_y: Int64[np.ndarray, " n_train"]
    test_x: Float32[np.ndarray, "n_test d"]
    test_y: Int64[np.ndarray, " n_test"]
    names: tuple[str, ...]


def digits(*, test_fraction: float = 0.25, seed: int = 0) -> Split:
    """1797 handwritten digits of 8 by 8 pixels, as rows of 64 values in 0..1."""
    return _scikit_learn("load_digits", test_fraction, seed, scale=1 / 16)


def wine(*, test_fraction: float = 0.25, seed: int = 0) -> Split:
    """178 wines, 13 chemical measurements in their own units, 3 growers."""
    return _scikit_learn("load_wine", test_fraction, seed)


def breast_cancer(*, test_fraction: float = 0.25, seed: int = 0) -> Split:
    """569 tumors, 30 measurements in their own units, malignant (0) or benign (1)."""
    return _scikit_learn("load_breast_cancer", test_fraction, seed)


def _scikit_learn(loader: str, test_fraction: float, seed: int, scale: float = 1.0) -> Split:
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction lies between 0 and 1, not {test_fraction}")
    import sklearn.datasets

    raw = getattr(sklearn.datasets, loader)()
    order = np.random.default_rng(seed).permutation(len(raw.target))
    x = (raw.data * scale).astype(np.float32)[order]
    y = raw.target.astype(np.int64)[order]
    cut = round(len(y) * (1 - test_fraction))
    names = tuple(str(name) for name in raw.target_names)
    return Split(x[:cut], y[:cut], x[cut:], y[cut:], names)


def picture(name: str) -> UInt8[np.ndarray, "H W *channels"]:
    """Return a picture that ships with scikit-image.

    One of "astronaut", "brick", "camera", "cat", "chelsea", "clock", "coffee" and "coins".
    Raises ``ValueError`` for any other, which would have to be downloaded.
    """
    import skimage.data

    shipped = ("astronaut", "brick", "camera", "cat", "chelsea", "clock", "coffee", "coins")
    if name not in shipped:
        raise ValueError(f"picture is one of {', '.join(shipped)}, not {name!r}")
    pixels: np.ndarray = getattr(skimage.data, name)()
    return pixels


def python_text() -> str:
    """About 100,000 characters of English: the docstrings of modules of the standard library."""
    import argparse
    import asyncio
    import collections
    import datetime
    import decimal
    import difflib
    import email.message
    import fractions
    import functools
    import itertools
    import logging
    import pathlib
    import random
    import statistics
    import string
    import subprocess
    import textwrap
    import threading
    import unittest

    modules: list[ModuleType] = [argparse, asyncio, collections, datetime, decimal, difflib]
    modules += [email.message, fractions, functools, itertools, logging, pathlib, random]
    modules += [statistics, string, subprocess, textwrap, threading, unittest]
    texts: list[str] = []
    for module in modules:
        texts.append(inspect.getdoc(module) or "")
        own = (
            thing
            for _, thing in sorted(vars(module).items())
            if getattr(thing, "__module__", None) == module.__name__
        )
        texts.extend(inspect.getdoc(thing) or "" for thing in own)
    return "\n\n".join(dict.fromkeys(text for text in texts if text))


def python_code() -> str:
    """Source code of a few long modules of the standard library, one after another."""
    import argparse
    import decimal
    import difflib
    import statistics
    import textwrap

    return "\n\n".join(map(inspect.getsource, (argparse, difflib, statistics, textwrap))) + (
        inspect.getdoc(decimal) or ""
    )


def spirals(
    n: int, *, classes: int = 2, noise: float = 0.1, seed: int = 0
) -> tuple[Float32[np.ndarray, "n 2"], Int64[np.ndarray, " n"]]:
    """``n`` points on interleaved spiral arms within about the unit disk, one arm per class."""
    if n < classes or classes < 2 or noise < 0:
        raise ValueError(f"needs n >= classes >= 2 and noise >= 0: {n=}, {classes=}, {noise=}")
    rng = np.random.default_rng(seed)
    label = np.arange(n) % classes
    radius = np.sqrt(rng.uniform(0.02, 1, n))
    angle = 2 * np.pi * (label / classes + 0.75 * radius)
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return (x + noise * 0.3 * rng.normal(size=x.shape)).astype(np.float32), label.astype(np.int64)


@dataclass(frozen=True)
class Scene:
    """A generated picture, and what is on it: boxes as (left, top, right, bottom) in pixels."""

    pixels: Float32[np.ndarray, "H W 3"]
    boxes: Float32[np.ndarray, "k 4"]
    labels: tuple[str, ...]


SHAPES = ("disk", "square", "triangle")


def shape_scenes(n: int, *, size: int = 32, most: int = 3, seed: int = 0) -> list[Scene]:
    """``n`` pictures with one to ``most`` colored shapes that do not overlap, on dim noise."""
    if n < 1 or size < 16 or most < 1:
        raise ValueError(f"needs n >= 1, size >= 16, most >= 1: {n=}, {size=}, {most=}")
    rng = np.random.default_rng(seed)
    return [_scene(size, int(rng.integers(1, most + 1)), rng) for _ in range(n)]


def _scene(size: int, wanted: int, rng: np.random.Generator) -> Scene:
    pixels = rng.uniform(0, 0.15, (size, size, 3))
    taken = np.zeros((size, size), bool)
    rows, columns = np.mgrid[:size, :size] + 0.5
    boxes: list[list[int]] = []
    labels: list[str] = []
    for _ in range(wanted * 8):  # a shape that finds no free place is tried again elsewhere
        if len(labels) == wanted:
            break
        half = rng.uniform(size / 10, size / 5)
        top, left = rng.uniform(half, size - half, 2)
        label = SHAPES[rng.integers(len(SHAPES))]
        down, across = rows - top, columns - left
        inside = {
            "disk": down**2 + across**2 <= half**2,
            "square": np.maximum(abs(down), abs(across)) <= half,
            "triangle": (abs(across) <= (down + half) / 2) & (abs(down) <= half),
        }[label]
        if (inside & taken).any():
            continue
        taken |= inside
        color = rng.uniform(0.2, 1, 3)
        color[rng.integers(3)] = 1
        pixels[inside] = color
        ys, xs = np.nonzero(inside)
        boxes.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        labels.append(label)
    return Scene(pixels.astype(np.float32), np.array(boxes, np.float32), tuple(labels))


def hub_dataset(name: Literal["mnist", "cifar10", "wikitext"], split: str = "train") -> Any:
    """Fetch a well-known data set from its hub, through the optional ``datasets`` package.

    No chapter needs it. Raises ``ImportError`` or ``ConnectionError`` saying what to do where the
    package or the network is missing.
    """
    address: dict[str, tuple[str, str | None]] = {
        "mnist": ("ylecun/mnist", None),
        "cifar10": ("uoft-cs/cifar10", None),
        "wikitext": ("Salesforce/wikitext", "wikitext-2-raw-v1"),
    }
    if name not in address:
        raise ValueError(f"name is one of {', '.join(address)}, not {name!r}")
    try:
        import datasets
    except ImportError:
        raise ImportError(
            'hub_dataset needs the package "datasets": pip install "dlnotes[hub]"'
        ) from None
    try:
        return datasets.load_dataset(*address[name], split=split)
    except Exception as error:
        raise ConnectionError(
            f"{name} could not be fetched ({type(error).__name__}: {error}). Offline, use "
            "dlnotes.lab.data.digits() or another set that ships with a library"
        ) from error
