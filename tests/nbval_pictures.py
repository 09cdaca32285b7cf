"""A pytest plugin for nbval: a fresh figure must look like the stored one.

nbval skips pictures. This compares what a figure shows: its texts to the letter, its lines and
positions within a tolerance, and raster parts by structural similarity. Small networks drift in the
fourth digit between CPUs, which moves a curve by less than a reader sees.
"""

import base64
import io
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
from skimage.io import imread
from skimage.metrics import structural_similarity

TOLERANCE = 4.0  # points, of a picture that is 400 to 500 wide
SIMILARITY = 0.9

_IMAGE = re.compile(r'src="data:image/svg\+xml;base64,([^"]+)"')
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
_HASH = re.compile(r"#?\b[a-zA-Z]+[0-9a-f]{10}\b")  # Matplotlib names shapes by their geometry


def pictures_in(outputs):
    """Return every SVG picture among a cell's outputs."""
    pages = ("".join(out.get("data", {}).get("text/html", "")) for out in outputs)
    return [base64.b64decode(code).decode() for page in pages for code in _IMAGE.findall(page)]


def difference(stored, fresh):
    """Say in a line how two SVG pictures differ, or return an empty string."""
    old, new = (list(ElementTree.fromstring(svg).iter()) for svg in (stored, fresh))
    if [element.tag for element in old] != [element.tag for element in new]:
        return f"{len(old)} elements were stored, {len(new)} are drawn, or of other kinds"
    for before, after in zip(old, new, strict=True):
        if (before.text or "").strip() != (after.text or "").strip():
            return f"the text {before.text!r} is now {after.text!r}"
        if before.attrib.keys() != after.attrib.keys():
            return f"an element {before.tag} has other attributes"
        for name, value in before.attrib.items():
            said = _attribute_difference(name.rpartition("}")[2], value, after.attrib[name])
            if said:
                return f"{before.tag.rpartition('}')[2]} {name}: {said}"
    return ""


def _attribute_difference(name, old, new):
    if old == new:
        return ""
    if name == "href" and old.startswith("data:image"):
        return _raster_difference(old, new)
    if name == "d" and set(re.findall("[A-Za-z]", old + new)) <= set("MLz"):
        gap = max(_distance(old, new), _distance(new, old))
        return "" if gap <= TOLERANCE else f"a line moved by {gap:.1f} points"
    old, new = _HASH.sub("#", old), _HASH.sub("#", new)
    if _NUMBER.sub("0", old) != _NUMBER.sub("0", new):
        return f"{old!r} is now {new!r}"
    pairs = zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True)
    gap = max((abs(float(a) - float(b)) for a, b in pairs), default=0)
    return "" if gap <= TOLERANCE else f"{old!r} is now {new!r}"


def _distance(path, other):
    """Return how far the farthest corner of a path lies from another path."""
    points, starts = _corners(path), _corners(other)
    if len(starts) < 2:
        return np.abs(points - starts).max()
    along = np.diff(starts, axis=0)
    from_start = points[:, None] - starts[:-1]
    square = np.maximum((along**2).sum(-1), 1e-12)
    share = np.clip((from_start * along).sum(-1) / square, 0, 1)
    gaps = np.linalg.norm(from_start - share[..., None] * along, axis=-1)
    return gaps.min(axis=1).max()


def _corners(path):
    return np.array([float(number) for number in _NUMBER.findall(path)]).reshape(-1, 2)


def _raster_difference(old, new):
    old, new = (imread(io.BytesIO(base64.b64decode(code.split(",")[1]))) for code in (old, new))
    if old.shape != new.shape:
        return f"a raster of {old.shape} is now {new.shape}"
    if min(old.shape[:2]) < 7:  # too small for a window: compare mean gray levels
        gap = np.abs(old.astype(float) - new).mean() / 255
        return "" if gap < 1 - SIMILARITY else f"a small raster changed by {gap:.2f}"
    alike = structural_similarity(old, new, channel_axis=-1 if old.ndim == 3 else None)
    return "" if alike >= SIMILARITY else f"raster parts are alike to {alike:.2f} only"


def pytest_configure():
    from nbval.plugin import IPyNbCell

    compare_text = IPyNbCell.compare_outputs

    def compare_outputs(self, test, ref, skip_compare=None):
        if not compare_text(self, test, ref, skip_compare):
            return False
        # The text comparison has found equally many figures on both sides.
        for stored, fresh in zip(pictures_in(ref), pictures_in(test), strict=True):
            said = difference(stored, fresh)
            if said:
                self.comparison_traceback.append(f"the picture changed: {said}")
                return False
        return True

    IPyNbCell.compare_outputs = compare_outputs
