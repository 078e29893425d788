"""The watch over the event loop notices what it is there for, in this process and in others."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.fakes.module_process import ROOT
from tests.support.loop_watch import PROCESS_DIRECTORY, REPORT_VARIABLE, watching
from tests.support.program import TIMEOUT_S
from tests.support.warm_program import end_of_warm, start_warm

CODE = """
import asyncio, os, shutil, time
from pathlib import Path

def blocking(path):
    {call}

async def on_loop(path):
    blocking(path)

async def in_thread(path):
    await asyncio.get_running_loop().run_in_executor(None, blocking, path)

async def callback(path):
    asyncio.get_running_loop().call_soon(blocking, path)
    await asyncio.sleep(0.01)
"""


def product(call: str) -> dict[str, Any]:
    """Functions that look as if they were in a file of `videostore`."""
    names: dict[str, Any] = {}
    exec(compile(CODE.format(call=call), str(ROOT / "videostore" / "made_up.py"), "exec"), names)
    return names


async def found_by(work: Callable[[Path], Any], path: Path) -> list[str]:
    found: list[str] = []
    with watching(found.append):
        await work(path)
    return found


@pytest.mark.parametrize(
    ("call", "event"),
    [
        ("open(path)", "open"),
        ("path.exists()", "os.stat"),
        ("path.stat()", "os.stat"),
        ("path.read_bytes()", "open"),
        ("os.path.exists(path)", "os.stat"),
        ("os.path.realpath(path)", "os.lstat"),
        ("shutil.disk_usage(path)", "os.statvfs"),
        ("list(path.parent.iterdir())", "os."),
        ("path.with_suffix('.gone').unlink(missing_ok=True)", "os.remove"),
        ("path.rename(path)", "os.rename"),
        ("path.parent.mkdir(exist_ok=True)", "os.mkdir"),
        ("time.sleep(0)", "time.sleep"),
    ],
)
async def test_a_call_that_may_wait_for_a_disk_is_found_on_the_loop_and_not_in_a_thread(
    tmp_path: Path, call: str, event: str
) -> None:
    path = tmp_path / "file"
    path.touch()
    functions = product(call)
    assert await found_by(functions["in_thread"], path) == []
    for name in ("on_loop", "callback"):
        found = await found_by(functions[name], path)
        assert any(line.startswith(event) and "made_up.py" in line for line in found), (name, found)


async def test_what_tests_do_on_their_loop_does_not_count(tmp_path: Path) -> None:
    async def read(path: Path) -> None:
        path.read_bytes()
        product("path.read_bytes()")["blocking"](path)

    path = tmp_path / "file"
    path.touch()
    assert await found_by(read, path) == []


async def test_another_process_is_watched_too(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    source = CODE.format(call="path.stat()")
    program.write_text(
        f"names = {{}}\nexec(compile({source!r}, {str(ROOT / 'videostore' / 'made_up.py')!r}, 'exec'), names)\n"
        "import asyncio, pathlib\nasyncio.run(names['on_loop'](pathlib.Path('/')))\n"
    )
    report = tmp_path / "report"
    variables = {**os.environ, "PYTHONPATH": str(PROCESS_DIRECTORY), REPORT_VARIABLE: str(report)}
    await asyncio.to_thread(subprocess.check_call, [sys.executable, str(program)], env=variables)
    assert report.read_text().startswith("os.stat in made_up.py")


@pytest.mark.parametrize("kind", ["command", "module"])
def test_a_process_that_is_forked_from_a_warm_one_watches_its_loop(tmp_path: Path, kind: str) -> None:
    report = tmp_path / "report"
    variables = {**os.environ, REPORT_VARIABLE: str(report)}
    streams = os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_WRONLY), os.open(os.devnull, os.O_WRONLY)
    arguments = ["--version"] if kind == "command" else [str(tmp_path / "absent" / "socket")]
    with start_warm(arguments, streams, cwd=tmp_path, env=variables, kind=kind) as keeper:
        end_of_warm(keeper, arguments, TIMEOUT_S)
    assert report.exists()  # it opens it when it begins to watch
