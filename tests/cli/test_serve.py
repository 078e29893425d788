from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from tests.support.program import TIMEOUT_S, Program, wait_until


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
        client.connect(str(path))
        return True
    return False


def test_serve_runs_the_module_on_a_socket_of_any_name(program: Program) -> None:
    path = program.home / "module"
    process = program.start("serve", path, "--log-level", "debug")
    try:
        wait_until(lambda: _accepts(path))
        process.terminate()
        process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
    assert process.returncode == 0
