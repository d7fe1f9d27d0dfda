"""What cannot fit is refused before a kernel starts, with the number and the parameter to lower."""

import shutil

import psutil
import pytest

from recab_helpers import paths
from recab_helpers.errors import PipelineError
from recab_helpers.parameters import STAGES, TrainParams
from recab_helpers.pipeline import machine
from recab_helpers.pipeline.machine import check_machine, free_memory

REPORT = {stage: STAGES[stage]() for stage in ("train", "simulate", "analyze")}


@pytest.fixture(autouse=True)
def own_reports(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "REPORTS", tmp_path / "reports")


def with_free(monkeypatch, gigabytes: float) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda: int(gigabytes * 1e9))


@pytest.mark.parametrize(
    ("values", "free", "words"),
    [
        ({"n_users": 5_000_000}, 24, "needs about 30.* GB of memory and 24.0 GB are free. Lower n_users, which is 5"),
        (
            {"n_users": 8000, "mean_history": 10_000, "n_items": 20_000},
            8,
            "needs about 12.* GB .*or mean_history, which is 10000",
        ),
        ({"n_items": 200_000}, 2, "needs about 2.9 GB .*Lower n_items, which is 200,000"),
        (
            {"n_users": 20_000, "n_items": 20_000, "variants": ["content", "ease"]},
            3,
            "needs about 4.0 GB .*Lower n_items",
        ),
        ({}, 0.3, "needs about 0.5 GB"),
    ],
)
def test_a_run_that_memory_cannot_hold_is_refused_with_what_to_lower(values, free, words, monkeypatch):
    with_free(monkeypatch, free)
    with pytest.raises(PipelineError, match=words):
        check_machine(REPORT | {"train": TrainParams(**values)})


def test_the_defaults_fit_two_gigabytes(monkeypatch):
    with_free(monkeypatch, 2)
    check_machine(REPORT)


def test_the_limit_of_a_container_counts_and_not_its_cache_of_files(tmp_path):
    (tmp_path / "memory.max").write_text("2000000000\n")
    (tmp_path / "memory.current").write_text("1500000000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 500000000\n")
    assert free_memory(tmp_path) == min(1_000_000_000, psutil.virtual_memory().available)
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(tmp_path) > 1_000_000_000


def test_the_first_version_of_control_groups_counts_too(tmp_path):
    (tmp_path / "memory" / "a" / "b").mkdir(parents=True)
    (tmp_path / "own").write_text("9:name=systemd:/\n4:memory:/a/b\n0::/\n")
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712")
    (tmp_path / "memory" / "a" / "memory.limit_in_bytes").write_text("3000000000")
    (tmp_path / "memory" / "a" / "memory.usage_in_bytes").write_text("1000000000")
    assert list(machine._left_in_groups(tmp_path, tmp_path / "own")) == [2_000_000_000]


def test_a_full_disk_is_refused(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1_000_000))
    with pytest.raises(PipelineError, match="1 MB free; this run needs about"):
        check_machine(REPORT)
