"""``python -m posemamba.detect.noise``."""

import sys

from posemamba.detect.noise.command import main

sys.exit(main())
