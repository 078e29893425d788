from __future__ import annotations

import socket

from tests.support.program import TIMEOUT_S, Program, wait_for


def test_serve_runs_the_module_on_a_socket_of_any_name(program: Program) -> None:
    path = program.home / "module"
    with program.start("serve", path, "--log-level", "debug") as process:
        wait_for(path)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        process.terminate()
        process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
