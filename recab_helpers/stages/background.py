"""What is known of a test beside its log, for the sections of the page."""

import narwhals as nw
import pandas as pd

from recab_helpers import analysis, impressions, report, tracking
from recab_helpers.analysis import Analysis, Slates
from recab_helpers.formats import count
from recab_helpers.impressions import Sums, UserRows
from recab_helpers.report import Background
from recab_helpers.stages.log import Log


def background(
    log: Log, rows: UserRows | Sums, found: Analysis, run: tracking.Run, grading: pd.DataFrame
) -> Background:
    """What is known of the test beside its log, for the sections of the page."""
    return Background(
        models=log.models,
        offline=log.offline,
        served=log.served,
        quality=log.quality,
        truth=log.truth,
        yardsticks=log.yardsticks,
        slates=slates_of(log, rows, found),
        grading=None if grading.empty else grading,
        data=data_facts(log, rows, found),
        dataset=log.dataset_name,
        days=(str(rows.day_labels[0]), str(rows.day_labels[-1])) if found.test.first_day is not None else (),
        hypothesis=log.parameters["analyze"].get("hypothesis", ""),
        dial=log.parameters.get("simulate", {}).get("effect_dial", 1.0),
        lineage=report.lineage(
            run_ids={**log.run_ids, "analyze": run.run_id},
            git_commit=tracking.git_commit(),
            data_hash=log.data_hash,
            parameters=log.parameters,
        ),
    )


def slates_of(log: Log, rows: UserRows | Sums, found: Analysis) -> Slates:
    """What each variant's model recommends, and a few users to look at."""
    if rows.log is None:
        return Slates()
    recommendations, history = (
        None if path is None else impressions.open_table(path) for path in (log.recommendations, log.history)
    )
    return Slates(
        shown=analysis.shown_table(found.test.items, _popularity(log, history)),
        overlap=None if recommendations is None else impressions.overlap(recommendations),
        examples=impressions.examples(
            rows, recommendations=recommendations, history=history, titles=titles_of(log, rows)
        )
        if rows.design == "users" and {"sessions", "weighted_clicks"} <= set(rows.numeric)
        else [],
    )


def titles_of(log: Log, rows: UserRows | Sums) -> pd.Series | None:
    """Item titles by item_id: the catalog's, else those of the log's own title column; None where there are none."""
    if log.catalog is not None:
        named = log.catalog[["item_id", "title"]].dropna()
    elif rows.log is not None and "title" in rows.log.collect_schema().names():
        titles = rows.log.group_by("item_id").agg(nw.col("title").cast(nw.String).min())
        titles = titles.with_columns(nw.col("item_id").cast(nw.String))
        named = titles.collect("pandas").to_native().dropna()
    else:
        return None
    return named[named["title"] != ""].drop_duplicates("item_id").set_index("item_id")["title"].astype(str)


def data_facts(log: Log, rows: UserRows | Sums, found: Analysis) -> dict[str, str]:
    """The size of the data behind the models and of the log."""
    facts = {"data hash": log.data_hash}
    if log.history is not None and log.catalog is not None:
        train, history = log.parameters["train"], impressions.open_table(log.history)
        sizes = history.select(rows=nw.len(), users=nw.col("user_id").n_unique()).collect("pyarrow").rows(named=True)[0]
        facts["data set"] = f"{log.dataset_name}, split {train['split'].replace('_', ' ')}"
        facts["training interactions"] = count(sizes["rows"])
        facts["users with a history"] = count(sizes["users"])
        facts["items in the catalog"] = count(len(log.catalog))
    else:
        facts["log file" if log.impressions else "table of users"] = log.dataset_name
    if found.test.n_impressions:
        facts["impressions in the log"] = count(found.test.n_impressions)
    facts |= {"how it was read" + (f" ({i})" if i > 1 else ""): note for i, note in enumerate(rows.notes, 1)}
    if found.test.first_day is not None:
        facts["days of the log"] = f"{rows.day_labels[0]} to {rows.day_labels[-1]}"
    return facts


def _popularity(log: Log, history: nw.LazyFrame | None) -> pd.Series | None:
    """Training interactions by item_id, over the whole catalog."""
    if history is None or log.catalog is None:
        return None
    met = history.group_by("item_id").agg(nw.len().alias("met")).collect("pandas").to_native()
    return met.set_index("item_id")["met"].reindex(log.catalog["item_id"], fill_value=0)
