"""Whose code a run is about to load is said before it is loaded."""

import pytest

from recab_helpers import tracking
from recab_helpers.errors import ParameterError, TrackingError
from recab_helpers.parameters import AnalyzeParams, ServeParams, SimulateParams, TrainParams
from recab_helpers.pipeline.foreign import say_whose_code


@pytest.fixture
def ann(store) -> str:
    """The run of a training that Ann made."""
    run = tracking.start_run("recab", "train")
    store.set_tag(run.run_id, "mlflow.user", "ann")
    run.complete()
    return run.run_id


def test_the_training_of_somebody_else_is_named_before_its_models_are_loaded_or_served(ann, capsys):
    said = f"recab: The training {ann} was registered by ann; loading it runs its code as you (SECURITY.md).\n"
    for params in ({"simulate": SimulateParams()}, {"serve": ServeParams()}):
        say_whose_code(params)
        assert capsys.readouterr().out == said
    say_whose_code({"train": TrainParams(), "simulate": SimulateParams()})
    assert capsys.readouterr().out == ""


def test_a_training_of_ours_and_what_loads_no_model_go_without_a_line(store, capsys):
    tracking.start_run("recab", "train").complete()
    say_whose_code({"simulate": SimulateParams()})
    say_whose_code({"analyze": object()})
    assert capsys.readouterr().out == ""


def test_an_address_is_named_and_refused_where_it_is_of_elsewhere(store, ann, capsys):
    run = tracking.start_run("recab", "other")
    store.create_registered_model("own")
    store.create_model_version("own", source="file:///nowhere/own", run_id=run.run_id)
    variants = ["models:/own/1", "models:/own/latest"]
    say_whose_code({"simulate": SimulateParams(variants=variants)})
    assert capsys.readouterr().out.count(f"was registered by {tracking.this_user()}; loading it runs its code") == 2
    with pytest.raises(TrackingError, match="models:/own/1 was logged by no run of this MLflow store"):
        say_whose_code({"simulate": SimulateParams(variants=variants, models_from="store")})
    with pytest.raises(ParameterError, match=r"http://h:1, which is served and in no store.*models_from=anywhere"):
        SimulateParams(variants=["content", "http://h:1"], models_from="store")


def test_a_target_that_there_is_not_is_refused_before_its_log_is_read(store):
    def params(target: str) -> dict:
        return {"analyze": AnalyzeParams(log_file=__file__, design="off_policy", target=target)}

    with pytest.raises(TrackingError, match="models:/nope/3"):
        say_whose_code(params("models:/nope/3"))
    with pytest.raises(ParameterError, match="'nope' is no address of a model"):
        say_whose_code(params("nope"))
