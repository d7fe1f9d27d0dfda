"""`python -m recab_helpers DOOR` does what `make DOOR` does."""

import sys

from recab_helpers.pipeline.command_line import main

sys.exit(main())
