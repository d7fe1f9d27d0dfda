"""What is wrong with a log, with what is known of its users, or with what metrics ask of them is said at the door."""

import pytest

from recab_helpers.errors import DataError, ParameterError
from recab_helpers.impressions.look import check_early
from recab_helpers.parameters import AnalyzeParams
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
