from pathlib import Path

import pytest

from dataflow_dagster.gallery.links import is_web_address, link


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("a.png", "./a.png"),
        ("b/c d.png", "./b/c%20d.png"),
        ("../x.png", "../x.png"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("caf\udce9.png", "./caf%E9.png"),
        ("猫.png", "./%E7%8C%AB.png"),
    ],
)
def test_a_name_is_a_relative_address_whatever_it_is(
    tmp_path: Path, name: str, address: str
) -> None:
    assert link(tmp_path / name, tmp_path) == address


@pytest.mark.parametrize(
    ("value", "web"),
    [
        ("https://x.org/a.png", True),
        ("HTTP://x", True),
        ("javascript:alert(1)//http://x", False),
        ("https://x/\"onload='y'", False),
        ("data:text/html,x", False),
        (7, False),
    ],
)
def test_only_http_is_an_address_of_the_web(value: object, web: bool) -> None:
    assert is_web_address(value) is web
