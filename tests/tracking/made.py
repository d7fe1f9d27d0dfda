"""What the registry of a test holds: models of a run, and versions without a model."""

from recab_helpers import tracking
from recab_helpers.references import ModelAddress

NAMES = ("content", "popularity")


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
