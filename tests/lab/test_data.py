import re
import sys
import types

import numpy as np
import pytest
import sklearn.datasets

from dlnotes.lab import data

SPLITS = [data.digits, data.wine, data.breast_cancer]
LOADERS = {
    data.digits: (sklearn.datasets.load_digits, 1 / 16),
    data.wine: (sklearn.datasets.load_wine, 1),
    data.breast_cancer: (sklearn.datasets.load_breast_cancer, 1),
}


def rows(x, y):
    """Return the labeled examples in an order that does not depend on theirs."""
    table = np.column_stack([x, y])
    return table[np.lexsort(table.T)]


# ------------------------------------------------------------------ scikit-learn's sets
@pytest.mark.parametrize("load", SPLITS)
def test_train_and_test_together_are_the_whole_set_each_example_once(load):
    """No overlap, no loss, no label that changed its example."""
    loader, scale = LOADERS[load]
    raw, split = loader(), load(seed=3)
    expected = rows((raw.data * scale).astype(np.float32), raw.target)
    x = np.concatenate([split.train_x, split.test_x])
    y = np.concatenate([split.train_y, split.test_y])
    np.testing.assert_array_equal(rows(x, y), expected)


@pytest.mark.parametrize("load", SPLITS)
@pytest.mark.parametrize("share", [0.25, 0.5, 0.1])
def test_the_test_set_has_its_share_and_a_quarter_by_default(load, share):
    split = load() if share == 0.25 else load(test_fraction=share)
    total = len(split.train_y) + len(split.test_y)
    assert len(split.test_x) == len(split.test_y) == pytest.approx(share * total, abs=1)


@pytest.mark.parametrize("load", SPLITS)
def test_the_same_seed_gives_the_same_split_and_another_seed_another(load):
    first, again, other = load(seed=1), load(seed=1), load(seed=2)
    np.testing.assert_array_equal(first.train_x, again.train_x)
    np.testing.assert_array_equal(first.test_y, again.test_y)
    assert not np.array_equal(first.test_x, other.test_x)


@pytest.mark.parametrize("load", SPLITS)
def test_the_examples_are_shuffled_so_that_both_halves_hold_every_class(load):
    split = load()
    classes = set(range(len(split.names)))
    assert set(split.train_y) == set(split.test_y) == classes
    assert np.any(np.diff(split.train_y) < 0)


@pytest.mark.parametrize("load", SPLITS)
def test_arrays_have_the_types_that_torch_wants(load):
    split = load()
    assert split.train_x.dtype == split.test_x.dtype == np.float32
    assert split.train_y.dtype == split.test_y.dtype == np.int64
    assert all(type(name) is str for name in split.names)


def test_digits_fill_the_range_from_zero_to_one():
    split = data.digits()
    assert split.train_x.min() == 0
    assert split.train_x.max() == 1
    assert split.names == tuple("0123456789")


def test_wine_and_tumors_keep_their_units():
    assert data.wine().train_x.max() > 1000  # proline, in mg/l
    assert data.breast_cancer().names == ("malignant", "benign")


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, 1.5])
def test_a_share_that_leaves_one_side_empty_is_refused(share):
    with pytest.raises(ValueError, match=f"between 0 and 1, not {share}"):
        data.digits(test_fraction=share)


# ------------------------------------------------------------------------------- pictures
SHIPPED = ["astronaut", "brick", "camera", "cat", "chelsea", "clock", "coffee", "coins"]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_picture_on_offer_is_there_without_a_download(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)  # what scikit-image downloads with
    pixels = data.picture(name)
    assert pixels.dtype == np.uint8
    assert pixels.std() > 10
    assert name in data.picture.__doc__


@pytest.mark.parametrize("name", ["retina", "no such picture", "__name__"])
def test_a_picture_that_is_not_shipped_is_refused_with_those_that_are(name):
    with pytest.raises(ValueError, match=f"astronaut, .*coins, not {name!r}"):
        data.picture(name)


# ---------------------------------------------------------------------------------- text
def test_the_english_text_is_long_repeats_no_paragraph_and_reads_as_english():
    text = data.python_text()
    assert len(text) == pytest.approx(100_000, rel=0.2)
    words = re.findall(r"[a-z]+", text.lower())
    common = sum(word in {"the", "a", "of", "to", "and", "is", "in"} for word in words)
    assert common / len(words) > 0.15  # running English has about one in five
    assert text == data.python_text()


