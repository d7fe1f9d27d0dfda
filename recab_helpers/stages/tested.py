"""Which two models are tested, and on whom: in the rehearsed world with its truth, or for the users of a pilot."""

from dataclasses import dataclass, fields, replace

import narwhals as nw
import numpy as np
import pandas as pd
from scipy.optimize import brentq

from recab_helpers import impressions, tracking
from recab_helpers.analysis.planning import plan_table, rate_of_all_users
from recab_helpers.assumptions import ACTIVITY_SHAPE
from recab_helpers.brief import Brief
from recab_helpers.errors import DataError
from recab_helpers.formats import count, lift, percent
from recab_helpers.impressions.statistics import SufficientStatistics
from recab_helpers.impressions.user_rows import UserRows
from recab_helpers.parameters import MOST_ITEMS, DesignsParams, PlanParams
from recab_helpers.recommenders.checked import slates_for
from recab_helpers.recommenders.protocol import Served
from recab_helpers.simulation import Exploration, Pair, PositionModel
from recab_helpers.simulation.plan import EXPLORED, candidates_of
from recab_helpers.stages import plan
from recab_helpers.stages.designs import grade_designs, pair_of
from recab_helpers.stages.train import load_trained
from recab_helpers.tables import digest_of

MOST_USERS = 5000  # of a pilot, drawn at random, whose slates both models are asked for
STEEPEST = 10.0  # how fast examination may fall with the position, as a power of it
BY_PERIOD_BEFORE = ("cuped", "triggered", "both", "gated")  # ways that gain by what users did before the test


@dataclass(frozen=True, kw_only=True)
class Tested(Brief):
    """Two models and the users whom a test would meet; `params` with what the users themselves say.

    A pilot tells slates and traffic, and not what users would click: the appeals of `pair` are assumed then, and
    `grounds` is what a plan would rest on.
    """

    pair: Pair
    models: list[Served]
    params: DesignsParams
    inputs: dict[str, str]  # what it builds on, for tags
    notes: dict[str, str]  # what is otherwise than asked for, or assumed
    grounds: plan.Grounds | None = None


def tested_of(params: DesignsParams) -> Tested:
    """The two models with the users of the newest training, or with those of the pilot that is named.

    Raises:
        DataError: the pilot breaks its contract, tells no positions, or has users whom a model does not know at all.
        TrackingError: there is no such model or training.
    """
    if params.log_file:
        return _of_pilot(params)
    train_run = tracking.find_stage("train", params.experiment, params.train_run_id)
    pair, models, notes = pair_of(params, load_trained(train_run), train_run)
    params = replace(params, users_per_day=params.users_per_day or plan.USERS_PER_DAY)
    return Tested(pair=pair, models=models, params=params, inputs={"train_run_id": train_run}, notes=notes)


def grade(tested: Tested) -> pd.DataFrame:
    """The grades of every way; of a pilot only under its own click model, and users needed are led by its variance.

    What two groups take, without and with CUPED, then follows from the pilot's own users, as `make plan` has it, and
    what any other way takes is that, times how many more or fewer users it takes in the drawn tests.
    """
    if tested.grounds is None:
        return grade_designs(tested.pair, tested.params)
    graded = grade_designs(tested.pair, tested.params, models=[tested.params.click_model])
    params = _plan_params(tested.params)
    row = plan_table(tested.grounds.baseline, [params.lift], plan.design_of(params), users_per_day=1.0).iloc[0]
    drawn = graded.set_index("way")["users_needed"]
    before = graded["way"].isin(BY_PERIOD_BEFORE)
    factor = np.where(before, row["users_with_cuped"] / drawn["cuped"], row["users"] / drawn["counted"])
    return graded.assign(users_needed=graded["users_needed"] * factor)


def _plan_params(params: DesignsParams) -> PlanParams:
    """What `make plan` would be told of this pilot."""
    shared = {f.name for f in fields(PlanParams)} & {f.name for f in fields(params)} - {"slate_size"}
    return PlanParams(**{name: getattr(params, name) for name in shared})


def _of_pilot(params: DesignsParams) -> Tested:
    planned = _plan_params(params)
    rows = plan.pilot_rows(planned)
    users = impressions.reduce(rows).users
    grounds = plan.grounds_of(planned, users)
    k, first = _positions(rows, source=grounds.pilot)
    ids = rows.users.select(nw.col("user_id").cast(nw.String)).unique().sort("user_id").collect("pandas").to_native()
    everyone = ids["user_id"].to_numpy(dtype=object)
    rng = np.random.default_rng([params.seed, len(everyone)])
    asked = np.sort(rng.permutation(everyone)[:MOST_USERS].astype(str))
    models = [tracking.load_model(name) for name in params.variants]
    shown, unknown = zip(*(slates_for(m, asked, max(k, EXPLORED), log=grounds.pilot) for m in models), strict=True)
    lists = list(np.unique(np.stack(shown), return_inverse=True)[1].reshape(2, len(asked), -1))
    pair, times = _assumed(lists, k, first, users.whole, grounds, params, rng)
    met = f"{count(len(asked))}, drawn at random of {count(len(everyone))}"
    notes = {
        "CTR in the pilot": percent(grounds.baseline.value),
        "users of the pilot whose slates were asked for": met if len(asked) < len(everyone) else count(len(asked)),
        "users whom a model does not know, and shows the same": f"{_unknown(unknown[0], asked)} by control, "
        f"{_unknown(unknown[1], asked)} by the treatment",
        "items of a slate": f"{k}, the last position of the pilot",
        "removed by CUPED": f"{percent(grounds.baseline.reduction, 0)}, {grounds.reduction_from}",
        "lift to find": f"{lift(params.lift)}; items that only the treatment shows are then liked {times:.1f} times as "
        "much as the others",
    }
    settled = replace(params, slate_size=k, click_model="position", users_per_day=grounds.users_per_day)
    data = {"data_hash": digest_of(*(f for f in (params.log_file, params.users_file, params.clicks_file) if f))}
    return Tested(pair=pair, models=list(models), params=settled, inputs=data, notes=notes, grounds=grounds)


