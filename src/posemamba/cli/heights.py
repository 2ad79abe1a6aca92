"""Heights as people write them: ``1.78``, ``1,78``, ``178``, ``178cm``, ``1m78``, ``5'10"``; several with commas."""

from __future__ import annotations

import re

from posemamba.utils.errors import PoseMambaError

_EXPECTED = "expected metres: 1.78, or of several people 1.78,1.65; also 178cm or 5'10\""
_METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "ft": 0.3048, "in": 0.0254}
_UNITS = {
    **{"m": "m", "meter": "m", "meters": "m", "metre": "m", "metres": "m", "cm": "cm", "mm": "mm"},
    **{"ft": "ft", "foot": "ft", "feet": "ft", "'": "ft", "in": "in", "inch": "in", "inches": "in", '"': "in"},
}
_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_UNIT = "|".join(sorted((re.escape(unit) for unit in _UNITS), key=len, reverse=True))
_LOW, _HIGH = 0.4, 2.6  # metres between which a height lies (`refine.scale.check_height`)
_SMALLEST_IN_CM = 100.0  # below, a number without a unit may be inches


def parse_heights(text: str | None) -> tuple[tuple[float, ...], str]:
    """Parse a list of heights.

    A comma is a decimal point where the numbers beside it cannot be metres of two people: ``1,78`` is one height.

    Args:
        text: the option's value; None: not given.

    Returns:
        The heights in metres, and what was understood where they were not written in plain metres, else "".

    Raises:
        PoseMambaError: a height that cannot be read, or whose unit is not clear.
    """
    if text is None:
        return (), ""
    same = text.lower().translate(str.maketrans("’‘′`´”“″", "'''''\"\"\"")).replace("''", '"')
    parts = _joined([part.strip() for part in re.split(r"[,;]", same)], same)
    if not any(parts):
        raise PoseMambaError(f"--height is '{text}', {_EXPECTED}")
    heights = tuple(_metres(text, part) for part in parts if part)
    plain = all(re.fullmatch(_NUMBER, part) and float(part) <= _HIGH for part in parts if part)
    if plain and ("," not in same or len(parts) > same.count(",")):
        return heights, ""
    return heights, f"--height {text} is taken as {' and '.join(f'{h:.3g} m' for h in heights)}"


def _joined(parts: list[str], text: str) -> list[str]:
    """Join what a decimal comma has split; text that has points, or no commas, has none."""
    if "," not in text or "." in text:
        return parts
    if ";" in text:  # the list is split by these, and commas are decimal
        return [part.strip().replace(",", ".") for part in text.split(";")]
    pairs = list(zip(parts[::2], parts[1::2], strict=False))
    decimal = re.compile(rf"\d{{1,3}}\s*({_UNIT})?")
    if len(parts) % 2 == 0 and all(re.fullmatch("[0-9]", a) and decimal.fullmatch(b) for a, b in pairs):
        return [f"{a}.{b}" for a, b in pairs]
    return parts


def _metres(text: str, part: str) -> float:
    """Return one height in metres."""
    number = rf"({_NUMBER})\s*"
    if one := re.fullmatch(number, part):
        value = float(one[1])
        if value > _HIGH and value < _SMALLEST_IN_CM:
            raise PoseMambaError(
                f"--height names '{part}' without a unit, which is no height in metres: write {part}cm, {part}in or "
                f"{part}ft"
            )
        return value / 100 if _SMALLEST_IN_CM <= value <= 100 * _HIGH else value
    if one := re.fullmatch(rf"{number}({_UNIT})", part):
        return float(one[1]) * _METRES[_UNITS[one[2]]]
    if two := re.fullmatch(rf"{number}({_UNIT})\s*{number}({_UNIT})?\.?", part):
        large = _UNITS[two[2]]
        small = {"m": "cm", "ft": "in"}.get(large)
        if small is not None and (two[4] is None or _UNITS[two[4]] == small):
            # 1m8 is 1.08 to some and 1.80 to others
            if large == "m" and two[4] is None and len(two[3]) != 2:
                raise PoseMambaError(f"--height names '{part}', which may be two heights; {_EXPECTED}")
            return float(two[1]) * _METRES[large] + float(two[3]) * _METRES[small]
    raise PoseMambaError(f"--height is '{text}', {_EXPECTED}")
