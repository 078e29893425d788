from __future__ import annotations

import pytest

from tests.support.program import TIMEOUT_S, Program, connect


def test_serve_runs_the_module_on_a_socket_of_any_name(program: Program) -> None:
    path = program.home / "module"
    with program.start("serve", path, "--log-level", "debug") as process:
        connect(path)
        process.terminate()
        process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere/module.sock"], "SOCKET is 'nowhere/module.sock'. It must be the path of a socket"),
        (["visit.mkv"], "SOCKET is 'visit.mkv'. It must be the path of a socket"),
        (["localhost", "--tcp-mode"], "SOCKET is 'localhost'. It must be HOST:PORT"),
        (["localhost:0", "--tcp-mode"], "SOCKET is 'localhost:0'. It must be HOST:PORT"),
        (["localhost:99999", "--tcp-mode"], "SOCKET is 'localhost:99999'. It must be HOST:PORT"),
        (["module.sock", "--log-level", "chatty"], "--log-level is 'chatty'. It must be one of debug, info"),
    ],
)
def test_what_cannot_be_served_is_refused_with_a_sentence(program: Program, arguments: list[str], words: str) -> None:
    (program.here / "visit.mkv").write_bytes(b"video")
    done = program("serve", *arguments)
    assert done.code == 2 and done.sentence.startswith(words)
    assert [path.name for path in program.here.iterdir()] == ["visit.mkv"]