def test_the_english_text_holds_each_docstring_once_and_skips_borrowed_names():
    import statistics
    import textwrap

    text = data.python_text()
    assert text.count(textwrap.dedent.__doc__.strip().splitlines()[0]) == 1
    assert statistics.__doc__.strip().splitlines()[0] in text
    assert "Counter" in text
    assert "\n\n\n\n" not in text  # what has no docstring leaves no gap


def test_the_code_compiles_up_to_the_prose_at_its_end():
    import textwrap

    code = data.python_code()
    end = code.rindex("if __name__")  # the last module is followed by a docstring
    compile(code[:end], "python_code", "exec")
    assert "def dedent(text):" in code
    assert textwrap.__doc__.strip() in code


# ------------------------------------------------------------------------------- spirals
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_without_noise_every_point_lies_on_the_arm_of_its_class(classes):
    x, label = data.spirals(200, classes=classes, noise=0.0, seed=4)
    radius = np.linalg.norm(x, axis=1)
    angle = np.arctan2(x[:, 1], x[:, 0]) / (2 * np.pi)
    turns = (angle - 0.75 * radius) * classes - label  # a whole number of turns
    np.testing.assert_allclose(np.cos(2 * np.pi * turns / classes), 1, atol=1e-5)


@pytest.mark.parametrize("n", [2, 7, 100])
def test_the_arms_share_the_points_evenly_within_the_unit_disk(n):
    x, label = data.spirals(n, noise=0.0)
    assert len(x) == len(label) == n
    assert np.ptp(np.bincount(label, minlength=2)) <= 1
    assert np.linalg.norm(x, axis=1).max() <= 1 + 1e-6


def test_points_spread_evenly_over_the_area_of_the_disk():
    """Half of the points lie beyond radius 0.71, where half of the area is."""
    x, _ = data.spirals(4000, noise=0.0)
    assert np.mean(np.linalg.norm(x, axis=1) > np.sqrt(0.5)) == pytest.approx(0.51, abs=0.03)


def test_noise_moves_each_coordinate_by_its_three_tenths():
    calm, _ = data.spirals(4000, noise=0.0, seed=6)
    noisy, _ = data.spirals(4000, noise=0.2, seed=6)
    assert (noisy - calm).std() == pytest.approx(0.06, rel=0.05)
    np.testing.assert_array_equal(noisy, data.spirals(4000, noise=0.2, seed=6)[0])
    assert not np.array_equal(noisy, data.spirals(4000, noise=0.2, seed=7)[0])


@pytest.mark.parametrize(
    "wrong", [{"n": 1}, {"n": 5, "classes": 1}, {"n": 2, "classes": 3}, {"n": 9, "noise": -0.1}]
)
def test_spirals_that_cannot_be_are_refused_with_what_was_asked(wrong):
    with pytest.raises(ValueError, match=f"n={wrong['n']}, classes="):
        data.spirals(**wrong)


# -------------------------------------------------------------------------------- scenes
SCENES = data.shape_scenes(150, size=40, seed=2)


def shape_of(scene, box):
    """Return which pixels of the box show its shape: those of its one color."""
    left, top, right, bottom = box.astype(int)
    inside = scene.pixels[top:bottom, left:right]
    bright = inside[inside.max(axis=-1) == 1]  # the background stays below 0.15
    colors, counts = np.unique(bright.reshape(-1, 3), axis=0, return_counts=True)
    return (inside == colors[counts.argmax()]).all(axis=-1)


def test_every_box_is_tight_around_the_pixels_of_its_shape():
    for scene in SCENES:
        for box in scene.boxes:
            shape = shape_of(scene, box)
            assert shape[0].any()
            assert shape[-1].any()
            assert shape[:, 0].any()
            assert shape[:, -1].any()


def test_each_shape_is_whole_and_none_has_no_box():
    """As many bright pixels as the boxes account for: no overlap, no stray shape."""
    for scene in SCENES:
        bright = (scene.pixels.max(axis=-1) == 1).sum()
        assert bright == sum(shape_of(scene, box).sum() for box in scene.boxes)
        background = scene.pixels[scene.pixels.max(axis=-1) < 1]
        assert background.min() >= 0
        assert background.max() <= 0.15


