"""An executed notebook becomes a page: kept with its run, and the newest of its name in reports/."""

import json
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
    from recab_helpers.report.document import SCHEMA, effects_csv
    from recab_helpers.report.page import render, render_index

    page, folder, document, beside = executed.parent / f"{name}.html", executed.parent, None, []
    analysis_run_id = tracking.run_tags(run.run_id).get("analysis_run_id")
    if analysis_run_id:
        beside = [folder / f"{name}.json", folder / f"{name}_effects.csv", folder / SCHEMA.name]
        shutil.copy(tracking.artifact(analysis_run_id, f"analyze/{name}.json"), beside[0])
        document = json.loads(beside[0].read_text(encoding="utf-8"))
        beside[1].write_text(effects_csv(document), encoding="utf-8")
        shutil.copy(SCHEMA, beside[2])
    page.write_text(render(executed, document=document, files=[f.name for f in beside]), encoding="utf-8")
    run.log_file(page, on_top=True)
    if analysis_run_id:
        analysis_run = tracking.Run(analysis_run_id, "analyze", run.client)
        for file in (page, *beside[1:]):
            analysis_run.log_file(file)
    for file in (page, *beside):
        replace(paths.REPORTS / file.name, file.read_bytes())
    replace(paths.REPORTS / "index.html", render_index(paths.REPORTS).encode())
    where = "In MLflow" if run.client.tracking_uri.startswith("http") else "In MLflow (make server)"
    print(f"{where}: {tracking.address_of(run.client, run.experiment_id, run.run_id)}")
    if document:
        print(document["verdict"]["sentence"])
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
