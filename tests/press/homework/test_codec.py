"""What crosses the pipe comes out as it went in, or not at all."""

import contextlib
import json
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from press.homework import codec

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


def through(value, **options):
    """Send a value as the pipe does."""
    return codec.decode(json.loads(json.dumps(codec.encode(value), allow_nan=False)), **options)


def same(a, b):
    return repr(a) == repr(b) and type(a) is type(b)


@given(plain)
def test_plain_data_comes_back(value):
    assert same(through(value), value)


@given(arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(max_dims=4, max_side=3)))
def test_arrays_come_back_or_are_refused(array):
    if str(array.dtype) not in codec.DTYPES:
        with pytest.raises(TypeError, match="cannot be sent"):
            codec.encode(array)
        return
    back = through(array)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize(
    "tensor",
    [torch.ones(2, 3).t(), torch.tensor(3), torch.zeros(0, 2), torch.tensor([True])],
    ids=str,
)
def test_tensors_come_back(tensor):
    assert torch.equal(through(tensor), tensor)


def test_what_carries_gradients_comes_back_without():
    back = through(torch.nn.Parameter(torch.ones(2)))
    assert type(back) is torch.Tensor
    assert not back.requires_grad
    assert torch.equal(through(torch.ones(2, dtype=torch.bfloat16)), torch.ones(2))


def test_only_exact_types_are_plain_data():
    class Sly(int):
        pass

    kept = []
    assert codec.encode(Sly(3), lambda value: kept.append(value) or 0) == {"handle": 0}
    with pytest.raises(TypeError, match="a Sly cannot be sent"):
        codec.encode(Sly(3))


@pytest.mark.parametrize(
    "data",
    [
        [],
        {},
        {"list": 3},
        {"list": [], "tuple": []},
        {"float": "1e9"},
        {"int": 5},
        {"int": "9" * 20_000},
        {"handle": 0},
        {"complex": [1]},
        {"complex": [{"list": []}, 0]},
        {"dict": [[1, 2, 3]]},
        {"dict": [[{"list": []}, 1]]},
        {"array": ["object", [1], "AAAAAAAAAAA="]},
        {"array": ["float64", [10**12], ""]},
        {"array": ["float64", [-1], ""]},
        {"array": ["float64", [1.0], "AAAAAAAAAAA="]},
        {"array": ["float64", [1], "not base64!"]},
        {"array": ["float64", [1] * 20, "AAAAAAAAAAA="]},
        {"array": ["float64"]},
        {"array": ["bool", [1], "Ag=="]},  # a bool that is two
        {"tensor": ["uint64", "x", 3]},
        {"pickle": "gASVAAAA"},
    ],
    ids=str,
)
def test_what_is_no_value_is_refused(data):
    with pytest.raises((ValueError, TypeError)):
        codec.decode(data)


@given(
    st.recursive(
        st.none() | st.text(max_size=3) | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["list", "int", "array", "dict", "x"]), inner)
        ),
    )
)
def test_no_reply_does_more_than_be_refused(data):
    with contextlib.suppress(ValueError, TypeError):
        codec.decode(data)


def test_arrays_of_nothing_can_be_refused():
    for value in (np.zeros((0, 3)), torch.zeros(2, 0), [np.zeros(0)]):
        through(value)
        with pytest.raises(ValueError, match="without elements"):
            through(value, empty=False)


def test_a_dict_of_colliding_keys_is_refused_in_time():
    """Numbers with one hash make a dict as slow as a list of pairs, and slower with every key."""
    keys = [{"int": hex(number * (2**61 - 1))} for number in range(200_000)]
    start = time.monotonic()
    with pytest.raises(ValueError, match="keys that are no strings"):
        codec.decode({"dict": [[key, None] for key in keys]})
    assert time.monotonic() - start < 10
    words = {str(number): number for number in range(50_000)}
    assert through(words) == words


def test_depth_is_limited_on_both_sides():
    value, data = [], {"list": []}
    for _ in range(codec.MAX_DEPTH + 1):
        value, data = [value], {"list": [data]}
    with pytest.raises(ValueError, match="nested deeper"):
        codec.encode(value)
    with pytest.raises(ValueError, match="nested deeper"):
        codec.decode(data)
