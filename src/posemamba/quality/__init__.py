"""Quality checks of lifted poses without ground truth: implausible frames are found and marked.

See docs/quality.md for what each check does, where its limits come from, and how much it means.
"""

from posemamba.quality.common import Fault
from posemamba.quality.measure import CHECKS, Quality, measure_quality

__all__ = ["CHECKS", "Fault", "Quality", "measure_quality"]
