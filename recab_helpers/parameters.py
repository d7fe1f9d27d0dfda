"""The parameters of every stage, and every check on them that needs nothing but the values.

Each field stands in the parameters cell of its notebook with the same default; the command line checks all values
before any kernel starts, the notebooks check them again for those who run them by hand. A new parameter is its field
here and its line there. Which data, models and metrics there are is checked by the rooms that have their lists.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any
from zoneinfo import ZoneInfo

from recab_helpers import limits
from recab_helpers.errors import ParameterError, nearest
from recab_helpers.references import CONTROL

SPLITS = ("per_user", "time")
CLICK_MODELS = ("position", "cascade")
TRUTHS = ("held_out", "completed")
MODELS_FROM = ("anywhere", "store")
DATA_COLUMNS = ("user_id", "item_id", "rating", "timestamp", "title", "text")  # what foreign columns may stand for
LOOKS = ("obrien_fleming", "pocock")
TIME_UNITS = ("", "s", "ms", "us", "ns")
DATE_ORDERS = ("", "day_first", "month_first")
BAD_ROWS = ("refuse", "drop")
UNITS = ("user", "impression")
ENGINES = ("duckdb", "spark")
DESIGNS = ("users", "sessions", "interleaved")
READ_DESIGNS = (*DESIGNS, "off_policy")
MOST_COVARIATES = 10
READINGS = ("plain", "both_slates")
REGISTERED = ("models:/", "runs:/")  # how the address of a model in MLflow begins
MOST_ITEMS = 100  # of the slates that designs compare, item by item
SERVED = ("http://", "https://")  # how the address of a model that is served begins
MAX_VARIANTS = 10
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "collaborative_wins": {"text_share": 0.3},
    "content_wins": {"text_share": 0.9, "mean_history": 10.0, "n_items": 4000},
    "parity": {"text_share": 0.8, "mean_history": 18.0},
    "aa": {"variants": ["content", "content"]},
}


@dataclass(frozen=True, kw_only=True)
class Params:
    """What the parameters of every stage and door share: a type for each, and limits that are checked when made."""

    def __post_init__(self):
        for field in fields(self):
            object.__setattr__(self, field.name, limits.typed(field.name, getattr(self, field.name), field.type))
        self._check()

    def _check(self) -> None:
        raise NotImplementedError

    @classmethod
    def of(cls, values: dict[str, Any]):
        """The parameters among `values`, such as the globals() of a notebook."""
        return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})

    def unused(self) -> dict[str, str]:
        """Parameters that the others leave without a use, each with the reason; harmless at their defaults."""
        return {}

    def as_dict(self) -> dict[str, Any]:
        """Parameter values by name, ready to log."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class TrainParams(Params):
    """Parameters of 01_train."""

    experiment: str = "recab"
    seed: int = 29
    dataset: str = "synthetic"
    catalog_file: str = ""
    data_columns: dict[str, str | list[str]] = ()  # type: ignore[assignment]  # becomes a dict
    n_users: int = 6000
    n_items: int = 3000
    text_share: float = 0.7
    mean_history: float = 40.0
    split: str = "per_user"
    relevant_rating: float | None = None
    variants: list[str] = ("content", "collaborative")  # type: ignore[assignment]  # becomes a list
    content_popularity: float = 0.0
    collaborative_factors: int = 32
    collaborative_epochs: int = 30
    collaborative_learning_rate: float = 0.02
    collaborative_regularization: float = 0.02
    collaborative_negatives: int = 8
    ratings_factors: int = 100
    ratings_epochs: int = 20
    ratings_learning_rate: float = 0.005
    ratings_regularization: float = 0.02
    ease_regularization: float = 300.0
    hybrid_of: list[str] = ("content", "ease")  # type: ignore[assignment]  # becomes a list

    def _check(self):
        limits.folder_name("experiment", self.experiment)
        limits.within("seed", self.seed, 0, 2**32 - 1)
        limits.there("catalog_file", self.catalog_file)
        if wrong := [c for c in self.data_columns if c not in DATA_COLUMNS]:
            raise ParameterError(f"data_columns has {wrong[0]!r}. {nearest(wrong[0], DATA_COLUMNS)}")
        limits.within("n_users", self.n_users, 10, 5_000_000)
        limits.within("n_items", self.n_items, 20, 200_000)
        limits.within("text_share", self.text_share, 0, 1)
        limits.within("mean_history", self.mean_history, 1, 10_000)
        limits.one_of("split", self.split, SPLITS)
        limits.within("content_popularity", self.content_popularity, 0, 10)
        for model in ("collaborative", "ratings"):
            limits.within(f"{model}_factors", getattr(self, f"{model}_factors"), 1, 1000)
            limits.within(f"{model}_epochs", getattr(self, f"{model}_epochs"), 1, 1000)
            limits.within(f"{model}_learning_rate", getattr(self, f"{model}_learning_rate"), 1e-6, 1)
            limits.within(f"{model}_regularization", getattr(self, f"{model}_regularization"), 0, 10)
        limits.within("collaborative_negatives", self.collaborative_negatives, 1, 100)
        limits.within("ease_regularization", self.ease_regularization, 1e-3, 1e6)
        if len(self.hybrid_of) < 2 or "hybrid" in self.hybrid_of:
            raise ParameterError(f"hybrid_of is {self.hybrid_of}; name two or more other models, [content, ease].")

    def unused(self) -> dict[str, str]:
        """What makes the synthetic world, where the data come from elsewhere."""
        if self.dataset == "synthetic":
            return dict.fromkeys(("catalog_file", "data_columns"), "the synthetic world has its own tables")
        world = ("n_users", "n_items", "text_share", "mean_history")
        return dict.fromkeys(world, f"dataset is {self.dataset}, not synthetic")


