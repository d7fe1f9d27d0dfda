"""Whether this machine can hold a run: asked before any kernel starts, from the parameters alone."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from recab_helpers import paths
from recab_helpers.assumptions import MEAN_SESSIONS
from recab_helpers.errors import PipelineError

BYTES_PER_IMPRESSION = 20  # of the log on disk
FREE_BYTES = 200_000_000  # of disk, for models and pages
KERNEL_BYTES = 400_000_000  # a kernel with its libraries
BYTES_PER_INTERACTION = 150  # 6.2 GB were seen for a million users with 40 each
BYTES_PER_ITEM = 12_500  # 2.9 GB were seen for 200,000 items
CGROUPS = Path("/sys/fs/cgroup")
UNLIMITED = 1 << 60  # how the first version of cgroups spells no limit, and more than any machine has


def check_machine(params: dict[str, Any]) -> None:
    """Refuse a reports folder that cannot be written, a disk that is too full, and a run that memory cannot hold.

    Raises:
        PipelineError: with what the run needs, what there is, and the parameter to lower.
    """
    _check_reports()
    need, lower = memory_needed(params)
    if (free := free_memory()) < need:
        raise PipelineError(
            f"This run needs about {need / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free. "
            f"{lower or 'Close other programs, or give it more'}."
        )
    needed = FREE_BYTES + disk_needed(params)
    if (left := shutil.disk_usage(paths.ROOT).free) < needed:
        raise PipelineError(
            f"The disk of {paths.ROOT} has {left / 1e6:,.0f} MB free; this run needs about {needed / 1e6:,.0f} MB. "
            "Free some space or lower n_users."
        )


def memory_needed(params: dict[str, Any]) -> tuple[int, str]:
    """Bytes at the peak of a run, and the advice that lowers them; recorded data are as large as they are."""
    train = params.get("train")
    if train is None or train.dataset != "synthetic":
        return KERNEL_BYTES, ""
    interactions = int(train.n_users * min(train.mean_history, train.n_items) * BYTES_PER_INTERACTION)
    items = train.n_items * BYTES_PER_ITEM + _inverted(train)
    if interactions < items:
        return KERNEL_BYTES + interactions + items, f"Lower n_items, which is {train.n_items:,}"
    lower = f"Lower n_users, which is {train.n_users:,}, or mean_history, which is {train.mean_history:g}"
    return KERNEL_BYTES + interactions + items, lower


def _inverted(train: Any) -> int:
    """Bytes of the matrix of users or items, whichever are fewer, that EASE inverts; it steps aside above a limit."""
    if "ease" not in {*train.variants, *(train.hybrid_of if "hybrid" in train.variants else [])}:
        return 0
    from recab_helpers.recommenders.ease import MAX_SIDE

    side = min(train.n_users, train.n_items)
    return 8 * side**2 if side <= MAX_SIDE else 0


def disk_needed(params: dict[str, Any]) -> int:
    """Bytes of the log that a simulated test leaves."""
    if "simulate" not in params or "train" not in params:
        return 0
    impressions = params["train"].n_users * MEAN_SESSIONS * params["simulate"].slate_size
    return int(impressions * BYTES_PER_IMPRESSION)


def free_memory(cgroups: Path = CGROUPS) -> int:
    """Bytes that a new process can take: of the machine, and of the control groups (containers) that hold this one."""
    return min([psutil.virtual_memory().available, *_left_in_groups(cgroups)])


def _left_in_groups(root: Path, own: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """What each limit leaves, in either version of cgroups; pages of files can be given back, so they count as free."""
    lines = own.read_text().splitlines() if own.exists() else []
    inside = {line.split(":")[1]: line.split(":", 2)[2].strip("/") for line in lines}
    for version in (
        (root, "", "memory.max", "memory.current", "inactive_file"),
        (root / "memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        base, controller, limit, used, cached = version
        path = Path(inside.get(controller, ""))
        for folder in {base, base / path, *(base / parent for parent in path.parents)}:
            if (most := _number(folder / limit)) is not None and most < UNLIMITED:
                stat = folder / "memory.stat"
                values = dict(line.split() for line in stat.read_text().splitlines()) if stat.exists() else {}
                yield most - (_number(folder / used) or 0) + int(values.get(cached, 0))


def _number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _check_reports() -> None:
    try:
        paths.REPORTS.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=paths.REPORTS):
            pass
    except OSError as error:
        raise PipelineError(
            f"The folder {paths.REPORTS} cannot be written ({error.strerror}). Make it writable."
        ) from error
