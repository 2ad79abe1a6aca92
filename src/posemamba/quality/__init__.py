"""Can the 3D joints of a video be trusted where there is no truth? Faults that must not happen are found and marked.

docs/quality.md says what each check does, where its limits come from, and which of them mean something.
"""

from posemamba.quality.common import Fault
from posemamba.quality.measure import measure_quality
from posemamba.quality.result import CHECKS, Quality

__all__ = ["CHECKS", "Fault", "Quality", "measure_quality"]
