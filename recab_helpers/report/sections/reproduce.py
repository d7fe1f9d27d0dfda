"""What it takes to make the same numbers again."""

from html import escape

from IPython.display import HTML

from recab_helpers.analysis import Analysis
from recab_helpers.report.background import Background
from recab_helpers.report.kit.html import facts, folded, joined


def reproduce(found: Analysis, known: Background) -> HTML:
    """The commands, ready to copy; then run ids, commit, data hash, every parameter and version."""
    if not known.lineage:
        return HTML("")
    commands = HTML(f'<pre class="recab">{escape(chr(10).join(known.lineage["commands"]))}</pre>')
    return joined(commands, folded("Run ids, every parameter, versions", facts(_facts(known.lineage))))


def _facts(lineage: dict) -> dict[str, str]:
    rows = {f"{stage} run": run_id for stage, run_id in lineage["run_ids"].items()}
    rows |= {"git commit": lineage["git_commit"] or "not a checkout", "data hash": lineage["data_hash"]}
    for stage, values in lineage["parameters"].items():
        rows[f"{stage} parameters"] = ", ".join(f"{k}={'not set' if v is None else v}" for k, v in values.items())
    rows["versions"] = ", ".join(f"{k} {v}" for k, v in lineage["versions"].items())
    return rows