@dataclass(frozen=True, kw_only=True)
class SimulateParams(Params):
    """Parameters of 02_simulate."""

    experiment: str = "recab"
    train_run_id: str = ""
    seed: int = 29
    variants: list[str] = ("content", "collaborative")  # type: ignore[assignment]  # becomes a list
    models_from: str = "anywhere"
    allocation: float = 0.5
    slate_size: int = 10
    horizon_days: int = 14
    effect_dial: float = 1.0
    fatigue: float = 1.0
    click_model: str = "position"
    user_change: float = 0.22
    truth: str = "completed"
    design: str = "users"
    exploration: float = 0.0
    time_limit_s: float = 10.0

    def _check(self):
        limits.folder_name("experiment", self.experiment)
        limits.within("seed", self.seed, 0, 2**32 - 1)
        if not 2 <= len(self.variants) <= MAX_VARIANTS:
            raise ParameterError(
                f"variants is {self.variants}; name 2 to {MAX_VARIANTS} models, the first is control, "
                "such as [content, collaborative]."
            )
        limits.one_of("models_from", self.models_from, MODELS_FROM)
        if self.models_from == "store" and (elsewhere := [v for v in self.variants if v.startswith(SERVED)]):
            raise ParameterError(
                f"variants has {elsewhere[0]}, which is served and in no store, but models_from is store. Leave it "
                "out, or set models_from=anywhere."
            )
        limits.inside("allocation", self.allocation, 0, 1)
        limits.within("slate_size", self.slate_size, 1, 1000)
        limits.within("horizon_days", self.horizon_days, 1, 366)
        limits.within("effect_dial", self.effect_dial, 0, 1)
        limits.within("fatigue", self.fatigue, 0.01, 1)
        limits.one_of("click_model", self.click_model, CLICK_MODELS)
        limits.within("user_change", self.user_change, 0, 1)
        limits.one_of("truth", self.truth, TRUTHS)
        limits.one_of("design", self.design, DESIGNS)
        if self.design != "users" and len(self.variants) != 2:
            raise ParameterError(
                f"design is {self.design}, which compares two models, but variants is {self.variants}. Name two."
            )
        limits.within("exploration", self.exploration, 0, 0.9)
        if self.exploration and self.design != "users":
            raise ParameterError(
                f"exploration is {self.exploration:g}, with which nobody is served a treatment, but design is "
                f"{self.design}. Leave one of them out."
            )
        limits.within("time_limit_s", self.time_limit_s, 0.01, 600)

    def unused(self) -> dict[str, str]:
        """What only served models have, and what a design has no place for."""
        served = any(v.startswith(SERVED) for v in self.variants)
        unused = {} if served else {"time_limit_s": "no variant is a served model, http://127.0.0.1:PORT"}
        if self.design == "interleaved":
            unused["allocation"] = "both variants share every slate"
        if self.exploration:
            unused |= dict.fromkeys(("allocation", "effect_dial"), "with exploration all users have control")
        return unused


