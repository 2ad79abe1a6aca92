"""Heights as people write them."""

from __future__ import annotations

import pytest

from posemamba.cli.heights import parse_heights
from posemamba.utils.errors import PoseMambaError


@pytest.mark.parametrize(
    ("text", "heights", "said"),
    [
        ("1.78", (1.78,), False),
        ("1.78,1.65", (1.78, 1.65), False),
        (" 1.78 , 1.65,", (1.78, 1.65), False),
        ("2", (2.0,), False),
        ("1.7,2", (1.7, 2.0), False),
        ("1,78", (1.78,), True),
        ("1,8", (1.8,), True),
        ("0,95", (0.95,), True),
        ("1,78,1,65", (1.78, 1.65), True),
        ("1,78; 1,65", (1.78, 1.65), True),
        ("1,78 m", (1.78,), True),
        ("1.78;1.65", (1.78, 1.65), False),
        ("178", (1.78,), True),
        ("178,165", (1.78, 1.65), True),
        ("178 cm,1.65m", (1.78, 1.65), True),
        ("1780mm", (1.78,), True),
        ("1m78", (1.78,), True),
        ("5'10\"", (1.778,), True),
        ("5’10”", (1.778,), True),
        ("5' 10'',5'4", (1.778, 1.6256), True),
        ("5 ft 10 in", (1.778,), True),
        ("6ft", (1.8288,), True),
        ("70in", (1.778,), True),
    ],
)
def test_heights_as_people_write_them(text: str, heights: tuple[float, ...], said: bool) -> None:
    found, note = parse_heights(text)
    assert found == pytest.approx(heights)
    assert bool(note) == said
    if said:
        assert note.startswith(f"--height {text} is taken as {heights[0]:.3g} m")


@pytest.mark.parametrize(
    "text", ["", ",", "tall", "70", "6", "5-10", "1m8", "1.78m65in", "1.7.8", "1,78,165", "nan", "-1.78"]
)
def test_what_is_no_height_or_not_clear_is_one_line(text: str) -> None:
    with pytest.raises(PoseMambaError, match="--height") as error:
        parse_heights(text)
    assert "\n" not in str(error.value)


def test_none_is_no_height() -> None:
    assert parse_heights(None) == ((), "")
