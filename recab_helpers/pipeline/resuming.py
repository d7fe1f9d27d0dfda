"""A report that died continues where it was: its complete stages are reused, where all that they build on is equal."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recab_helpers import paths

PACKAGE = Path(__file__).resolve().parents[1]
DIED = ("FAILED", "KILLED")


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a stage builds on, as a hash by stage, and the runs that hold a complete stage of that hash."""

    inputs: dict[str, str] = field(default_factory=dict)
    complete: dict[str, str] = field(default_factory=dict)


def known_stages(run: Any, params: dict[str, Any], before: Any) -> Known:
    """The stages of this run that the report `before` it, None if there is none, completed before it died.

    Only the stages up to the first that is not complete, or whose parameters, code, data or models are others; never
    the last, whose notebook becomes the page.
    """
    inputs, complete = inputs_of(params), {}
    for stage in list(params)[:-1]:
        holder = _holder(before, stage, inputs.get(stage))
        if not holder:
            break
        complete[stage] = holder
    run.tag(
        **{f"{stage}.known": known for stage, known in inputs.items()},
        **{f"{stage}.from": holder for stage, holder in complete.items()},
    )
    return Known(inputs=inputs, complete=complete)


def _holder(before: Any, stage: str, inputs: str | None) -> str:
    """The run that holds the complete stage of these inputs, if the report before died with it; else empty."""
    if before is None or before.info.status not in DIED or inputs is None:
        return ""
    tags = before.data.tags
    if tags.get(f"recab.{stage}.known") != inputs:
        return ""
    return tags.get(f"recab.{stage}.from") or (before.info.run_id if tags.get(f"recab.{stage}") == "complete" else "")


def inputs_of(params: dict[str, Any]) -> dict[str, str]:
    """A hash by stage of its parameters, the code, the data's content and the models' versions, and those before it.

    A stage that reads what nobody can know beforehand, such as a model behind HTTP, has none, and none after it.
    """
    known: list[Any] = [_hash_of(sorted(PACKAGE.rglob("*.py"))), _hash_of([paths.ROOT / "requirements.lock"])]
    found = {}
    for stage, checked in params.items():
        models = _versions(getattr(checked, "variants", []))
        if models is None:
            break
        data = [_content(getattr(checked, name, "")) for name in ("dataset", "catalog_file")]
        notebook = _hash_of(sorted(paths.NOTEBOOKS.glob(f"*_{stage}.ipynb")))
        known += [stage, checked.as_dict(), notebook, data, models]
        found[stage] = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]
    return found


def _versions(variants: Iterable[str]) -> list[str] | None:
    """What the variants mean now; None where one is not kept in MLflow."""
    from recab_helpers import tracking
    from recab_helpers.references import ModelAddress

    found = []
    for name in variants:
        if name.startswith(("models:/", "runs:/")):
            found.append(str(tracking.resolve(ModelAddress.parse(name))))
        elif ":/" in name:
            return None
        else:
            found.append(name)
    return found


def _content(dataset: str) -> str:
    """The content of a data folder or file; a data set of ours is known by its name."""
    path = Path(dataset).expanduser() if dataset else None
    if path is None or not path.exists():
        return ""
    return _hash_of(sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path])


def _hash_of(files: Iterable[Path]) -> str:
    """One hash of the files' names and contents."""
    total = hashlib.sha256()
    for file in files:
        total.update(file.name.encode())
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()[:16]
