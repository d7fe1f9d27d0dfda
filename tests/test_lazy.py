"""Names are checked before any library is loaded."""

import subprocess
import sys

import pytest

from recab_helpers import data, recommenders

HEAVY = {"mlflow", "numpy", "pandas", "pooch", "scipy", "sklearn", "surprise"}


@pytest.mark.parametrize(
    "check", ["data.find_source('synthetic')", "recommenders.check_names(['content', 'models:/x/3'])"]
)
def test_checking_a_name_loads_no_library(check):
    code = f"import sys; from recab_helpers import data, recommenders; {check}; print({HEAVY} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize("package", [data, recommenders], ids=lambda p: p.__name__)
def test_every_listed_name_is_there_and_another_is_refused(package):
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="has no part named nothing; it has"):
        package.nothing  # noqa: B018
