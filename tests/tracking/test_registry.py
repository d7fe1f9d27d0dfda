"""Every address of a model means one version before a test, and the champion moves wholly or not at all."""

import shutil
import subprocess
import sys

import mlflow
import pandas as pd
import pytest
from mlflow.utils.file_utils import local_file_uri_to_path

from recab_helpers import recommenders, tracking
from recab_helpers.data import encode, ids_of
from recab_helpers.errors import ParameterError, TrackingError
from recab_helpers.parameters import TrainParams
from recab_helpers.processes import temporary_place
from recab_helpers.references import ModelAddress

NAMES = ("content", "popularity")


@pytest.fixture(scope="module")
def fitted(world_data):
    users, items = ids_of(world_data)
    train = encode(world_data.interactions, user_ids=users, item_ids=items)
    return {name: recommenders.fit(name, train, world_data.catalog, TrainParams()) for name in NAMES}


def log(fitted, experiment: str = "x") -> tracking.Run:
    """Log both models to a new run."""
    run = tracking.start_run(experiment, "train")
    addresses = {name: tracking.log_model(run, model, experiment).address for name, model in fitted.items()}
    run.tag(**{f"model.{name}": str(address) for name, address in addresses.items()})
    return run


def version(store, name: str, number: int) -> ModelAddress:
    """A registered version without a model, where only the registry matters."""
    if number == 1:
        store.create_registered_model(name)
    store.create_model_version(name, source=f"file:///nowhere/{name}")
    return ModelAddress(name=name, version=str(number))


def champions(store, *names: str) -> dict[str, str]:
    found = {n: store.get_registered_model(n).aliases.get("champion") for n in names}
    return {n: str(v) for n, v in found.items() if v is not None}


def test_a_model_that_cannot_be_saved_is_failed_and_not_pending(store, fitted, monkeypatch):
    monkeypatch.setattr(type(fitted["content"]), "save", lambda *_: 1 / 0)
    run = tracking.start_run("x", "train")
    with pytest.raises(ZeroDivisionError):
        tracking.log_model(run, fitted["content"], "x")
    (left,) = store.search_logged_models([run.experiment_id])
    assert left.status == "FAILED"


def test_every_way_to_name_a_model_finds_its_version_and_the_same_lists(store, fitted, world_data):
    first, second = log(fitted), log(fitted)
    store.set_registered_model_alias("x-content", "best", "1")
    newest = ModelAddress(name="x-content", version="2")
    users = [*fitted["content"].user_ids[:3], "a stranger"]
    expected = fitted["content"].recommend(users, 4)
    means = {
        "content": newest,
        newest: newest,
        "models:/x-content/2": newest,
        "models:/x-content/latest": newest,
        "models:/x-content@candidate": newest,
        "models:/x-content@best": ModelAddress(name="x-content", version="1"),
        f"runs:/{first.run_id}/content": ModelAddress(name="x-content", version="1"),
        f"runs:/{second.run_id}/popularity": ModelAddress(name="x-popularity", version="2"),
    }
    for reference, address in means.items():
        model = tracking.load_model(reference, second.run_id)
        assert model.address == address, reference
        if address.name == "x-content":
            pd.testing.assert_frame_equal(model.recommend(users, 4), expected, check_dtype=False)


def test_a_model_that_a_kernel_of_the_command_logged_is_loaded_from_this_machine(store, fitted, monkeypatch):
    """Each of two models took 15 requests, five of them for files that a load does not need."""
    monkeypatch.delenv(tracking.HANDED_ON, raising=False)
    monkeypatch.setattr("recab_helpers.tracking.copies.is_local_uri", lambda _: False)
    with temporary_place():
        run = log({"content": fitted["content"]})
        (logged,) = store.search_logged_models([run.experiment_id])
        shutil.rmtree(local_file_uri_to_path(logged.artifact_location))  # what is asked of the server fails
        model = tracking.load_model("content", run.run_id)
        assert model.address == ModelAddress(name="x-content", version="1")
        users = [*fitted["content"].user_ids[:3], "a stranger"]
        expected = fitted["content"].recommend(users, 4)
        pd.testing.assert_frame_equal(model.recommend(users, 4), expected, check_dtype=False)


