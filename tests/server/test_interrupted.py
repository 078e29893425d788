"""A run of these tests that is interrupted leaves nothing behind."""

from __future__ import annotations

import asyncio
import sys

from tests.server.served_machine import ServedMachine
from tests.support.checkout import ROOT

_START = """
import asyncio, sys
from pathlib import Path
from tests.server.served_machine import ServedMachine

async def main():
    machine = ServedMachine(Path(sys.argv[1]), Path(sys.argv[2]))
    machine.add_recorder()
    machine.add_data_manager()
    machine.add_painted_camera()
    await machine.start()
    await machine.until_recording()
    print("recording", flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


async def test_viam_server_and_its_modules_end_when_the_process_of_the_tests_is_killed(served: ServedMachine) -> None:
    (served.directory / "home").rmdir()
    command = (sys.executable, "-c", _START, str(served.server), str(served.directory))
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None and await process.stdout.readline() == b"recording\n"
        assert served.processes(str(served.server)) and served.processes("-m videostore")
    finally:
        process.kill()
        await process.wait()
    await served.until(lambda: not served.processes())