@dataclass(frozen=True, kw_only=True)
class ReadParams(Params):
    """How a real log, or a table of users, is read: where it lies, and what its own words mean."""

    log_file: str = ""
    users_file: str = ""
    clicks_file: str = ""
    table: str = ""
    columns: dict[str, str] = ()  # type: ignore[assignment]  # becomes a dict
    only: dict[str, str] = ()  # type: ignore[assignment]  # becomes a dict
    control: str = ""
    click: list[str] = ()  # type: ignore[assignment]  # becomes a list
    time_unit: str = ""
    time_zone: str = "UTC"
    date_order: str = ""
    starts: str = ""
    bad_rows: str = "refuse"
    unit: str = "user"
    engine: str = "duckdb"

    def _check(self):
        for name in ("log_file", "users_file", "clicks_file"):
            limits.there(name, getattr(self, name))
        limits.one_of("time_unit", self.time_unit, TIME_UNITS)
        limits.one_of("date_order", self.date_order, DATE_ORDERS)
        limits.one_of("bad_rows", self.bad_rows, BAD_ROWS)
        limits.one_of("unit", self.unit, UNITS)
        limits.one_of("engine", self.engine, ENGINES)
        try:
            ZoneInfo(self.time_zone)
        except (ValueError, OSError, KeyError) as error:
            raise ParameterError(
                f"time_zone is {self.time_zone!r}, which is no zone of the IANA list; give one such as Europe/Berlin."
            ) from error
        if self.starts and not limits.is_day(self.starts):
            raise ParameterError(f"starts is {self.starts!r}; give a date, 2026-05-01, or the number of a day.")

    @property
    def reads(self) -> bool:
        """Whether a table is named, so that no simulated test is read."""
        return bool(self.log_file or self.users_file)

    def unused(self) -> dict[str, str]:
        """What says how a log is read, where there is none."""
        if self.log_file:
            return {}
        reading = [f.name for f in fields(ReadParams) if f.name not in ("log_file", "users_file")]
        if not self.reads:
            return dict.fromkeys(reading, "no log is named")
        of_users = ("table", "columns", "only", "control")
        return dict.fromkeys((n for n in reading if n not in of_users), "a table of users is read, and no log")