def test_a_run_whose_model_was_never_registered_serves_but_cannot_become_champion(store, fitted):
    run = log({"content": fitted["content"]})
    store.delete_registered_model("x-content")
    address = ModelAddress(name="content", run_id=run.run_id)
    assert tracking.load_model(str(address)).address == address
    with pytest.raises(TrackingError, match=r"runs:/.*/content is no version in the MLflow registry.*promote=false"):
        tracking.check_promotable([address])


def test_the_author_of_a_model_is_the_user_of_its_run(store, fitted):
    run = log({"content": fitted["content"]})
    store.set_tag(run.run_id, "mlflow.user", "ann")
    for address in ("models:/x-content/latest", f"runs:/{run.run_id}/content"):
        assert tracking.author_of(ModelAddress.parse(address)) == "ann"
    assert tracking.author_of(version(store, "alone", 1)) == "nobody that MLflow names"


def test_a_model_that_no_run_of_this_store_logged_is_refused_where_models_come_from_the_store(store, fitted):
    run = log({"content": fitted["content"]})
    here = [ModelAddress.parse(a) for a in ("models:/x-content/1", f"runs:/{run.run_id}/content")]
    tracking.check_of_this_store(here)
    elsewhere = {version(store, "alone", 1): "alone/1", ModelAddress.parse("http://127.0.0.1:1"): "http://127.0.0.1:1"}
    store.create_registered_model("beside")
    store.create_model_version("beside", source="file:///nowhere/model", run_id=run.run_id)
    elsewhere[ModelAddress(name="beside", version="1")] = "beside/1"
    for address, said in elsewhere.items():
        with pytest.raises(
            TrackingError, match=f"{said} was logged by no run of this MLflow store.*models_from=anywhere"
        ):
            tracking.check_of_this_store([*here, address])


def test_a_registered_model_of_somebody_else_gets_no_version_of_ours(store, fitted):
    tracking.check_names_are_ours("x", NAMES)
    log(fitted)
    tracking.check_names_are_ours("x", NAMES)
    version(store, "x-hybrid", 1)
    tracking.check_names_are_ours("x", NAMES)
    with pytest.raises(TrackingError, match=r"has a model x-hybrid that recab did not register.*experiment=NAME"):
        tracking.check_names_are_ours("x", ("content", "hybrid"))


def test_what_is_not_there_is_named_with_the_way_out(store, fitted):
    run = log({"content": fitted["content"]})
    for reference, words in {
        "contend": r"holds no model contend. Did you mean content\?",
        "models:/x-content/99": "MLflow has no model models:/x-content/99: .*Run `make train`",
        "models:/x-content@nobody": "MLflow has no model models:/x-content@nobody",
        "models:/nothing/latest": "models:/nothing/latest: no version of it is registered",
        "models:/x-content/Production": "MLflow has no model models:/x-content/Production",
        "runs:/nothing/content": "MLflow has no model runs:/nothing/content",
        f"runs:/{run.run_id}/other": "MLflow has no model runs:/.*/other",
    }.items():
        with pytest.raises(TrackingError, match=words):
            tracking.load_model(reference, run.run_id)
    with pytest.raises(ParameterError, match="is no address of a model"):
        tracking.load_model("models:/x-content", run.run_id)


