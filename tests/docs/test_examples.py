"""The examples of the library, run as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

from tests.support.checkout import ROOT

EXAMPLES = ROOT / "examples"


def run(name: str, *arguments: object, expect: int = 0) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", *map(str, arguments)], capture_output=True, timeout=60
    )
    assert done.returncode == expect, done.stderr.decode()
    return done


def frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def stored_frames(directory: Path) -> int:
    return sum(map(frames, directory.glob("*.mp4")))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("example") / "door"
    began = time.monotonic()
    said = run("record", directory, 3).stdout.decode()
    assert said.startswith("recorded ") and 2 < float(said.split()[1]) < time.monotonic() - began, said
    assert list(directory.glob("*.mp4")) and not list(directory.glob("*.open"))
    return directory


def test_state(recorded: Path) -> None:
    first, last = run("state", recorded).stdout.decode().splitlines()
    assert first.count("+00:00") == 2 and "bytes" in last


def test_fetch(recorded: Path, tmp_path: Path) -> None:
    assert run("fetch", recorded, "-30m", "now", tmp_path / "clip.mp4").stdout.startswith(b"holds ")
    assert frames(tmp_path / "clip.mp4") == stored_frames(recorded)
    refused = run("fetch", recorded, "2001-01-01T00:00:00Z", "+1s", tmp_path / "none.mp4", expect=1)
    assert b"nearest stored range" in refused.stderr and b"Traceback" not in refused.stderr


def test_stream(recorded: Path, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(run("stream", recorded, "-30m", "now").stdout)
    assert frames(tmp_path / "clip.mp4") == stored_frames(recorded)


def test_save(recorded: Path, tmp_path: Path) -> None:
    path = Path(run("save", recorded, tmp_path / "upload", "-30m", "now").stdout.decode().strip())
    assert path.parent == tmp_path / "upload" / "tag=person" and frames(path) == stored_frames(recorded)


def test_export(recorded: Path, tmp_path: Path) -> None:
    done = run("export", recorded, "-30m", "now", tmp_path / "clip.mp4")
    assert done.stderr.decode().split()[-1] == "100%"
    assert frames(tmp_path / "clip.mp4") == stored_frames(recorded)


def test_record_input(recorded: Path, tmp_path: Path) -> None:
    run("export", recorded, "-30m", "now", tmp_path / "visit.mp4")
    said = run("record_input", tmp_path / "visit.mp4", tmp_path / "again").stdout.decode()
    assert said.startswith("h264 ")
    (segment,) = (tmp_path / "again").glob("*.mp4")
    assert frames(segment) == frames(tmp_path / "visit.mp4")
    assert not (tmp_path / "again-clips").exists()


def test_every_example_is_run_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names and {name for name in names if f"def test_{name}(" not in source and name != "record"} == set()


def test_the_machine_config_is_json_with_all_that_it_needs() -> None:
    config = json.loads((EXAMPLES / "machine.json").read_text(encoding="utf-8"))
    assert {"modules", "components", "services"} <= set(config)
