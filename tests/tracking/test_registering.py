"""A registered model is whole, or failed."""

import subprocess
import sys

import mlflow
import pytest

from recab_helpers import tracking
from tests.tracking.made import log


def test_a_model_that_cannot_be_saved_is_failed_and_not_pending(store, fitted, monkeypatch):
    monkeypatch.setattr(type(fitted["content"]), "save", lambda *_: 1 / 0)
    run = tracking.start_run("x", "train")
    with pytest.raises(ZeroDivisionError):
        tracking.log_model(run, fitted["content"], "x")
    (left,) = store.search_logged_models([run.experiment_id])
    assert left.status == "FAILED"


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
