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
            "version": address.version or address.alias or address.run_id or "not known: it is served",
            "address": str(address),
        }
        for variant, address in known.models.items()
    ]
    trained = known.lineage.get("run_ids", {}).get("train", "unknown")
    kept = table(pd.DataFrame(rows).set_index("variant"), caption=f"Trained by run {trained}.")
    return joined(kept, _served(known))


def _served(known: Background) -> HTML:
    """How fast the models answered, and for whom they did not, in a test with a model behind HTTP."""
    if not known.served:
        return HTML("")
    rows = [
        {
            "variant": variant,
            "timed_requests": of.timed_requests,
            "median_ms": of.median_ms,
            "p95_ms": of.p95_ms,
            "popular items instead": of.without() or "for nobody",
        }
        for variant, of in known.served.items()
    ]
    return table(pd.DataFrame(rows).set_index("variant"), caption="Latency of requests for one user, in milliseconds.")
