"""The models that served the variants, and their data."""

import pandas as pd
from IPython.display import HTML

from recab_helpers.analysis import Analysis
from recab_helpers.report.background import Background
from recab_helpers.report.kit.html import facts, joined, table


def models(found: Analysis, known: Background) -> HTML:
    """The model of each variant with its MLflow address and the run that trained it, and the size of the data."""
    return joined(_models(known), facts(known.data) if known.data else HTML(""))


def _models(known: Background) -> HTML:
    if not known.models:
        return HTML("")
    rows = [
        {
            "variant": variant,
            "model": address.name,
            "version": address.version or address.alias or address.run_id,
            "MLflow address": str(address),
        }
        for variant, address in known.models.items()
    ]
    trained = known.lineage.get("run_ids", {}).get("train", "unknown")
    return table(pd.DataFrame(rows).set_index("variant"), caption=f"Trained by run {trained}.")
