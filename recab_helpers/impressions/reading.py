"""How a table is to be read where its words are not recab's, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import narwhals as nw

from recab_helpers.impressions.counting import Counted
from recab_helpers.parameters import ReadParams

AS_GIVEN = ("control", "time_unit", "time_zone", "date_order", "starts", "only", "table", "engine")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a log or a table of users is to be read where its words are not recab's.

    `columns` says which of its columns is which of the contract's; `control` is its name for the control; `click`
    lists the values that are a click (`positive`: a number above 0; `filled`: any cell that is not empty). Rows
    before `starts` tell of the period before the test. Only rows whose columns have the values of `only` are read.
    `time_zone` is the zone whose days are told, and of times that name none.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    control: str = ""
    click: tuple[str, ...] = ()
    time_unit: str = ""
    time_zone: str = "UTC"
    date_order: str = ""
    starts: str = ""
    only: Mapping[str, str] = field(default_factory=dict)
    drop_bad_rows: bool = False
    by_impression: bool = False
    table: str = ""  # of a database
    engine: str = "duckdb"  # that reduces the log; or spark
    design: str = "users"  # of READ_DESIGNS

    @classmethod
    def of(cls, params: ReadParams) -> "Reading":
        """How these parameters say that a log is read."""
        design = getattr(params, "design", "users")
        columns = dict(params.columns)
        if design == "interleaved":  # what tells the variants apart is who picked the item
            columns["variant"] = columns.pop("team", "team")
        return cls(
            columns=columns,
            design=design,
            click=tuple(params.click),
            drop_bad_rows=params.bad_rows == "drop",
            by_impression=params.unit == "impression",
            **{n: getattr(params, n) for n in AS_GIVEN},
        )


AS_IS = Reading()


@dataclass(frozen=True, kw_only=True)
class Read:
    """A table whose columns are those of the contract, typed; `notes` say in sentences what was made of it.

    `before` holds the rows of a log from before the start of the test. `dropped` counts rows that were left out and
    their users, by variant.
    """

    rows: nw.LazyFrame
    source: str
    columns: dict[str, str]  # theirs by ours
    notes: tuple[str, ...] = ()
    before: nw.LazyFrame | None = None
    counted: Counted | None = None  # what its reading has counted already
    dropped: dict[str, tuple[int, int]] = field(default_factory=dict)
