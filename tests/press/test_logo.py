"""The mark is well-formed, small, and the same each time."""

from pathlib import Path
from xml.etree import ElementTree

from press.logo import draw_logo, logo_svg


def test_the_logo_is_well_formed_svg_without_scripts_or_addresses():
    svg = ElementTree.fromstring(logo_svg())
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    assert svg.get("viewBox") == "0 0 64 64"
    kinds = {element.tag.rpartition("}")[2] for element in svg.iter()}
    assert kinds == {"svg", "rect", "circle", "path"}
    assert len(logo_svg()) < 2000


def test_everything_drawn_lies_inside_the_picture():
    numbers = [
        float(value)
        for element in ElementTree.fromstring(logo_svg())
        for name, value in element.attrib.items()
        if name in {"x", "y", "cx", "cy"}
    ]
    assert numbers
    assert all(0 <= number <= 64 for number in numbers)


def test_the_logo_is_written_into_a_folder_that_need_not_exist(tmp_path: Path):
    path = draw_logo(tmp_path / "static")
    assert path.read_text("utf8") == logo_svg()
