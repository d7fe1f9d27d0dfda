"""A model is loaded and asked in one way, and whatever its code ends with is one sentence."""

import shutil
from types import SimpleNamespace

import mlflow
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from mlflow.utils.file_utils import local_file_uri_to_path

from recab_helpers import tracking
from recab_helpers.errors import DataError, TrackingError
from recab_helpers.processes import temporary_place
from recab_helpers.references import ModelAddress
from tests.tracking.made import log


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


@pytest.mark.parametrize(
    ("error", "said"),
    [(KeyError("7"), "KeyError: '7'"), (ValueError(""), "ValueError"), (SystemExit(3), "SystemExit: 3")],
)
def test_a_model_in_memory_that_fails_is_one_sentence(error, said):
    def recommend(*_):
        raise error

    with pytest.raises(
        DataError, match=rf"failed when asked for 5 items for 2 users, such as 'a': {said}\. Correct it"
    ):
        tracking.as_served(SimpleNamespace(recommend=recommend)).recommend(["a", "b"], 5)


class Nothing(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return []


def signature(*columns: ColSpec) -> ModelSignature:
    return ModelSignature(Schema(list(columns)), params=ParamSchema([ParamSpec("k", "long", 10)]))


def test_a_signature_that_refuses_user_id_as_text_is_named_with_the_reason(tmp_path):
    for i, (given, said) in enumerate(
        (
            (
                signature(ColSpec("long", "user_id")),
                r"wants \['user_id': long \(required\)\], but .*Incompatible",
            ),
            (signature(ColSpec("string", "userId")), r"wants \['userId': string \(required\)\], but .*missing"),
        )
    ):
        mlflow.pyfunc.save_model(
            tmp_path / str(i), python_model=Nothing(), signature=given, pip_requirements=["pandas"]
        )
        model = tracking.as_served(mlflow.pyfunc.load_model(str(tmp_path / str(i))))
        with pytest.raises(DataError, match=f"its signature {said}"):
            model.recommend(["a"], 5)


def test_a_model_whose_code_needs_what_is_not_here_is_there_but_cannot_be_loaded(store, tmp_path):
    code = tmp_path / "model.py"
    code.write_text(
        "import mlflow\nclass M(mlflow.pyfunc.PythonModel):\n    def predict(self, context, model_input): ...\n"
        "mlflow.models.set_model(M())\n"
    )
    mlflow.pyfunc.save_model(tmp_path / "own", python_model=str(code), pip_requirements=["pandas"])
    (tmp_path / "own" / "model.py").write_text("import a_library_that_is_not_here\n")
    store.create_registered_model("own")
    store.create_model_version("own", source=(tmp_path / "own").as_uri())
    with pytest.raises(
        TrackingError, match=r"models:/own/1 cannot be loaded here: .*a_library_that_is_not_here.*serve"
    ):
        tracking.load_model("models:/own/1")
