"""What is done to lifted poses: options of refinement from those of the command line, tried before the work."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from posemamba.utils.errors import PoseMambaError

if TYPE_CHECKING:
    from posemamba.refine import RefineOptions


def refine_options(refine: Sequence[tuple[str, Any]], height: float | None, exports: Sequence[str]) -> RefineOptions:
    """What to do to the poses; formats in metres take a typical body where nobody says the height."""
    from posemamba.refine import RefineOptions

    values = dict(refine)
    metres = any(known_exports()[name].needs_metres for name in exports)
    return RefineOptions.checked({**values, "height_m": height, "typical_height": metres and height is None})


def check_refinement(options: RefineOptions) -> None:
    """Try the options on a made-up walk of half a second: sooner than hours of lifting.

    Raises:
        PoseMambaError: options that contradict each other, or a number that cannot be.
    """
    from posemamba.demo.run import film
    from posemamba.poses import Poses3D
    from posemamba.refine import refine

    if options.fov is not None and not options.root_path:
        raise PoseMambaError("--fov belongs to --root-path; give that too")
    filmed = film(30, seed=0)
    xyz = (filmed.truth / filmed.mm_per_pixel[:, None, None]).astype(np.float32)
    seen = np.ones(len(xyz), bool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        refine(Poses3D(xyz, np.ones((len(xyz), 17), np.float32), seen, filmed.keypoints), options)


def known_exports() -> dict[str, Any]:
    """Formats of motions by name; loaded only where somebody names one."""
    from posemamba.io.motion import EXPORTS

    return dict(EXPORTS)
