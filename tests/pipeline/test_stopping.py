"""A signal ends a run within seconds, whatever it was doing, and says so in one line."""

import signal
import subprocess
import sys
import time

import pytest

from recab_helpers.errors import Stopped
from recab_helpers.paths import ROOT
from recab_helpers.pipeline import stopping


def started(work: str, closing: str = "") -> subprocess.Popen:
    """A process of its own that does the work under `until_stopped`, whose run is closed so."""
    code = f"""
import sys, time
from recab_helpers.pipeline.stopping import until_stopped, say_stopped, SHELL
from recab_helpers.errors import Stopped
class Run:
    def close(self, status):
        print("closed", status, flush=True)
        {closing}
def work(stop):
    stop.run = Run(); print("ready", flush=True)
    {work}
try: until_stopped(work)
except Stopped as error: say_stopped(error.args[0]); sys.exit(SHELL + error.args[0])
"""
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=-1, stderr=-1, text=True)


@pytest.mark.parametrize("number", stopping.SIGNALS, ids=lambda n: n.name)
@pytest.mark.parametrize("work", ["[stop.check() or time.sleep(.01) for _ in range(10**6)]", "time.sleep(999)"])
def test_every_signal_ends_the_work_and_closes_the_run_in_seconds(number, work):
    """SIGTERM took 2 to 10 seconds and left the run RUNNING; the second work never ends by itself."""
    with started(work) as process:
        assert process.stdout.readline() == "ready\n"
        asked = time.monotonic()
        process.send_signal(number)
        said, error = process.communicate(timeout=30)
    assert time.monotonic() - asked < 3
    assert process.returncode == 128 + number
    assert said == "closed KILLED\n"
    assert error == ("recab: stopped.\n" if number == signal.SIGINT else f"recab: stopped by {number.name}.\n")


def test_a_run_that_cannot_be_closed_is_left_in_seconds():
    """MLflow asks a server that is gone again and again, in threads that an interpreter's end would wait for."""
    closing = "from concurrent.futures import ThreadPoolExecutor; ThreadPoolExecutor().submit(time.sleep, 30).result()"
    with started("[stop.check() or time.sleep(.01) for _ in range(10**6)]", closing) as process:
        assert process.stdout.readline() == "ready\n"
        asked = time.monotonic()
        process.terminate()
        _, error = process.communicate(timeout=60)
    assert time.monotonic() - asked < 3
    assert (process.returncode, error) == (128 + signal.SIGTERM, "recab: stopped by SIGTERM.\n")


def test_what_the_work_raises_comes_out_and_the_handlers_are_as_they_were():
    before = [signal.getsignal(number) for number in stopping.SIGNALS]
    with pytest.raises(ZeroDivisionError):
        stopping.until_stopped(lambda stop: 1 / 0)
    assert [signal.getsignal(number) for number in stopping.SIGNALS] == before


def test_work_that_is_done_is_not_ended():
    seen = []
    stopping.until_stopped(seen.append)
    seen[0].check()
    seen[0].ask(signal.SIGINT)
    with pytest.raises(Stopped):
        seen[0].check()
