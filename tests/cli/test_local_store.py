from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.program import Program, contents, exact, read_time, wait_until
from tests.support.recording import Pulse, Stores, until
from videostore.cli import terminal
from videostore.cli.local_store import is_being_recorded, open_reader
from videostore.storage.directory_lock import DirectoryLock


async def test_while_a_recording_is_in_progress_a_clip_may_end_now(program: Program, stores: Stores) -> None:
    """The last second is still in the encoder when it is asked for."""
    pulse = Pulse()
    store = await stores.open(pulse, segment_seconds=2)
    await until(lambda: store.health().segments and len(pulse.delivered) > 25)
    state, done = await asyncio.gather(
        program.run_in_thread("state", "--json", "--storage", stores.storage),
        program.run_in_thread("export", "-2s", "now", "--storage", stores.storage, "-o", "clip.mp4", "--utc"),
    )
    described = json.loads(state.out)
    assert described["recording"] is True and described["newest_age_seconds"] < 10
    assert described["used_bytes"] > 0 and described["oldest"] == exact(pulse.delivered[0])
    assert done.code == 0 and not done.err, done.err
    held = re.search(r"holds  (\S+) to (\S+)  \(2\.0 s\)", done.out)
    assert held is not None
    from_us, to_us = read_time(held[1]), read_time(held[2])
    shown = [frame.captured_us for _, frame in read_clip(program.here / "clip.mp4") if frame]
    inside = [one for one in pulse.delivered if from_us <= one < to_us]
    assert set(inside) <= set(shown) <= set(pulse.delivered) and len(shown) <= len(inside) + 1  # shown to 1 ms


def test_while_a_lost_index_is_rebuilt_a_bar_is_shown(
    program: Program, go_storage: Path, go_start_s: int, tmp_path: Path
) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(3000):
        os.link(go_storage / f"{go_start_s}.mp4", many / f"{go_start_s + 3 * number}.mp4")
    code, drawn = program.on_terminal("state", "--storage", many)
    assert code == 0 and re.search(r"Reading \d+ segments that are not in the index", drawn)
    assert not (many / "index.sqlite.db").exists()


def test_in_a_pipe_lines_tell_how_far_the_rebuilding_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "_TELL_AFTER_S", 0.0)
    monkeypatch.setattr(terminal, "_TELL_EVERY_S", 0.0)
    with terminal.progress_shown("Reading 5 segments") as show:
        for share in (0, 0.5):
            show(share)
    monkeypatch.setattr(terminal, "_TELL_EVERY_S", 60.0)
    show(1)
    assert capsys.readouterr() == ("", "Reading 5 segments: 0%\nReading 5 segments: 50%\n")


async def test_a_reader_has_every_segment_indexed_and_changes_nothing(recording: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(recording, copy)
    (copy / "index.sqlite.db").unlink()
    before = contents(copy)
    async with open_reader(copy) as store:
        assert not store.unindexed_segments
        assert len((await store.state()).ranges) == 1
    assert contents(copy) == before


def test_an_open_segment_that_has_not_grown_is_not_a_recording_in_progress(tmp_path: Path) -> None:
    path = tmp_path / "1725000000123457-000000.open"
    path.touch()
    assert not is_being_recorded(tmp_path)  # no recorder has the directory
    lock = DirectoryLock(tmp_path)
    assert is_being_recorded(tmp_path)
    os.utime(path, (0, 0))
    assert not is_being_recorded(tmp_path)
    lock.release()


def test_a_recorder_that_was_killed_does_not_record_any_more(program: Program) -> None:
    source = "testsrc=size=160x144:rate=10"
    arguments = "record", source, "--format", "lavfi", "--reencode", "--preset", "ultrafast", "--storage", "door"

    def recording() -> bool:
        return bool(json.loads(program("state", "--json", "--storage", "door").out)["recording"])

    with program.start_warm(*arguments, "--size-gb", "1", "--segment-seconds", "1") as process:
        wait_until(lambda: bool([*(program.here / "door").glob("*.mp4")]))
        wait_until(recording)
        process.kill()
        process.wait()
        assert not recording()