def _unknown(n: int | None, asked: np.ndarray) -> str:
    return "not told" if n is None else percent(n / len(asked), 0)


def _positions(rows: UserRows, *, source: str) -> tuple[int, float]:
    """The last position of the pilot's slates, and CTR at the first."""
    if rows.positions is None:
        raise DataError(f"{source} has no column position, which says how many items a slate has. Add it.")
    at = rows.positions.groupby("position")[["clicks", "impressions"]].sum()
    if (k := int(at.index.max())) > MOST_ITEMS:
        raise DataError(
            f"{source} has position {k}; designs compare slates of at most {MOST_ITEMS}. Leave the rest out."
        )
    top = at.loc[1] if 1 in at.index else at.iloc[0]
    return k, float(top["clicks"] / top["impressions"])


def _assumed(
    lists: list[np.ndarray],
    k: int,
    first: float,
    whole: SufficientStatistics,
    grounds: plan.Grounds,
    params: DesignsParams,
    rng: np.random.Generator,
) -> tuple[Pair, float]:
    """Users with these slates and the pilot's traffic, who like all items alike but those of the treatment alone.

    Those are liked so much more that the lift is that of the parameters; by how many times is returned too. How likely
    a position is looked at falls so that CTR falls with it as in the pilot. Users differ in how they click as much as
    the pilot's, and come as in the rehearsed world, as often as in the pilot on average; slates have nothing to do with
    either. Before the test, as much of both as `user_change` says was another user's.

    Raises:
        DataError: both models show the same items, or no liking gives that lift.
    """
    items, ctr = np.stack([of[:, :k] for of in lists]), grounds.baseline.value
    n, decay = items.shape[1], _decay(ctr / first if first > 0 else 1.0, k)
    clicks = PositionModel(decay=decay)
    at = whole.columns.index("impressions")
    mean, square = whole.mean[at], whole.cov[at, at] + whole.mean[at] ** 2
    alike = (grounds.baseline.variance * mean**2 / (ctr * (1 - ctr)) - mean) / max(square - mean, 1e-9)
    level = min(ctr / clicks.p_examine(k).mean(), 0.99)
    spread = min(np.clip(alike, 0.001, 0.99) * (1 - ctr) / ctr, 0.9 * (1 - level) / level)  # squared, of the mean
    size = (1 - level) / (level * spread) - 1
    appeal = rng.beta(size * level, size * (1 - level), n)[:, None]
    rate = rng.gamma(ACTIVITY_SHAPE, rate_of_all_users(max(mean / k, 1.01)) / ACTIVITY_SHAPE, (n,))
    other, change = rng.permutation(n), params.user_change
    candidates = candidates_of(lists)
    pair = Pair(
        items=items,
        p_click=np.repeat(appeal[None], 2, axis=0) * np.ones((1, 1, k)),
        rate=rate,
        p_before=((1 - change) * appeal + change * appeal[other]) * np.ones((1, k)),
        rate_before=(1 - change) * rate + change * rate[other],
        clicks=clicks,
        exploration=Exploration(share=params.exploration, items=candidates, p_click=appeal * np.ones(candidates.shape)),
    )
    alone = pair.places()[1, :, :, 0] == 0

    def liked(times: float) -> Pair:
        p = pair.p_click.copy()
        p[1] = np.where(alone, np.minimum(times * appeal, 1.0), p[1])
        return replace(pair, p_click=p)

    def excess(log_times: float) -> float:
        control, treatment = liked(float(np.exp(log_times))).ctr()
        return treatment / control - 1 - params.lift

    if not alone.any():
        raise DataError(
            "Both models show the same items to all users of the pilot, so that no item can be assumed to be liked "
            "more. Rehearse them on the interactions they were trained on: make designs without LOG."
        )
    if excess(20.0) < 0:
        raise DataError(
            f"lift is {params.lift:g}, but even if all items of the treatment alone were clicked whenever they are "
            f"looked at, it would be {lift(excess(20.0) + params.lift)}. Give a smaller one."
        )
    times = float(np.exp(brentq(excess, 0.0, 20.0)))
    own = np.where(alone, items[1], -2)
    more = (candidates[:, :, None] == own[:, None, :]).any(axis=2)
    assert pair.exploration is not None
    explored = replace(pair.exploration, p_click=np.where(more, np.minimum(times * appeal, 1.0), appeal))
    return replace(liked(times), exploration=explored), times


def _decay(ratio: float, k: int) -> float:
    """How fast examination falls, as a power of the position, if CTR is this share of that at the first."""

    def excess(decay: float) -> float:
        return float(PositionModel(decay=decay).p_examine(k).mean()) - ratio

    return 0.0 if k == 1 or excess(0.0) <= 0 else STEEPEST if excess(STEEPEST) >= 0 else brentq(excess, 0.0, STEEPEST)
