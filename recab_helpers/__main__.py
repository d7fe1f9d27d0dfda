"""`python -m recab_helpers DOOR` does what `make DOOR` does."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the command line listens, Ctrl-C ends it without a traceback
HOME = str(Path(__file__).resolve().parents[1])
FOREIGN = [name for name in ("PYTHONHOME", "PYTHONOPTIMIZE", "PYTHONWARNINGS") if os.environ.get(name)]
if os.environ.get("PYTHONPATH", HOME) != HOME:
    FOREIGN.append("PYTHONPATH")
if FOREIGN and os.name == "posix":  # what other Pythons were told is not for this one
    os.environ |= {name: HOME if name == "PYTHONPATH" else "" for name in FOREIGN}
    os.execv(sys.executable, [sys.executable, "-m", "recab_helpers", *sys.argv[1:]])

from recab_helpers.pipeline.command_line import main  # noqa: E402
from recab_helpers.pipeline.stopping import SHELL  # noqa: E402

code = main()
if code > SHELL:  # all is closed and gone; the libraries would take their time to end
    with suppress(OSError, ValueError):  # a terminal that was closed
        sys.stdout.flush()
    os._exit(code)
sys.exit(code)
