"""Where the project stands on this machine."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # the folder with the notebooks, the reports and the embedded store
