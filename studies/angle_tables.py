"""Write the tables of docs/angles.md from the card of weights, as ``posemamba calibrate`` has measured them.

Without ``--write`` they are printed. A table stands between ``<!-- angles: NAME -->`` and ``<!-- end -->``; the names
are ``measured`` and ``told``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from posemamba.evaluate.angle_table import comparison_table, read_angles_card
from posemamba.evaluate.angles import angle_table
from posemamba.utils.errors import PoseMambaError
from posemamba.weights.files import read_card
from studies.command_line import report, study_parser


def tables(weights: str) -> dict[str, str]:
    """Return the tables of the weights' card by name.

    Raises:
        PoseMambaError: no such weights, or they have not been calibrated.
    """
    card = (read_card(weights).get("card") or {}).get("angles")
    if card is None:
        raise PoseMambaError(f"{weights}: its card has no errors of angles; add them: posemamba calibrate")
    scores, told = read_angles_card(card)
    return {"measured": angle_table(scores), "told": comparison_table(told)}


def filled(page: str, found: dict[str, str]) -> str:
    """Return a page's text with the tables in their places.

    Raises:
        PoseMambaError: it has no place for one.
    """
    for name, table in found.items():
        place = re.compile(rf"(<!-- angles: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        page, places = place.subn(lambda m, table=table: f"{m[1]}{table}\n{m[2]}", page)  # type: ignore[misc]
        if not places:
            raise PoseMambaError(f"the page has no place '<!-- angles: {name} -->' with '<!-- end -->' after it")
    return page


def write(weights: str, page: Path | None) -> None:
    """Print the tables, or write them into a page."""
    found = tables(weights)
    if page is None:
        print("\n\n".join(found.values()))
        return
    page.write_text(filled(page.read_text(encoding="utf-8"), found), encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Write the tables; return the exit status."""
    parser = study_parser("angle_tables", __doc__)
    parser.add_argument("weights", nargs="?", default="posemamba-s", help="name or file (default: posemamba-s)")
    parser.add_argument("--write", type=Path, help="the page, docs/angles.md")
    o = parser.parse_args(arguments)
    return report(lambda: write(o.weights, o.write))


if __name__ == "__main__":
    sys.exit(main())
