"""What takes long to make and is only looked at: made by one worker of xdist, and read from a file by the others."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    import pytest

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_shared: Path | None = None


def share_between_workers(config: pytest.Config) -> None:
    """Keep what is made in the temporary directory of this run. Alone, a process keeps it in its memory."""
    global _shared
    if hasattr(config, "workerinput"):
        _shared = Path(config.option.basetemp).parent


def once_per_run(make: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Call the function once for the same arguments. It and its result must be known to pickle."""

    @functools.cache
    def kept(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        if _shared is None:
            return make(*arguments, **named)
        key = repr((make.__module__, make.__qualname__, arguments, sorted(named.items())))
        path = _shared / f"once-{hashlib.sha256(key.encode()).hexdigest()}"
        with open(path, "ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            if content := file.read():
                made: Result = pickle.loads(content)
                return made
            made = make(*arguments, **named)
            file.write(pickle.dumps(made))
            return made

    return kept  # type: ignore[return-value]


def file_once_per_run(
    write: Callable[Concatenate[Path, Arguments], None],
) -> Callable[Concatenate[Path, Arguments], None]:
    """Write the file once for the same arguments and the same ending of its name, and copy it to other paths."""

    @once_per_run
    @functools.wraps(write)
    def content(ending: str, *arguments: Arguments.args, **named: Arguments.kwargs) -> bytes:
        with TemporaryDirectory() as directory:
            path = Path(directory, f"file{ending}")
            write(path, *arguments, **named)
            return path.read_bytes()

    def copy(path: Path, /, *arguments: Arguments.args, **named: Arguments.kwargs) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(path.suffix, *arguments, **named))

    return copy
