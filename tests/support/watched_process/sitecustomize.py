"""Makes a Python process watch its own event loop; see `tests/support/loop_watch.py`."""

import importlib.util
import os
from pathlib import Path

_path = Path(__file__).resolve().parent.parent / "loop_watch.py"
_spec = importlib.util.spec_from_file_location("loop_watch", _path)
assert _spec is not None and _spec.loader is not None
loop_watch = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(loop_watch)

_report = os.environ.get(loop_watch.REPORT_VARIABLE)
if _report is not None:
    _descriptor = os.open(_report, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    loop_watch.watch(lambda line: os.write(_descriptor, (line + "\n").encode(errors="replace")) and None)
