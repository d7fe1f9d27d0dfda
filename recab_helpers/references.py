"""Names that travel as things, not as text: variants, and which of them is held against which."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from recab_helpers.errors import ParameterError

CONTROL = "control"
POSITION_IN = "position_in_"  # begins a column of a log: where the shown item stands in the slate of that variant


@dataclass(frozen=True, order=True)
class Comparison:
    """One variant held against another.

    >>> str(Comparison("treatment"))
    'treatment vs control'
    """

    variant: str
    against: str = CONTROL

    def __str__(self) -> str:
        return f"{self.variant} vs {self.against}"


def in_order(variants: Iterable[object]) -> tuple[str, ...]:
    """Names of the variants, each once, control first and the others by name.

    >>> in_order(["new", "control", "best", "new"])
    ('control', 'best', 'new')
    """
    names = sorted(set(map(str, variants)))
    return tuple([n for n in names if n == CONTROL] + [n for n in names if n != CONTROL])


@dataclass(frozen=True)
class ModelAddress:
    """Where a model is: `models:/name/3`, `models:/name@alias`, `runs:/run_id/name` or `models:/m-<id>`, as MLflow 3
    logs it, in MLflow, or `http://host:port`.

    Only an address with a version always means the same model and can become champion.
    """

    name: str
    version: str = ""
    alias: str = ""
    run_id: str = ""
    url: str = ""
    model_id: str = ""

    @classmethod
    def parse(cls, text: str) -> "ModelAddress":
        """The address that the text writes; `str()` gives the text back, a URL without what the server adds to it.

        Raises:
            ParameterError: the text is no address of a model, or a URL with a password, which every log would show.

        >>> ModelAddress.parse("models:/recab-synthetic-content@champion").alias
        'champion'
        >>> ModelAddress.parse("models:/recab-synthetic-content/3").is_version
        True
        >>> print(ModelAddress.parse("http://127.0.0.1:5001/invocations"))
        http://127.0.0.1:5001
        """
        scheme, _, rest = text.partition(":/")
        if scheme in ("http", "https"):
            return cls._of_url(text)
        if scheme == "runs" and (run_id := rest.partition("/")[0]) and (name := rest.partition("/")[2]):
            return cls(name=name, run_id=run_id)
        if scheme == "models":
            if re.fullmatch(r"m-[0-9a-f]{32}", rest):
                return cls(name=rest, model_id=rest)
            name, _, alias = rest.partition("@")
            if name and alias and "/" not in name:
                return cls(name=name, alias=alias)
            name, _, version = rest.partition("/")
            if name and version and "/" not in version:
                return cls(name=name, version=version)
        raise ParameterError(
            f"{text!r} is no address of a model; write models:/name/3, models:/name@alias, runs:/run_id/name or "
            "http://127.0.0.1:PORT. A folder has none: mlflow.register_model(FOLDER, NAME) gives it one."
        )

    @classmethod
    def _of_url(cls, text: str) -> "ModelAddress":
        if "@" in text:
            raise ParameterError(
                f"The address of the model at {text.rpartition('@')[2]!r} holds a user or password, which every log "
                "would show. Leave it out, and let the model be reached without one."
            )
        try:
            parts = urlsplit(text)
            right = bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment)
        except ValueError:  # a port that is none, or a bracket that is not closed
            right = False
        if not right or any(c.isspace() for c in text):
            raise ParameterError(f"{text!r} is no address of a served model; write http://127.0.0.1:5001.")
        place = parts.netloc.lower() + parts.path.removesuffix("/").removesuffix("/invocations").rstrip("/")
        return cls(name=place, url=f"{parts.scheme}://{place}")

    def __str__(self) -> str:
        if self.url:
            return self.url
        if self.run_id:
            return f"runs:/{self.run_id}/{self.name}"
        if self.model_id:
            return f"models:/{self.model_id}"
        return f"models:/{self.name}@{self.alias}" if self.alias else f"models:/{self.name}/{self.version}"

    @property
    def is_version(self) -> bool:
        """Whether the address names one version in the registry."""
        return self.version.isdigit()
