"""``python -m posemamba`` is the command line, too."""

import sys

from posemamba.cli import main

sys.exit(main())
