"""The errors of a 2D detector, by size, duration and kind: ``python -m studies.detector_noise VIDEO [--out DIR]``.

Three ways to see errors, each of which sees a part of them:

- **repeats**: every frame of a video is given to the detector several times, slightly changed (mirrored, shifted,
  turned by 3 degrees, smaller, darker, compressed). What the answers differ by is error, of any tempo; what all of them
  have in common is not seen. Needs pixels.
- **truth**: keypoints against others that are taken for true (`--truth FILE`): annotated, or projected from several
  cameras. Sees everything but what the truth itself has wrong.
- **alone**: keypoints over time; only what trembles faster than a body can (third differences). Needs nothing else.

All sizes are in units of `posemamba.models.inputs.person_size` (a person who stands upright is 3.3 of them tall), root
mean squares of one coordinate, on Human3.6M's 17 joints. Tempi are those of
`posemamba.data.augment.Jitter`.

Shapes: R repeats, F frames, J = 17 joints, N pairs of numbers.
"""

from studies.detector_noise.command import main
from studies.detector_noise.common import person_unit
from studies.detector_noise.confidence import ConfidenceFit, DropOuts, drop_outs, fit_confidence
from studies.detector_noise.errors import ErrorSizes, measure_errors
from studies.detector_noise.figure import draw
from studies.detector_noise.invented import made_up
from studies.detector_noise.repeats import Change, ChangedDetector, Repeats, changes, consensus, repeat
from studies.detector_noise.report import Report, describe, measure_keypoints, measure_repeats
from studies.detector_noise.swaps import Swaps
from studies.detector_noise.tempi import Tempi, fast_part, fit_tempi

__all__ = [
    "Change",
    "ChangedDetector",
    "ConfidenceFit",
    "DropOuts",
    "ErrorSizes",
    "Repeats",
    "Report",
    "Swaps",
    "Tempi",
    "changes",
    "consensus",
    "describe",
    "draw",
    "drop_outs",
    "fast_part",
    "fit_confidence",
    "fit_tempi",
    "made_up",
    "main",
    "measure_errors",
    "measure_keypoints",
    "measure_repeats",
    "person_unit",
    "repeat",
]
