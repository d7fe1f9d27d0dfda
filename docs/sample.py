"""A real small test for the site: simulated in this process, analyzed as any log is, in no store."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq

from recab_helpers import analysis, data, recommenders, simulation, stages
from recab_helpers.analysis import Analysis
from recab_helpers.parameters import AnalyzeParams, SimulateParams, TrainParams
from recab_helpers.references import ModelAddress
from recab_helpers.report import Background

TRAIN = TrainParams(n_users=4000, n_items=1000, mean_history=25.0)
SIMULATE = SimulateParams()
ANALYZE = AnalyzeParams(hypothesis="Collaborative Filtering finds what a text does not tell, so CTR rises.")


def sample() -> tuple[Analysis, Background]:
    """What 03_analyze calls `found` and `known`, of a simulated test of some 4,000 users."""
    dataset = data.load_dataset(TRAIN)
    train, held_out = data.split_interactions(dataset, split=TRAIN.split, seed=TRAIN.seed)
    fitted, quality, _ = recommenders.fit_all(dataset, train, held_out, TRAIN)
    trained = data.TrainedOn(train=train, held_out=held_out, catalog=dataset.catalog, world=dataset.world)
    models = [
        SimpleNamespace(address=ModelAddress(name=name, version="1"), recommend=fitted[name].recommend)
        for name in SIMULATE.variants
    ]
    plan = simulation.plan_tests(trained, models, SIMULATE)
    test = plan.test
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder, f"{name}.parquet") for name in ("impressions", "users", "slates", "history")}
        for name, tables in {"impressions": test.impressions(), "slates": test.recommendations()}.items():
            pq.write_table(pa.concat_tables(list(tables), promote_options="permissive"), files[name])
        simulation.known_users(trained, test).to_parquet(files["users"])
        train.to_parquet(files["history"])
        log = stages.Log(
            impressions=files["impressions"],
            users=files["users"],
            allocation=SIMULATE.allocation,
            planned=test.planned,
            data_hash=dataset.digest(),
            parameters={"train": TRAIN.as_dict(), "simulate": SIMULATE.as_dict(), "analyze": ANALYZE.as_dict()},
            models={v.name: v.model for v in test.variants},
            offline={v.name: v.model.name for v in test.variants},
            truth=simulation.true_lifts(plan),
            quality=quality,
            yardsticks=simulation.yardstick_ctrs(trained, plan),
            recommendations=files["slates"],
            history=files["history"],
            catalog=dataset.catalog,
        )
        rows = stages.user_rows(log, analysis.METRICS)
        reduced = stages.reduce(rows, analysis.METRICS)
        found = analysis.analyze(reduced, planned=test.planned)
        grading = stages.grade_own(rows, reduced, analysis.METRICS, test.planned, ANALYZE)
        known = stages.background(log, rows, found, SimpleNamespace(run_id="sample"), grading)
    return found, known