@dataclass(frozen=True, kw_only=True)
class AnalyzeParams(ReadParams):
    """Parameters of 03_analyze."""

    experiment: str = "recab"
    simulate_run_id: str = ""
    hypothesis: str = ""
    design: str = "users"
    target: str = ""
    metrics: list[str | dict] = ()  # type: ignore[assignment]  # becomes a list
    covariates: list[str] = ()  # type: ignore[assignment]  # becomes a list
    allocation: float | dict[str, float] | None = None
    planned_days: int | None = None
    planned_users: int | None = None
    alpha: float = 0.05
    power: float = 0.8
    looks: str = "obrien_fleming"
    reading: str = "plain"
    prior_sd: float | None = None
    promote: bool = False

    def _check(self):
        super()._check()
        limits.folder_name("experiment", self.experiment)
        limits.metrics(self.metrics)
        if twice := [c for i, c in enumerate(self.covariates) if c in self.covariates[:i]]:
            raise ParameterError(f"covariates names {twice[0]} twice. Leave one out.")
        if len(self.covariates) > MOST_COVARIATES:
            raise ParameterError(f"covariates names {len(self.covariates)} columns; name at most {MOST_COVARIATES}.")
        limits.one_of("looks", self.looks, LOOKS)
        limits.one_of("reading", self.reading, READINGS)
        limits.one_of("design", self.design, READ_DESIGNS)
        for name, only in (("reading", "plain"), ("unit", "user"), ("covariates", [])):
            if self.design != "users" and getattr(self, name) != only:
                raise ParameterError(
                    f"{name} is {getattr(self, name)}, but design is {self.design}, which has a reading of its own. "
                    "Leave one of them out."
                )
        if self.design == "off_policy" and self.log_file and not self.target:
            raise ParameterError("design is off_policy, but no target is named. Name its model: target=models:/NAME/3.")
        if isinstance(self.allocation, dict):
            limits.shares("allocation", self.allocation)
        elif self.allocation is not None:
            limits.inside("allocation", self.allocation, 0, 1)
        limits.inside("alpha", self.alpha, 0, 0.5)
        limits.inside("power", self.power, 0.5, 1)
        for name in ("planned_days", "planned_users"):
            if getattr(self, name) is not None:
                limits.within(name, getattr(self, name), 1, 10**9)
        if self.planned_days is not None and self.planned_users is not None:
            raise ParameterError(
                f"planned_days is {self.planned_days} and planned_users is {self.planned_users}; give the one that "
                "ends the test."
            )
        if self.prior_sd is not None:
            limits.inside("prior_sd", self.prior_sd, 0, 10)

    @property
    def planned(self) -> dict[str, float]:
        """The planned share of users by variant, with the control called so; empty where none is given for each."""
        shares = self.allocation if isinstance(self.allocation, dict) else {}
        return {CONTROL if v == self.control and CONTROL not in shares else v: p for v, p in shares.items()}

    def unused(self) -> dict[str, str]:
        """What a simulated test says itself, and what only a simulated test has."""
        if self.reads:
            not_read = {} if self.design == "off_policy" else {"target": "design is not off_policy"}
            simulated = dict.fromkeys(("simulate_run_id", "promote"), "a log is read, not a simulated test")
            if not self.log_file:
                not_read = dict.fromkeys(("target", "design"), "a table of users is read, and no log")
            return super().unused() | simulated | not_read
        knows = ("allocation", "planned_days", "planned_users", "design", "target")
        own = dict.fromkeys(knows, "a simulated test knows its own")
        return super().unused() | own


@dataclass(frozen=True, kw_only=True)
class PlanParams(ReadParams):
    """Parameters of 00_plan."""

    ctr: float = 0.1
    slate_size: int = 10
    sessions_per_user: float = 7.5
    click_correlation: float = 0.1
    cuped_reduction: float = 0.3
    users_per_day: float | None = None
    lift: float = 0.05
    n_treatments: int = 1
    allocation: float = 0.5
    alpha: float = 0.05
    power: float = 0.8

    def _check(self):
        super()._check()
        if self.users_file and not self.log_file:
            raise ParameterError(
                f"users_file is {self.users_file!r}, but there is no log_file. Give the log of these users too."
            )
        limits.inside("ctr", self.ctr, 0, 1)
        limits.within("slate_size", self.slate_size, 1, 1000)
        limits.within("sessions_per_user", self.sessions_per_user, 1.01, 10_000)
        limits.within("click_correlation", self.click_correlation, 0, 0.99)
        limits.within("cuped_reduction", self.cuped_reduction, 0, 0.99)
        if self.users_per_day is not None:
            limits.inside("users_per_day", self.users_per_day, 0, 1e9)
        limits.inside("lift", self.lift, 0, 10)
        limits.within("n_treatments", self.n_treatments, 1, MAX_VARIANTS - 1)
        limits.inside("allocation", self.allocation, 0, 1)
        limits.inside("alpha", self.alpha, 0, 0.5)
        limits.inside("power", self.power, 0.5, 1)

    def unused(self) -> dict[str, str]:
        """The rates that a pilot log says itself."""
        rates = ("ctr", "slate_size", "sessions_per_user", "click_correlation")
        return super().unused() | (dict.fromkeys(rates, "the pilot log says it") if self.log_file else {})


