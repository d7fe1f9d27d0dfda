"""What is wrong with a log, with what is known of its users, or with what metrics ask of them is said at the door."""

import pandas as pd
import pytest

from recab_helpers.errors import DataError, ParameterError
from recab_helpers.impressions import look as look_module
from recab_helpers.impressions.look import check_early, look
from recab_helpers.parameters import AnalyzeParams, ReadParams
from tests.made import LOG


@pytest.fixture
def files(tmp_path) -> dict[str, str]:
    LOG.to_csv(tmp_path / "log.csv", index=False)
    users = LOG[["user_id", "variant"]].drop_duplicates("user_id")
    users.assign(revenue=1.5).to_csv(tmp_path / "users.csv", index=False)
    users.assign(age=[30, 40, None], country="no").to_csv(tmp_path / "known.csv", index=False)
    users.assign(clicks=3).to_csv(tmp_path / "taken.csv", index=False)
    return {f.stem: str(f) for f in tmp_path.iterdir()}


def test_a_column_of_the_users_that_the_log_counts_itself_is_refused(files):
    with pytest.raises(DataError, match="The users table has the column clicks, which is counted from the log"):
        check_early(AnalyzeParams(log_file=files["log"], users_file=files["taken"]))
    check_early(AnalyzeParams(log_file=files["log"], users_file=files["users"]), ("revenue", "clicks"))
    check_early(AnalyzeParams(users_file=files["taken"]), ("clicks",))  # without a log nothing is counted


@pytest.mark.parametrize("file", ["log", "users"])
def test_planned_shares_name_every_variant(files, file):
    how = {f"{file}_file": files[file]}
    check_early(AnalyzeParams(**how, allocation={"control": 0.3, "treatment": 0.7}))
    with pytest.raises(
        ParameterError, match=r"allocation plans control, treat, .* holds treatment\. Did you mean treat\?"
    ):
        check_early(AnalyzeParams(**how, allocation={"control": 0.3, "treat": 0.7}))


def test_a_metric_that_reads_a_column_of_neither_is_refused(files):
    log, both = AnalyzeParams(log_file=files["log"]), {"log_file": files["log"], "users_file": files["users"]}
    with pytest.raises(ParameterError, match=r"reads the column revenue, which is in neither the log .*Choose from"):
        check_early(log, ("revenue",))
    check_early(AnalyzeParams(**both), ("revenue",))
    with pytest.raises(ParameterError, match=r"reads the column revenu, which is in neither .*Did you mean revenue\?"):
        check_early(AnalyzeParams(**both), ("revenu",))
    with pytest.raises(ParameterError, match=r"reads the column clicks, which the users do not have"):
        check_early(AnalyzeParams(users_file=files["users"]), ("clicks",))


def test_what_cannot_be_a_covariate_is_refused_by_name_and_reason(files):
    known = {"log_file": files["log"], "users_file": files["known"]}
    check_early(AnalyzeParams(**known, covariates=["age"]))
    check_early(AnalyzeParams(users_file=files["known"], covariates=["pre_age"]))
    check_early(AnalyzeParams(log_file=files["log"], starts="1", covariates=["pre_clicks", "impressions"]))
    for covariate, why in {
        "agee": r"agee, which is not known of the users before the test\. Did you mean age\?",
        "country": "country, which is no number in the users table",
        "pre_clicks": r"pre_clicks, which is not known .*Choose from age",
    }.items():
        with pytest.raises((ParameterError, DataError), match=why):
            check_early(AnalyzeParams(**known, covariates=[covariate]))
    with pytest.raises(ParameterError, match="revenue, which is the same for all users"):
        check_early(AnalyzeParams(log_file=files["log"], users_file=files["users"], covariates=["revenue"]))
    with pytest.raises(ParameterError, match=r"covariates names pre_clicks, which is not known .*Give a users table"):
        check_early(AnalyzeParams(log_file=files["log"], covariates=["pre_clicks"]))


def test_who_came_back_is_no_column_of_the_log(files):
    check_early(AnalyzeParams(log_file=files["log"]), ("retained_2",))
    with pytest.raises(ParameterError, match=r"reads the column retained_2, which the users do not have"):
        check_early(AnalyzeParams(users_file=files["users"]), ("retained_2",))


