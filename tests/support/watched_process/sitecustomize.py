"""Makes a Python process watch its own event loop; see `tests/support/loop_watch.py`."""

import importlib.util
from pathlib import Path

_path = Path(__file__).resolve().parent.parent / "loop_watch.py"
_spec = importlib.util.spec_from_file_location("loop_watch", _path)
assert _spec is not None and _spec.loader is not None
loop_watch = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(loop_watch)
loop_watch.watch_if_asked()
