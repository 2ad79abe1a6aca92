"""``python -m studies.detector_noise``."""

import sys

from studies.detector_noise.command import main

sys.exit(main())
