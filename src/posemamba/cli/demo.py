"""``posemamba demo``: a made-up walker lifted and compared with the truth."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from posemamba.cli.options import Device, Flip, option


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """Options of ``posemamba demo``."""

    out: Annotated[Path, option("Folder for the results.", "--out", "-o", default=True)] = Path("posemamba-demo")
    weights: Annotated[str, option("A name, a weights file, or a released checkpoint.", default=True)] = "posemamba-s"
    frames: Annotated[int, option("Length of the walk, at 50 frames a second.", min=1, default=True)] = 400
    seed: Annotated[int, option("Another walk, other errors of the detector.", min=0, default=True)] = 0
    flip: Flip = True
    device: Device = "auto"
    open_page: Annotated[bool, option("Open the page in a browser, from a terminal.", "--open/--no-open")] = True


def demo(options: DemoOptions) -> None:
    """Lift a walking person made by formula, compare with the truth, and show the result. Needs no input."""
    from posemamba.cli.lift.checks import can_draw, check_out
    from posemamba.cli.lift.results import Results, write_results
    from posemamba.cli.loading import LifterAhead
    from posemamba.utils.progress import Stages

    out = options.out
    check_out(out)
    stages = Stages()
    with stages("lifting") as progress:
        lifter = LifterAhead(options.weights, options.device, options.flip).get(stages)
        from posemamba.demo.run import run_demo

        result = run_demo(lifter, frames=options.frames, seed=options.seed, progress=progress)
    written = write_results(out, Results([result.poses], overlay=can_draw(must=False)), stages)
    about = f"{options.frames} frames, 2D joints with a detector's errors; lifted by {lifter.name}; {stages}"
    print(f"A made-up walker, {about}")
    print("Error against the truth, mm            P1     P2   (mean distance of joints; after alignment)")
    print(f"  lifted                          {result.score.p1:7.1f}{result.score.p2:7.1f}")
    print(f"  every joint at the pelvis's depth{result.flat_score.p1:6.1f}{result.flat_score.p2:7.1f}")
    for path in written:
        print(f"  {path}")
    page = (out / "viewer.html").resolve()
    if options.open_page and sys.stdout.isatty():
        import webbrowser

        if webbrowser.open(page.as_uri()):
            return
    print(f"Open in a browser: {page.as_uri()}")
