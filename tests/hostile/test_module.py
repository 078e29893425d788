"""Hostile commands, attributes and names sent to the module as a process: it answers each and goes on."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import av
import pytest
from grpclib import GRPCError

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support import hostile_strategies as hostile
from tests.support.attributes import valid_attributes, with_attribute
from tests.support.machine import NAME, assert_plain, run_machine, sent_error
from tests.support.recording import START_US, US
from tests.support.sentences import assert_sentence
from videostore.base.time_format import format_utc_exact
from videostore.base.timestamps import parse_timestamp

RANGE = {"from": format_utc_exact(START_US + US), "to": format_utc_exact(START_US + 3 * US)}


HANG_S = 30.0


_WRONG_COMMANDS: tuple[dict[str, Any], ...] = (
    {},
    {"command": None},
    {"command": math.nan},
    {"command": ["save"]},
    {"command": "save\n"},
    {"command": "\x1b[2J\x00" * 3_000},
    {"command": "save"},
    {"command": "save", "from": math.nan, "to": math.inf},
    {"command": "fetch", **RANGE, "from": "0000-01-01_00-00-00Z"},
    {"command": "fetch", **RANGE, "to": "9999-12-31_23-59-59Z"},
    {"command": "save", "from": "1924-01-01_00-00-00Z", "to": "2124-01-01_00-00-00Z"},
    {"command": "fetch", "from": "1924-01-01_00-00-00Z", "to": "1925-01-01_00-00-00Z"},
    {"command": "save", "from": RANGE["to"], "to": RANGE["from"]},
    {"command": "save", **RANGE, "from": "2" * 100_000},
    {"command": "save", **RANGE, "from": {"a": [{"b": "\n"}]}},
    {"command": "save", **RANGE, "metadata": 1e300},
    {"command": "save", **RANGE, "metadata": hostile.nested(40)},
    {"command": "save", **RANGE, "tags": "../../x"},
    {"command": "save", **RANGE, "tags": ["../../x"]},
    {"command": "save", **RANGE, "tags": ["a\nb"]},
    {"command": "save", **RANGE, "tags": ["a\0b"]},
    {"command": "save", **RANGE, "tags": ["é" * 5_000]},
    {"command": "save", **RANGE, "tags": [f"{n:0200}" for n in range(1_000)]},
    {"command": "save", **RANGE, "tags": [math.nan, None, []]},
    {"command": "save", **RANGE, "async": "true"},
    {"command": "save", **RANGE, "async": 1.0},
    {"command": "fetch", **RANGE, "container": "mp4\nfile '/etc/passwd'"},
    {"command": "fetch", **RANGE, "container": "\U000e0001" * 10_000},
    {"command": "fetch", **RANGE, "container": {}},
    {"command": "mark", "label": hostile.nested(40)},
    {"command": "mark", "label": "a\0b"},
    {"command": "mark", "label": "x", "at": math.nan},
    {"command": "mark", "label": "x", "at": "0001-01-03_00-00-00Z"},
    {"command": "mark", "label": "x", "before_s": math.nan},
    {"command": "mark", "label": "x", "after_s": -math.inf},
    {"command": "mark", "label": "x", "keep": 1.0},
    {"command": "mark", "label": "x", "save": "yes"},
    {"command": "mark", "label": "x", "save": True, "tags": ["../../x"]},
    {"command": "mark", "label": "x", "save": True, "metadata": "x" * 20_000},
    {"command": "unmark", "id": math.nan},
    {"command": "unmark", "id": 1e308},
    {"command": "unmark", "id": True},
    {"command": "unmark", "id": 1.0, "release": {}},
    {"command": "get-events", "from": math.inf},
    {"command": "get-events", "from": RANGE["to"], "to": RANGE["from"]},
    {"command": "get-frame", "at": "9999-12-31_23-59-59Z", "width": 64.0},
    {"command": "get-frame", "width": math.inf},
    {"command": "get-frame", "exact": "\u202e"},
    {"command": "get-storage-state", "exact": [1e300]},
    {"command": "get-save-status", "filename": "../../../../etc/passwd"},
    {"command": "get-save-status", "filename": "a\0\n" * 5_000},
    {"command": "get-save-status", "filename": -math.inf},
)
"""Commands that are refused: the worst of each kind."""


_METADATA = (
    "-y",
    "%d/../../../etc/passwd\0",
    "ffconcat version 1.0\nfile '/etc/passwd'",
    ";FFMETADATA1\n[CHAPTER]\nSTART=0\ntitle=x\\",
    "\x1b[2J\u202e\u2028\ufffe🚪" * 900,
)
"""Metadata that is accepted."""


def listing(directory: Path) -> set[str]:
    """All files below a directory."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}