@pytest.mark.parametrize("most", [0, look_module.CHECKED_AT_ONCE], ids=["large", "small"])
def test_what_a_log_is_too_short_for_or_has_no_quantile_of_is_refused_at_the_door(tmp_path, monkeypatch, most):
    """A large log of Parquet is not read through: the ends of its columns tell."""
    monkeypatch.setattr(look_module, "CHECKED_AT_ONCE", most)
    times = {
        "day": LOG["day"],
        "timestamp": pd.Timestamp("2026-05-01 20:00") + pd.to_timedelta(LOG["day"], unit="D"),
        "yyyymmdd": 20260501 + LOG["day"],
    }
    log = LOG.drop(columns="day").assign(wait=[1.0, 0.5, 2, 3, 4, 5])
    file = str(tmp_path / "log.parquet")
    for kind, time in times.items():
        log.assign(**{"timestamp" if kind == "yyyymmdd" else kind: time}).to_parquet(file)
        check_early(AnalyzeParams(log_file=file), ("retained_3", "wait"), ("wait",))
        with pytest.raises(ParameterError, match=r"retained_4, .* the log ends 3 days after its first"):
            check_early(AnalyzeParams(log_file=file), ("retained_4",))
    LOG.assign(wait=[1.0, 0.5, 2, -3, 4, 5]).to_parquet(file)
    with pytest.raises(DataError, match=r"column wait holds -3; a quantile is told of values of 0 and more"):
        check_early(AnalyzeParams(log_file=file), ("wait",), ("wait",))
    LOG.assign(wait=[1.0, 0.5, 2, -3, 4, 5], page=["a", "a", "a", "b", "a", "a"]).to_parquet(file)
    check_early(AnalyzeParams(log_file=file, only={"page": "a"}), ("wait",), ("wait",))


def test_a_quantile_of_a_column_of_the_users_is_refused_at_the_door(files):
    both = {"log_file": files["log"], "users_file": files["known"]}
    for params in (AnalyzeParams(**both), AnalyzeParams(users_file=files["known"])):
        with pytest.raises(ParameterError, match="a quantile of age, which the impressions do not have"):
            check_early(params, ("age",), ("age",))
    with pytest.raises(ParameterError, match=r"a quantile of clicks, .* Did you mean clicked\?"):
        check_early(AnalyzeParams(log_file=files["log"]), ("clicks",), ("clicks",))


def test_nobody_comes_back_to_a_variant_that_is_drawn_by_session_or_impression(files):
    for how, said in (({"design": "sessions"}, "design is sessions"), ({"unit": "impression"}, "unit is impression")):
        with pytest.raises(ParameterError, match=f"retained_2, but {said}: nobody has a variant"):
            check_early(AnalyzeParams(log_file=files["log"], **how), ("retained_2",))


def test_rows_from_before_the_start_make_a_log_no_longer(files):
    check_early(AnalyzeParams(log_file=files["log"], starts="1"), ("retained_2",))
    with pytest.raises(ParameterError, match=r"retained_3, .* the log ends 2 days after its first"):
        check_early(AnalyzeParams(log_file=files["log"], starts="1"), ("retained_3",))


@pytest.mark.parametrize("column", ["sessions", "weighted_clicks"])
def test_what_is_counted_of_lists_is_refused_beside_them_too(tmp_path, column):
    slates = pd.DataFrame({"user_id": ["a", "b"], "variant": ["control", "treatment"], "item_id": ["x-1 y-0", "y-1"]})
    slates.assign(day=[0, 1]).to_csv(tmp_path / "log.csv", index=False)
    pd.DataFrame({"user_id": ["a", "b"], column: [1, 2]}).to_csv(tmp_path / "users.csv", index=False)
    params = AnalyzeParams(log_file=str(tmp_path / "log.csv"), users_file=str(tmp_path / "users.csv"))
    with pytest.raises(DataError, match=f"The users table has the column {column}, which is counted from the log"):
        check_early(params)


@pytest.mark.parametrize("value", ["0", "1.7", "", "often"])
def test_a_propensity_that_is_no_chance_is_refused_by_its_row(tmp_path, value):
    chances = ["0.5", "1", value, "0.25", "0.5", "1e-3"]
    LOG.assign(propensity=chances).to_csv(tmp_path / "log.csv", index=False)
    params = AnalyzeParams(log_file=str(tmp_path / "log.csv"), design="off_policy", target="models:/m/1")
    with pytest.raises(DataError, match=r"column propensity .* in row 3.*"):
        check_early(params)
    LOG.assign(propensity=0.5).to_csv(tmp_path / "log.csv", index=False)
    check_early(params)


def test_a_look_names_the_design_that_the_log_may_be_of(tmp_path):
    path = tmp_path / "log.csv"
    LOG.to_csv(path, index=False)
    assert "design=" not in look(ReadParams(log_file=str(path)))
    variants = ["control", "control", "treatment", "treatment", "treatment", "control"]
    LOG.assign(variant=variants, team="control", propensity=0.5).to_csv(path, index=False)
    said = look(ReadParams(log_file=str(path)))
    assert "1 of 3 users are in several variants" in said
    LOG.assign(dwell=1.5).to_csv(path, index=False)
    assert "log.csv: not read: dwell." in look(ReadParams(log_file=str(path)))
    for design in ("design=sessions", "design=interleaved", "design=off_policy target=models:/NAME/3"):
        assert design in said
