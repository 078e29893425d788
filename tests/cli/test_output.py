from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.amount import some
from tests.support.program import TIMEOUT_S, Program, exact
from videostore.cli.output import OutputError, StandardOutput


@some("arguments", [["state"], ["export", "-o", "-"], ["--help"], ["state", "--json"]], 2)
def test_an_output_that_cannot_be_written_is_reported_in_one_sentence(
    program: Program, recording: Path, times: list[int], arguments: list[str]
) -> None:
    named = [*arguments, *([exact(times[0]), exact(times[9])] if "export" in arguments else [])]
    asked = named if arguments == ["--help"] else [*named, "--storage", str(recording)]
    for redirection, reason in ((">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")):
        done = subprocess.run(
            ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *program.command(*asked)],
            cwd=program.here, env=program.environment(), capture_output=True, timeout=TIMEOUT_S,
        )  # fmt: skip
        assert done.returncode == 1
        assert done.stderr.decode() == f"videostore: Standard output cannot be written to: {reason}.\n"
    silent = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >/dev/full 2>&-', "sh", *program.command(*asked)],
        cwd=program.here, env=program.environment(), timeout=TIMEOUT_S,
    )  # fmt: skip
    assert silent.returncode == 1


def test_an_error_of_standard_output_differs_from_a_broken_pipe() -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        output = StandardOutput(full, write_through=True)
        with pytest.raises(OutputError) as raised:
            output.write("a result\n")
        assert raised.value.code == "output-failed" and raised.value.reason == "No space left on device"
        output.detach()
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb", buffering=0) as pipe:
        output = StandardOutput(pipe, write_through=True)
        with pytest.raises(BrokenPipeError):
            output.write("a result\n")
        output.detach()
