from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tests.support.program import TIMEOUT_S, Program, connect
from videostore.cli.invocation import file_hint, is_module_invocation, looks_like_path


@pytest.mark.parametrize(
    ("arguments", "module"),
    [
        # What viam-server passes.
        ("/tmp/viam-module-12345/video-store-aBcDe.sock", True),
        ("/tmp/parent.sock --log-level=debug", True),
        ("/tmp/parent.sock --log-level debug", True),
        ("127.0.0.1:9000 --log-level=info --tcp-mode", True),
        ("127.0.0.1:9000 --tcp-mode", True),
        # The same in another order.
        ("--log-level=debug /tmp/parent.sock", True),
        ("--log-level debug /tmp/parent.sock", True),
        ("--tcp-mode 127.0.0.1:9000", True),
        # Relative paths.
        ("parent.sock", False),
        ("./parent.sock", False),
        ("../parent.sock --log-level=debug", False),
        ("foo.mp4", False),
        (".", False),
        # Absolute paths that are not sockets.
        ("/nowhere/foo.mp4", False),
        ("/nowhere/front-door", False),
        (str(ROOT), False),
        (str(ROOT / "setup.cfg"), False),
        # An address without its flag, and the flag without an address.
        ("127.0.0.1:9000", False),
        ("localhost:9000 --log-level=debug", False),
        ("--tcp-mode", False),
        ("door --tcp-mode", False),
        ("/data/door:9000 --tcp-mode", False),
        # Options and commands.
        ("", False),
        ("-h", False),
        ("--help", False),
        ("--version", False),
        ("--help /tmp/parent.sock", False),
        ("--log-level=debug", False),
        ("--log-level", False),
        ("--log-level /tmp/parent.sock", False),
        ("state", False),
        ("export -5m now -o /tmp/x.mp4", False),
        ("serve /tmp/parent.sock", False),
    ],
)
def test_only_what_viam_server_passes_starts_the_module(arguments: str, module: bool) -> None:
    assert is_module_invocation(arguments.split()) == module


def test_a_socket_that_exists_starts_the_module_and_a_file_of_that_name_does_not(tmp_path: Path) -> None:
    name, file = tmp_path / "left-by-an-earlier-run", tmp_path / "video.sock"
    file.write_bytes(b"not a socket")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(name))
        assert is_module_invocation([str(name)])
    assert not is_module_invocation([str(file)])
    file.unlink()
    file.symlink_to(name)
    assert is_module_invocation([str(file)])


def test_a_path_that_cannot_be_looked_up_is_not_a_socket() -> None:
    assert not is_module_invocation(["/" + 300 * "x" + ".sock"])
    assert not is_module_invocation(["/tmp/\0.sock"])


@pytest.mark.parametrize(
    ("argument", "path"), [("foo.mp4", True), ("127.0.0.1:9000", True), ("a/b", True), ("exprot", False), ("", False)]
)
def test_a_misspelt_command_does_not_look_like_a_path(argument: str, path: bool) -> None:
    assert looks_like_path(argument) == path


@pytest.mark.parametrize(
    "arguments",
    [
        ["foo.mp4"],
        ["./foo.mp4"],
        ["video.sock"],
        ["/nowhere/foo.mp4"],
        ["127.0.0.1:9000"],
        ["."],
        [str(ROOT)],
        [str(ROOT / "setup.cfg")],
        ["foo.mp4", "--log-level=debug"],
        ["foo.mp4", "--verbose"],
    ],
)
def test_a_path_or_an_address_that_is_not_a_command_says_so_and_ends(program: Program, arguments: list[str]) -> None:
    done = program(*arguments)
    assert done.code == 2 and not done.out
    assert done.sentence.startswith(f"There is no command '{arguments[0]}'. To see what a directory holds, use")
    assert not os.listdir(program.here)


@pytest.mark.parametrize("option", ["-h", "--log-level=debug", "--tcp-mode"])
def test_an_option_that_the_program_does_not_have_says_so_and_ends(program: Program, option: str) -> None:
    done = program(option)
    name = option.partition("=")[0]
    assert done.code == 2 and done.sentence.startswith(f"No such option: {name}") and "--help" in done.sentence


def test_the_program_serves_the_socket_that_viam_server_passes(program: Program) -> None:
    path = program.home / "m.sock"
    with program.start(path, "--log-level=debug") as process:
        connect(path)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0
        process.communicate()


def test_the_module_and_the_command_line_do_not_import_each_others_libraries(program: Program, recording: Path) -> None:
    script = """
import sys
import videostore.cli, videostore.viam.module
assert not {"typer", "rich", "click"} & {*sys.modules}, "the module draws"
for name in [name for name in sys.modules if name.split(".")[0] in ("viam", "grpclib", "google")]:
    del sys.modules[name]
from videostore.cli.command_line import run_command_line
assert run_command_line(["state", "--storage", sys.argv[1]]) == 0
assert not any(name.split(".")[0] in ("viam", "grpclib") for name in sys.modules), "the command line calls"
"""
    command = [program.command()[0], "-c", script, str(recording)]
    done = subprocess.run(command, cwd=program.here, env=program.environment(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_a_file_that_was_taken_for_an_option_is_named_in_another_way() -> None:
    assert file_hint(["record", "-visit.mkv"], "-v") == " If -visit.mkv is a file, name it as ./-visit.mkv."
    assert file_hint(["record", "-v"], "-v") == file_hint(["record", "a.mkv"], None) == ""
