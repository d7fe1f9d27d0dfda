"""One lock serves both doors, and conda's door is tested by doing what conda does."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from recab_helpers.paths import ROOT

ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())


def test_the_lock_pins_every_dependency_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line for line in lock if line and not line.startswith(("#", " "))]
    pinned = {line.split("==")[0] for line in pins}
    assert {re.split(r"[<>=\[]", name)[0] for name in wanted} <= pinned
    assert all("==" in line for line in pins)


def test_every_pin_has_its_hashes_and_the_makefile_demands_them():
    """A package that was changed on its way is not installed."""
    lock = (ROOT / "requirements.lock").read_text().replace("\\\n", "").splitlines()
    assert all("--hash=sha256:" in line for line in lock if "==" in line)
    assert "--require-hashes -r requirements.lock" in (ROOT / "Makefile").read_text()


def test_conda_takes_python_and_pip_only():
    *conda, pip = ENVIRONMENT["dependencies"]
    assert [c.split("=")[0] for c in conda] == ["python", "pip"]
    assert pip["pip"] == ["-r requirements.lock"]


@pytest.mark.slow
def test_the_conda_environment_installs_and_imports(tmp_path):
    """conda writes the pip list to a file beside environment.yml and installs it with the named Python."""
    version = next(
        c.split("=")[1] for c in ENVIRONMENT["dependencies"] if isinstance(c, str) and c.startswith("python=")
    )
    copy = tmp_path / "a clone"
    skipped = shutil.ignore_patterns(".venv", ".git", "mlartifacts", "mlflow.db*", "reports", "*.egg-info")
    shutil.copytree(ROOT, copy, ignore=skipped)
    (copy / "pip.txt").write_text("\n".join(ENVIRONMENT["dependencies"][-1]["pip"]))
    uv = [sys.executable, "-m", "uv"]
    made = subprocess.run(
        [*uv, "venv", "--quiet", "--python", version, str(tmp_path / "env")], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"needs Python {version}, which environment.yml names")
    python = Path(tmp_path / "env" / "bin" / "python")
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, "-r", "pip.txt"], cwd=copy, check=True)
    code = "import recab_helpers; print(recab_helpers.tracking.__name__, recab_helpers.__file__)"
    done = subprocess.run([python, "-c", code], cwd=copy, capture_output=True, text=True, check=True)
    assert str(copy) in done.stdout


@pytest.mark.parametrize(
    ("said", "code", "ends"),
    [
        ("No known vulnerabilities found", 0, 0),
        ("Found 2 known vulnerabilities in 1 package", 1, 2),
        ("ERROR: aiohttp: Dependency not found on PyPI and could not be audited", 1, 2),
        ("error: Failed to fetch: https://pypi.org/simple/pip-audit/", 2, 2),
    ],
)
def test_an_audit_that_could_not_ask_says_so_and_never_passes(said, code, ends, tmp_path):
    """Without --strict, pip-audit said "No known vulnerabilities found" of packages that it had all skipped."""
    if not shutil.which("make"):
        pytest.skip("needs make")
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho '{said}'\nexit {code}\n")
    program.chmod(0o755)
    command = ["make", "-C", str(ROOT), "-o", "setup", f"PY={program}", "audit"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(command, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == ends
    assert said in done.stdout
    assert ("make audit could not ask" in done.stderr) == (code > 0 and "Found" not in said)
    assert "--strict" in (ROOT / "Makefile").read_text()