@dataclass(frozen=True, kw_only=True)
class CalibrateParams(Params):
    """Parameters of 04_calibrate."""

    experiment: str = "recab"
    seed: int = 29
    n_tests: int = 1000
    n_users: int = 2000
    ctr: float = 0.06
    lift: float = 0.08

    def _check(self):
        limits.folder_name("experiment", self.experiment)
        limits.within("seed", self.seed, 0, 2**32 - 1)
        limits.within("n_tests", self.n_tests, 20, 1_000_000)
        limits.within("n_users", self.n_users, 10, 5_000_000)
        limits.inside("ctr", self.ctr, 0, 0.9)
        limits.inside("lift", self.lift, 0, 1)


@dataclass(frozen=True, kw_only=True)
class DesignsParams(ReadParams):
    """Parameters of 05_designs."""

    experiment: str = "recab"
    train_run_id: str = ""
    seed: int = 29
    variants: list[str] = ("content", "collaborative")  # type: ignore[assignment]  # becomes a list
    slate_size: int = 10
    click_model: str = "position"
    user_change: float = 0.22
    truth: str = "completed"
    exploration: float = 0.1
    n_tests: int = 1000
    n_users: int = 1000
    users_per_day: float | None = None
    lift: float = 0.05
    longest_days: int = 28
    alpha: float = 0.05
    power: float = 0.8

    def _check(self):
        limits.folder_name("experiment", self.experiment)
        limits.within("seed", self.seed, 0, 2**32 - 1)
        if len(self.variants) != 2:
            raise ParameterError(f"variants is {self.variants}; name the two models to test, control first.")
        self._check_pilot()
        limits.within("slate_size", self.slate_size, 1, MOST_ITEMS)
        limits.one_of("click_model", self.click_model, CLICK_MODELS)
        limits.within("user_change", self.user_change, 0, 1)
        limits.one_of("truth", self.truth, TRUTHS)
        limits.within("exploration", self.exploration, 0.001, 0.9)
        limits.within("n_tests", self.n_tests, 20, 1_000_000)
        limits.within("n_users", self.n_users, 50, 1_000_000)
        if self.users_per_day is not None:
            limits.inside("users_per_day", self.users_per_day, 0, 1e9)
        limits.inside("lift", self.lift, 0, 10)
        limits.within("longest_days", self.longest_days, 1, 366)
        limits.inside("alpha", self.alpha, 0, 0.5)
        limits.inside("power", self.power, 0.5, 1)

    def _check_pilot(self) -> None:
        """Refuse a pilot whose users no model can be asked for."""
        if self.users_file and not self.log_file:
            raise ParameterError(
                f"users_file is {self.users_file!r}, but there is no log_file. Give the log of these users too."
            )
        if not self.log_file:
            return
        if self.unit != "user":
            raise ParameterError(
                f"unit is {self.unit}, but both models are asked for the slates of the pilot's users. Leave it out."
            )
        if named := [v for v in self.variants if not v.startswith(REGISTERED)]:
            raise ParameterError(
                f"variants has {named[0]}, but with a pilot (log_file) both are registered models. Give their "
                "addresses: variants=[models:/NAME/3, models:/OTHER/1]."
            )

    def unused(self) -> dict[str, str]:
        """What a pilot says itself or cannot tell, and what is asked of a pilot only."""
        if not self.log_file:
            return super().unused() | {"lift": "no pilot is named, and a rehearsal knows the true lift"}
        untold = dict.fromkeys(("train_run_id", "truth", "click_model"), "a pilot is read, which knows no truth")
        return super().unused() | untold | {"slate_size": "the pilot log says it"}


@dataclass(frozen=True, kw_only=True)
class ServeParams(Params):
    """Parameters of `make serve`: the models, all of the newest training unless some are named, and the first port."""

    experiment: str = "recab"
    train_run_id: str = ""
    variants: list[str] = ()  # type: ignore[assignment]  # becomes a list
    port: int = 5001

    def _check(self):
        limits.folder_name("experiment", self.experiment)
        limits.within("port", self.port, 1024, 65_535)


STAGES: dict[str, type[Params]] = {
    "train": TrainParams,
    "simulate": SimulateParams,
    "analyze": AnalyzeParams,
    "plan": PlanParams,
    "calibrate": CalibrateParams,
    "designs": DesignsParams,
}
