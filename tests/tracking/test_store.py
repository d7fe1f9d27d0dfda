"""Where runs are kept: every address is used or refused in one sentence, and a password is never printed."""

import os

import mlflow
import pytest

from recab_helpers import tracking
from recab_helpers.errors import TrackingError
from recab_helpers.tracking import store as stores


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("127.0.0.1:5000", "names no protocol. Write http://127.0.0.1:5000."),
        ("file:///x", "a folder, which holds no registry of models"),
        ("some/folder", "a folder, which holds no registry of models"),
        ("mlflow.db", "names no kind of store. Write sqlite:////"),
        ("ftp://a/b", "recab cannot use. Write http://HOST:PORT"),
        ("databricks", "recab cannot use"),
        ("http://", "recab cannot use"),
        ("sqlite:///mlflow.db", "a relative path. Write it whole: sqlite:////"),
        ("sqlite:///:memory:", "a relative path"),
        ("mssql+pymssql://user:swordfish@h/db", "its driver is not installed. Run: pip install pymssql."),
        ("http://[::1", "recab cannot use|does not answer"),
    ],
)
def test_an_address_that_is_none_is_refused_with_the_right_spelling(uri, words, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(TrackingError) as refused:
        tracking.connect()
    assert any(w in str(refused.value) for w in words.split("|")), refused.value
    assert "\n" not in str(refused.value)
    assert "swordfish" not in str(refused.value)


@pytest.fixture
def no_credentials(monkeypatch):
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "")


def test_a_password_leaves_the_address_before_anything_can_print_it(monkeypatch, no_credentials):
    """It was printed in errors and written into an executed notebook."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:sword%40fish@127.0.0.1:9/base")
    with pytest.raises(TrackingError) as refused:
        tracking.connect()
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:9/base"
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == ("ann", "sword@fish")
    whole = f"{refused.value} {refused.value.__cause__}"
    assert "sword" not in whole
    assert "MLflow server http://127.0.0.1:9/base does not answer" in whole


def test_the_password_of_a_database_is_masked_however_it_is_quoted(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://ann:sword%40fish@h/db")
    said = "tried postgresql://ann:sword%40fish@h/db with 'sword@fish', then mysql://bob:x@h"
    assert tracking.masked(said) == "tried postgresql://ann:***@h/db with '***', then mysql://bob:***@h"


@pytest.mark.parametrize(("code", "words"), [(401, "does not know the user"), (403, "does not allow this user")])
def test_a_server_that_lets_nobody_in_says_so(code, words, monkeypatch):
    error = mlflow.exceptions.RestException({"error_code": {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}[code]})
    assert words in stores.refused(error)
    assert words in stores.refused(code)
    assert not stores.refused(mlflow.MlflowException("else"))


def test_a_process_asks_for_its_store_once(store):
    assert tracking.connect() is store


def test_a_registry_that_was_inherited_from_elsewhere_is_not_used(store, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    tracking.connect()
    assert mlflow.get_registry_uri() == mlflow.get_tracking_uri()
