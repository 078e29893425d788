from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.warm_program import run_warm
from videostore.cli.time_options import format_time
from videostore.media.fmp4 import read_fragments
from videostore.media.segment import probe
from videostore.storage.index import FILE_NAME


def videostore(*arguments: object) -> subprocess.CompletedProcess[str]:
    done = run_warm(list(map(str, arguments)), cwd=Path.cwd(), env=os.environ, timeout_s=60)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def storage(tmp_path: Path, recording: Path) -> Path:
    """A copy of the recording of 7 s: four segments and their index."""
    return Path(shutil.copytree(recording, tmp_path / "storage"))


def test_an_intact_directory_is_reported_as_such(storage: Path, times: list[int]) -> None:
    done = videostore("verify", "--storage", storage)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"4 segments read, {len(times)} frames decoded: nothing is wrong.\n"


def test_problems_are_reported_and_repaired_and_those_that_are_left_set_the_exit_code(storage: Path) -> None:
    (storage / FILE_NAME).unlink()
    unreadable, damaged = sorted(storage.glob("*.mp4"))[:2]
    unreadable.write_bytes(b"\xa5" * 5000)
    os.utime(unreadable, (0, 0))  # too old to be still written to
    with damaged.open("r+b") as file:
        file.seek(read_fragments(damaged).fragments[0].end_byte - 30_000)
        file.write(random.Random(1).randbytes(20_000))
    found = videostore("verify", "--storage", storage)
    assert found.returncode == 3 and found.stderr == ""
    assert f"{FILE_NAME}: the index cannot be read (it does not exist)." in found.stdout
    assert f"{unreadable.name}: cannot be read (" in found.stdout
    assert f"{damaged.name}: does not decode (" in found.stdout
    where = f"{damaged.name}: damaged; clips show what is intact before and after the damage (from 2024-08-30_06-40-0"
    assert where in found.stdout
    assert "3 segments read" in found.stdout and "4 problems found; --repair can repair 2.\n" in found.stdout
    repaired = videostore("verify", "--repair", "--storage", storage)
    assert repaired.returncode == 3 and "2 repaired, 2 left; clips show the intact parts.\n" in repaired.stdout
    assert f"repaired: {unreadable.name}" in repaired.stdout and f"repaired: {damaged.name}" not in repaired.stdout
    assert (storage / "damaged" / unreadable.name).exists() and damaged.exists()
    quick = videostore("verify", "--quick", "--storage", storage)
    assert quick.returncode == 3 and where in quick.stdout
    assert quick.stdout.endswith("3 segments read: 1 problem found; clips show the intact parts.\n")


def test_a_problem_that_shows_only_after_a_repair_is_reported_too(tmp_path: Path, recording: Path) -> None:
    path = tmp_path / "1725000000123457-000000.open"
    shutil.copy(min(recording.glob("*.mp4")), path)
    with path.open("r+b") as file:
        file.seek(read_fragments(path).fragments[0].end_byte)
        file.write(b"\xff" * 64)
    done = videostore("verify", "--repair", "--quick", "--storage", tmp_path)
    (closed,) = tmp_path.glob("*.mp4")
    assert done.returncode == 3
    assert f"repaired: {path.name}: never closed, and no process is writing it.\n" in done.stdout
    assert f"\n{closed.name}: damaged; clips show what is intact before and after the damage (from " in done.stdout
    assert "2 repaired, 1 left;" in done.stdout


def test_a_segment_that_is_no_file_any_more_is_named_with_what_it_is(storage: Path) -> None:
    path = sorted(storage.glob("*.mp4"))[1]
    row = probe(path)
    path.unlink()
    os.mkfifo(path)
    found = videostore("verify", "--storage", storage)
    assert found.returncode == 3 and found.stderr == ""
    assert f"{path.name}: not a file, so no video is there (it is a pipe; from 2024-08-30_06-40-02." in found.stdout
    (one,) = json.loads(videostore("verify", "--quick", "--json", "--storage", storage).stdout)["findings"]
    assert one["problem"] == "replaced" and one["file"] == path.name
    assert one["missing"][0]["seconds"] == (row.end_us - row.start_us) / 1e6
    for other in storage.glob("*.mp4"):
        if other != path:
            other.unlink()
    (storage / FILE_NAME).unlink()
    found = videostore("verify", "--quick", "--storage", storage)  # nothing else is left
    assert found.returncode == 3 and f"{path.name}: not a file, so no video is there (it is a pipe).\n" in found.stdout


def test_json_has_every_problem_and_whether_it_was_repaired(storage: Path) -> None:
    (storage / FILE_NAME).unlink()
    done = videostore("verify", "--json", "--repair", "--quick", "--storage", storage)
    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "storage": str(storage),
        "segments": 4,
        "decoded_frames": 0,
        "findings": [
            {
                "file": FILE_NAME,
                "problem": "index_gone",
                "detail": "it does not exist",
                "missing": [],
                "missing_frames": None,
                "repaired": True,
            }
        ],
        "left": 0,
        "damaged": [],
    }


def test_what_is_missing_of_a_file_is_told_from_when_to_when_to_people_and_programs(storage: Path) -> None:
    """The end of one file is cut off, and of another nothing can be read: the index knows what they held."""
    cut, unreadable = sorted(storage.glob("*.mp4"))[:2]
    rows = {path: probe(path) for path in (cut, unreadable)}
    os.truncate(cut, read_fragments(cut).fragments[-1].begin_byte + 100)
    unreadable.write_bytes(b"\xa5" * 5000)
    os.utime(unreadable, (0, 0))
    left = read_fragments(cut)
    assert left.header_length_us is not None  # until the next file begins
    found = videostore("verify", "--quick", "--json", "--storage", storage)
    (one,) = [each for each in json.loads(found.stdout)["findings"] if each["problem"] in ("cut_off", "damaged")]
    (other,) = [each for each in json.loads(found.stdout)["findings"] if each["problem"] == "unreadable"]
    assert (one["file"], other["file"]) == (cut.name, unreadable.name)
    assert one["missing"] == [as_json(left.end_us, left.start_us + left.header_length_us)]
    assert one["detail"].startswith("from 2024-08-30_06-4")
    assert other["missing"] == [as_json(rows[unreadable].start_us, rows[unreadable].end_us)]
    told = videostore("verify", "--quick", "--storage", storage).stdout
    assert f"({one['detail']})." in told and f"{other['missing'][0]['seconds']:.3f} s)." in told


def as_json(from_us: int, to_us: int) -> dict[str, object]:
    start, end = (format_time(one, utc=True, precision="microseconds") for one in (from_us, to_us))
    return {"from": start, "to": end, "seconds": (to_us - from_us) / 1_000_000}


def test_a_directory_without_a_recording_is_refused_and_not_changed(tmp_path: Path) -> None:
    done = videostore("verify", "--repair", "--storage", tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == f"videostore: There is no recording in {tmp_path}. Name a storage directory.\n"
    assert not list(tmp_path.iterdir())
