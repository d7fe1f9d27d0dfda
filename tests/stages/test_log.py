"""A log is known by its content, and its plan by what was given."""

from recab_helpers import stages
from recab_helpers.analysis import METRICS, Assumed
from tests.stages.made import TABLE, log_of


def test_the_treatments_of_a_real_log_divide_the_allocation(tmp_path):
    table = TABLE.assign(variant=["control", "b", "c", "control"])
    shares = {"control": 0.5, "b": 0.4, "c": 0.1}
    half, given, nothing = (log_of(table, tmp_path, allocation=a) for a in (0.5, shares, None))
    test = stages.reduce(stages.user_rows(half, METRICS), METRICS)
    assert half.planned_for(test) == {"control": 0.5, "b": 0.25, "c": 0.25}
    assert given.planned_for(test) == shares
    assert nothing.planned_for(test) == Assumed(dict.fromkeys(shares, 1 / 3))
    assert isinstance(nothing.planned_for(test), Assumed)


def test_the_hash_of_a_log_follows_its_content_not_its_place(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    one, same = log_of(TABLE, tmp_path), log_of(TABLE, tmp_path / "elsewhere")
    other = log_of(TABLE.assign(clicked=0), tmp_path)
    assert one.data_hash == same.data_hash != other.data_hash
