from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import Program, contents
from tests.support.recording import write_foreign
from videostore.ffmpeg.process import find_ffmpeg


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program, with a home directory of the test."""
    return Program.create(tmp_path)


@pytest.fixture(scope="session")
def go_start_s() -> int:
    """When the first segment of `go_storage` starts, in seconds since 1970: 2023-11-14T22:13:20Z."""
    return 1_700_000_000


@pytest.fixture(scope="session")
def go_storage(tmp_path_factory: pytest.TempPathFactory, go_start_s: int) -> Path:
    """25 segments of 2 s, as the Go module wrote them, 100 s apart, without an index. Must not be changed."""
    directory = tmp_path_factory.mktemp("go") / "yard"
    first = directory / f"{go_start_s}.mp4"
    asyncio.run(write_foreign(first, seconds=2))
    for number in range(1, 25):
        shutil.copyfile(first, directory / f"{go_start_s + 100 * number}.mp4")
    return directory


@pytest.fixture
def unchanged(recording: Path) -> Iterator[None]:
    """Fails the test if anything in the recording has changed, even a modification time."""
    before = contents(recording)
    yield
    assert contents(recording) == before


@pytest.fixture
def player(program: Program) -> Path:
    """Replaces ffplay: keeps its arguments and what it is given, and decodes it."""
    return program.script(
        "ffplay",
        f'printf "%s " "$@" > "{program.home}/arguments"',
        f'tee "{program.home}/played.mp4" | "{find_ffmpeg()}" -v error -xerror -i - -f null -',
    )
