"""An executed notebook becomes a page: kept with its run, and the newest of its name in reports/."""

import os
import shutil
import tempfile
from pathlib import Path

from recab_helpers import paths

RUNS = "runs"  # folder of reports/ that keeps each run's pages and executed notebooks


def publish(executed: Path, run, name: str) -> None:
    """Render the executed notebook beside it, log the page with its run, and print where the newest page is.

    The folder of the run keeps its page, so that earlier reports stay; an index page lists them.
    """
    from recab_helpers import tracking
    from recab_helpers.report.page import render, render_index

    files, call = [executed.parent / f"{name}.html"], ""
    if analysis_run_id := tracking.run_tags(run.run_id).get("analysis_run_id"):
        run = tracking.Run(analysis_run_id, "analyze", run.client)
        call = tracking.run_tags(analysis_run_id)["verdict"]
        document = tracking.artifact(analysis_run_id, f"analyze/{name}.json")
        files.append(Path(shutil.copy(document, executed.parent / f"{name}.json")))
    files[0].write_text(render(executed, call=call), encoding="utf-8")
    run.log_file(files[0])
    for file in files:
        replace(paths.REPORTS / file.name, file.read_bytes())
    replace(paths.REPORTS / "index.html", render_index(paths.REPORTS).encode())
    print(shown(paths.REPORTS / f"{name}.html"))


def replace(target: Path, content: bytes) -> None:
    """Write the file in one step: a reader meets the whole old one or the whole new one."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        written = Path(folder) / target.name
        written.write_bytes(content)
        written.replace(target)


def shown(path: Path) -> str:
    """The path as seen from the working directory."""
    return os.path.relpath(path)
