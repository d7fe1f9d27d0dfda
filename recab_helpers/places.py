"""Where the project lies: its folder, its notebooks, and the folder that pages are written to.

Read them as `places.REPORTS`, so that whoever changes one changes it for all.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
REPORTS = ROOT / "reports"