async def test_the_module_refuses_the_nastiest_commands_in_one_sentence_and_goes_on(
    tmp_path: Path, recording: Path, times: list[int]
) -> None:
    shutil.copytree(recording, tmp_path / "storage")
    async with run_machine(tmp_path) as machine:
        await machine.add(camera=None)
        camera = machine.parent.camera(NAME)

        async def indexed() -> bool:
            return bool((await machine.status())["stored_segments"] == 4)

        await machine.until(indexed)
        before = listing(tmp_path)
        for command in _WRONG_COMMANDS:
            with pytest.raises(GRPCError) as refused:
                await camera.do_command(command, timeout=HANG_S)
            assert_plain(refused.value)
            assert_sentence(refused.value.message or "")
        assert listing(tmp_path) == before

        for metadata in _METADATA:
            answer = await machine.command("save", **RANGE, metadata=metadata, tags=["-y", "%d", "a=b'c"])
            clip = machine.upload / "tag=%d" / "tag=-y" / "tag=a=b'c" / str(answer["filename"])
            from_us, to_us = (parse_timestamp(RANGE[field], field) for field in ("from", "to"))
            assert check_clip(read_clip(clip), times, from_us, to_us).flawless
            with av.open(str(clip)) as container:
                assert container.metadata["comment"] == metadata.replace("\0", "")
            assert listing(tmp_path) - before == {str(clip.relative_to(tmp_path))}
            clip.unlink()
        assert not machine.parent.children()
        assert (await machine.command("get-storage-state"))["stored_video"]
        output = "\n".join([*(line.message for line in machine.parent.logs), *machine.parent.module_output])
        assert "Traceback" not in output and "A command failed" not in output


_WRONG_ATTRIBUTES: tuple[tuple[str, Any], ...] = (
    ("camera", math.nan),
    ("camera", "x" * 10_000),
    ("camera", "a\0b"),
    ("source_name", {"a": hostile.nested(20)}),
    ("sync", ["data-manager"]),
    ("sync", "\n" * 10_000),
    ("storage", "…" * 10_000),
    ("storage.size_gb", math.nan),
    ("storage.size_gb", math.inf),
    ("storage.size_gb", -1e308),
    ("storage.size_gb", "1\n"),
    ("storage.storage_path", "../../x"),
    ("storage.storage_path", "-y"),
    ("storage.storage_path", "/a\0b"),
    ("storage.storage_path", "/" + "x" * 10_000),
    ("storage.upload_path", "file:/etc"),
    ("storage.upload_path", "/a" * 5_000),
    ("storage.upload_path", {"$path": None}),
    ("storage.segment_seconds", -math.inf),
    ("storage.segment_seconds", 1e300),
    ("video", [[]]),
    ("video.format", "mp4 -y"),
    ("video.codec", "libx264 -vf drawtext=textfile=/etc/passwd"),
    ("video.codec", "\x1b[2J" * 3_000),
    ("video.bitrate", "1M -y"),
    ("video.bitrate", math.nan),
    ("video.preset", "fast\n-y"),
    ("framerate", 1e308),
    ("framerate", -0.5),
    ("framerate", math.inf),
)


async def test_the_module_refuses_the_nastiest_attributes_and_names_in_one_sentence(tmp_path: Path) -> None:
    async with run_machine(tmp_path) as machine:
        for dotted, value in _WRONG_ATTRIBUTES:
            attributes = with_attribute(dotted, value)
            with pytest.raises(GRPCError) as refused:
                await machine.parent.validate(NAME, attributes)
            assert_plain(refused.value, dotted)
            assert_sentence(refused.value.message or "")
        for name in ("..", "a/b", "../../x", "a\0b", "é" * 5_000):
            with pytest.raises(GRPCError) as refused:
                await machine.parent.validate(name, valid_attributes())
            assert sent_error(refused.value).code in ("name-no-directory", "name-too-long")
            assert_sentence(refused.value.message or "")
        assert not listing(tmp_path) and not machine.parent.children()
        await machine.add()
        await machine.until(lambda: machine.camera.delivered)


async def test_the_module_records_and_cuts_in_a_directory_of_any_name(tmp_path: Path) -> None:
    folder = '-y %06d%% it\'s "q" \\ [x] |;#=:, 🚪\u202e\u2028 é .'
    async with run_machine(tmp_path) as machine:
        paths = {"storage_path": str(tmp_path / "storage" / folder), "upload_path": str(tmp_path / "upload" / folder)}
        await machine.add(storage=paths)
        await machine.record(2)
        from_us = machine.camera.delivered[0]
        await machine.recorded_until(from_us + US)
        check, _ = await machine.fetch(from_us, from_us + US)
        assert check.flawless
        answer = await machine.command("save", from_us=from_us, to_us=from_us + US)
        assert (Path(paths["upload_path"]) / answer["filename"]).exists()
        assert {path.name for path in tmp_path.iterdir()} == {"storage", "upload"}


async def test_a_storage_path_that_cannot_be_created_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    async with run_machine(tmp_path) as machine:
        for field in ("storage_path", "upload_path"):
            with pytest.raises(GRPCError) as refused:
                await machine.add(storage={field: str(tmp_path / "file" / "under")})
            error = sent_error(refused.value)
            assert error.code == ("storage-not-created" if field == "storage_path" else "upload-path-unusable")
            assert_sentence(refused.value.message or "")
            assert {path.name for path in tmp_path.iterdir()} == {"file"}
        await machine.add()
