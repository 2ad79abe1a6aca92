"""``python -m posemamba.cli`` is the command line, too."""

import sys

from posemamba.cli import main

sys.exit(main())
