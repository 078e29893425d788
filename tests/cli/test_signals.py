from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.support.program import Program


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_the_imports_ends_the_program_like_any_other(program: Program, number: signal.Signals) -> None:
    # Those that are ignored where the tests run, as under `nohup`, would be ignored by the program too.
    script = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
import videostore.cli
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "videostore.cli.runtime":
            os.kill(os.getpid(), int(sys.argv[1]))
sys.meta_path.insert(0, Finder())
videostore.cli.main(["state"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(int(number))], env=program.environment(), capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_a_signal_that_is_ignored_as_under_nohup_stays_ignored(program: Program) -> None:
    script = """
import os, signal
from videostore.cli.signals import exit_on_signals, install_signal_handlers, is_ignored
signal.signal(signal.SIGHUP, signal.SIG_IGN)
install_signal_handlers()
exit_on_signals(3)
os.kill(os.getpid(), signal.SIGHUP)
assert is_ignored(signal.SIGHUP) and not is_ignored(signal.SIGTERM)
print("still here", flush=True)
os.kill(os.getpid(), signal.SIGTERM)
"""
    done = subprocess.run([sys.executable, "-c", script], env=program.environment(), capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"still here\n", b"")
