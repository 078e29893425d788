from __future__ import annotations

from tests.support.program import TIMEOUT_S, Program, connect


def test_serve_runs_the_module_on_a_socket_of_any_name(program: Program) -> None:
    path = program.home / "module"
    with program.start("serve", path, "--log-level", "debug") as process:
        connect(path)
        process.terminate()
        process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