def test_a_registered_model_stands_alone(store, fitted, tmp_path):
    """It has a signature, an example and exact requirements, and loads where recab and its libraries are not."""
    log({"content": fitted["content"]})
    folder = mlflow.artifacts.download_artifacts("models:/x-content/1", dst_path=str(tmp_path / "copy"))
    described = (tmp_path / "copy" / "MLmodel").read_text()
    assert "signature" in described
    assert "saved_input_example_info" in described
    requirements = (tmp_path / "copy" / "requirements.txt").read_text()
    assert {line.partition("==")[0] for line in requirements.split()} == {
        "mlflow",
        "numpy",
        "pandas",
        "scipy",
        "threadpoolctl",
    }
    assert all(line.partition("==")[2] for line in requirements.split())
    code = (
        "import sys; sys.modules |= dict.fromkeys(('recab_helpers', 'sklearn', 'surprise'))\n"
        "import mlflow, pandas as pd\n"
        f"model = mlflow.pyfunc.load_model({folder!r})\n"
        "print(*model.predict(pd.DataFrame({'user_id': ['u000', 'nobody']}), params={'k': 3})['item_id'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == fitted["content"].recommend(["u000", "nobody"], 3)["item_id"].tolist()


def test_the_champion_moves_to_the_winner_and_from_the_other_models_of_the_test(store):
    old, new, other = version(store, "a", 1), version(store, "b", 1), version(store, "c", 1)
    tracking.set_champion(old, [old])
    tracking.set_champion(other, [other])
    tracking.set_champion(new, [old, new])
    assert champions(store, "a", "b", "c") == {"b": "1", "c": "1"}  # c was not in the test


def test_two_versions_of_one_model_hand_the_champion_over(store):
    one, two = version(store, "a", 1), version(store, "a", 2)
    tracking.set_champion(one, [one, two])
    tracking.set_champion(two, [one, two])
    assert champions(store, "a") == {"a": "2"}


@pytest.mark.parametrize("winner", [ModelAddress(name="content", run_id="abc"), ModelAddress(name="b", version="7")])
def test_a_winner_that_is_no_registered_version_leaves_every_champion(store, winner):
    """Before, the other models had lost the alias by the time the winner's was refused."""
    old = version(store, "a", 1)
    version(store, "b", 1)
    tracking.set_champion(old, [old])
    with pytest.raises(TrackingError):
        tracking.set_champion(winner, [old, winner])
    assert champions(store, "a", "b") == {"a": "1"}


@pytest.mark.parametrize("broken", ["set_registered_model_alias", "delete_registered_model_alias"])
def test_a_store_that_fails_half_way_leaves_every_champion(store, monkeypatch, broken):
    old, new = version(store, "a", 1), version(store, "b", 1)
    version(store, "b", 2)
    tracking.set_champion(old, [old])
    store.set_registered_model_alias("b", "champion", "2")
    works = getattr(mlflow.MlflowClient, broken)
    calls = []

    def fails_once(*given):
        calls.append(given)
        if len(calls) == 1:
            raise mlflow.MlflowException("the disk is full")
        return works(*given)

    monkeypatch.setattr(mlflow.MlflowClient, broken, fails_once)
    with pytest.raises(TrackingError, match=r"not moved to models:/b/1 \(the disk is full\). Every alias is as it was"):
        tracking.set_champion(new, [old, new])
    assert champions(store, "a", "b") == {"a": "1", "b": "2"}


def test_a_store_that_stays_broken_says_where_the_champion_was(store, monkeypatch):
    old, new = version(store, "a", 1), version(store, "b", 1)
    tracking.set_champion(old, [old])

    def fails(*_):
        raise mlflow.MlflowException("the disk is full")

    monkeypatch.setattr(mlflow.MlflowClient, "delete_registered_model_alias", fails)
    with pytest.raises(TrackingError, match=r"could not be put back either; it pointed to a at 1. Set it by hand"):
        tracking.set_champion(new, [old, new])


def test_only_versions_that_are_there_are_promotable(store):
    there = version(store, "a", 1)
    tracking.check_promotable([there, ModelAddress(name="a", version="latest")])
    with pytest.raises(TrackingError, match="MLflow has no model models:/a/2"):
        tracking.check_promotable([there, ModelAddress(name="a", version="2")])