def test_the_label_says_which_shape_fills_the_box():
    filled = {label: [] for label in data.SHAPES}
    for scene in SCENES:
        for box, label in zip(scene.boxes, scene.labels, strict=True):
            filled[label].append(shape_of(scene, box))
    assert np.mean([shape.mean() for shape in filled["square"]]) == 1
    assert np.mean([shape.mean() for shape in filled["disk"]]) == pytest.approx(np.pi / 4, abs=0.04)
    assert np.mean([shape.mean() for shape in filled["triangle"]]) == pytest.approx(0.55, abs=0.05)
    for shape in filled["triangle"]:
        assert shape[0].sum() < shape[-1].sum()  # it stands on its base


def test_scenes_hold_one_to_most_shapes_and_every_number_of_them():
    assert {len(scene.labels) for scene in SCENES} == {1, 2, 3}
    assert {len(scene.labels) for scene in data.shape_scenes(20, most=1)} == {1}
    for scene in SCENES:
        assert len(scene.boxes) == len(scene.labels)
        assert scene.pixels.shape == (40, 40, 3)


def test_every_shape_is_as_wide_as_high_and_of_a_fifth_to_two_fifths_of_the_picture():
    for scene in SCENES:
        width, height = (scene.boxes[:, 2:] - scene.boxes[:, :2]).T
        assert abs(width - height).max() <= 2  # what pixels make of it
        assert max(width.max(), height.max()) <= 2 * 40 / 5 + 1
        assert min(width.min(), height.min()) >= 40 / 5 - 2


def test_boxes_lie_within_the_picture_and_shapes_are_large_enough_to_see():
    for scene in data.shape_scenes(60, size=16, seed=1):
        assert scene.boxes.min() >= 0
        assert scene.boxes.max() <= 16
        assert (scene.boxes[:, 2:] - scene.boxes[:, :2]).min() >= 2


def test_scenes_repeat_with_their_seed_and_a_longer_list_starts_with_the_shorter():
    short, long, other = (
        data.shape_scenes(3, seed=5),
        data.shape_scenes(6, seed=5),
        data.shape_scenes(3, seed=6),
    )
    for one, same in zip(short, long, strict=False):
        np.testing.assert_array_equal(one.pixels, same.pixels)
        np.testing.assert_array_equal(one.boxes, same.boxes)
    assert len(long) == 6
    assert not np.array_equal(short[0].pixels, other[0].pixels)


@pytest.mark.parametrize("wrong", [{"n": 0}, {"n": 1, "size": 15}, {"n": 1, "most": 0}])
def test_scenes_that_cannot_be_are_refused_with_what_was_asked(wrong):
    with pytest.raises(ValueError, match=f"n={wrong['n']}, size="):
        data.shape_scenes(**wrong)


# ------------------------------------------------------------------------------- the hub
def test_without_the_package_the_hub_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=re.escape('pip install "dlnotes[hub]"')):
        data.hub_dataset("mnist")


def test_without_a_network_the_hub_says_what_to_use_instead(monkeypatch):
    def load_dataset(*_address, **_options):
        raise OSError("no route to host")

    hub = types.SimpleNamespace(load_dataset=load_dataset)
    monkeypatch.setitem(sys.modules, "datasets", hub)
    with pytest.raises(ConnectionError, match=r"cifar10 .*no route to host.*digits\(\)"):
        data.hub_dataset("cifar10")


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("mnist", ("ylecun/mnist", None)),
        ("cifar10", ("uoft-cs/cifar10", None)),
        ("wikitext", ("Salesforce/wikitext", "wikitext-2-raw-v1")),
    ],
)
def test_the_hub_is_asked_for_the_set_of_that_name_and_the_split(monkeypatch, name, address):
    hub = types.SimpleNamespace(load_dataset=lambda *where, split: (where, split))
    monkeypatch.setitem(sys.modules, "datasets", hub)
    assert data.hub_dataset(name) == (address, "train")
    assert data.hub_dataset(name, split="test") == (address, "test")


def test_a_set_that_the_hub_function_does_not_know_is_refused_with_those_it_does():
    # With types checked the annotation refuses first, which is a TypeError.
    with pytest.raises((ValueError, TypeError), match=r"mnist.*cifar10.*wikitext"):
        data.hub_dataset("imagenet")
