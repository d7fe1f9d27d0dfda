"""Where the project stands on this machine. Read as `paths.REPORTS`, so that a change of one is a change for all."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # the folder with the notebooks, the reports and the embedded store
NOTEBOOKS = ROOT / "notebooks"
REPORTS = ROOT / "reports"
