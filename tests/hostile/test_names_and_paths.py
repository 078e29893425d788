"""Component names and directories with any characters: recording and cutting work, or the name is refused."""

from __future__ import annotations

import asyncio
import base64
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support import hostile_strategies as hostile
from tests.support.amount import some
from tests.support.attributes import valid_attributes
from tests.support.property_settings import examples
from tests.support.recording import LOGGER, START_US, US, FixedClock, record, take_over, until
from tests.support.sentences import assert_sentence
from videostore.base.errors import ConfigError, VideoStoreError
from videostore.base.time_format import format_utc
from videostore.config import Config, parse_config
from videostore.ffmpeg.process import find_ffmpeg
from videostore.store.store import VideoStore
from videostore.viam.commands import execute

HANG_S = 30.0


class _Directories:
    """Directories for one store, an empty working directory and a home. All are removed at the end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home, self.elsewhere = directory / "home", directory / "elsewhere"

    def __enter__(self) -> _Directories:
        self.home.mkdir(parents=True)
        self.elsewhere.mkdir()
        self._patch = pytest.MonkeyPatch()
        self._patch.setenv("HOME", str(self.home))
        self._patch.chdir(self.elsewhere)
        return self

    def __exit__(self, *error: object) -> None:
        self._patch.undo()
        shutil.rmtree(self.directory)

    def record_and_cut(self, name: str, folder: str | None) -> bool:
        """Record and cut clips with these names, by default in the home. False if the config refuses them."""
        attributes: dict[str, Any] = {"sync": "data-manager", "storage": {"size_gb": 1}}
        if folder is not None:
            attributes["storage"] |= {
                "storage_path": str(self.directory / "storage" / folder),
                "upload_path": str(self.directory / "upload" / folder),
            }
        try:
            config, _ = parse_config(name, attributes)
        except ConfigError as error:
            assert_sentence(str(error))
            return False
        asyncio.run(asyncio.wait_for(_record_and_cut(config), HANG_S))
        assert not list(self.elsewhere.iterdir())
        own = {"home", "elsewhere"} if folder is None else {"home", "elsewhere", "storage", "upload"}
        assert {path.name for path in self.directory.iterdir()} == own
        for parent in (self.home / ".viam/video-storage", self.directory / "storage"):
            if parent.exists():
                assert [path.name for path in parent.iterdir()] == [name if folder is None else folder]
        return True


async def _record_and_cut(config: Config) -> None:
    storage = config.storage
    times = [START_US + n * 100_000 for n in range(15)]
    asked = {"from": format_utc(START_US), "to": format_utc(START_US + 3 * US)}
    await record(storage.storage_path, times, segment_seconds=1)
    assert len(await take_over(storage.storage_path)) == 2
    store = VideoStore(config.name, storage, binary=find_ffmpeg(), clock=FixedClock(), logger=LOGGER)
    await store.start()
    try:
        await until(lambda: store.health().segments == 2)
        for container in ("mp4", "fmp4"):
            answer = await execute(store, {"command": "fetch", **asked, "container": container})
            clip = base64.b64decode(answer["video"])
            assert check_clip(read_clip(clip), times, START_US, START_US + 3 * US).flawless
        answer = await execute(store, {"command": "save", **asked, "metadata": "x", "tags": ["a"]})
        (saved,) = (path for path in storage.upload_path.rglob("*") if path.is_file())
        assert saved == storage.upload_path / "tag=a" / answer["filename"]
        assert saved.name.isprintable() and len(read_clip(saved)) == 15
        shutil.rmtree(storage.upload_path)
        storage.upload_path.write_bytes(b"")
        with pytest.raises(VideoStoreError) as refused:
            await execute(store, {"command": "save", **asked})
        assert_sentence(str(refused.value).replace(str(storage.upload_path), "…"))
    finally:
        await store.close()


@examples(15, 200)
@given(hostile.names(), st.none() | hostile.names())
def test_a_store_with_any_name_in_any_directory_records_and_cuts(
    tmp_path_factory: pytest.TempPathFactory, name: str, folder: str | None
) -> None:
    with _Directories(tmp_path_factory.mktemp("named")) as directories:
        directories.record_and_cut(name, folder)


@some("text", ["a\nb", "a\rb", "\n", "'\n#", "-y", "%06d%%", "it's", "a\\", "\x1b[2J", "🚪\u202e\u2028"], 5)
def test_a_recording_with_a_strange_name_can_be_cut_or_the_name_is_refused(tmp_path: Path, text: str) -> None:
    with _Directories(tmp_path / "folder") as directories:
        directories.record_and_cut("cam", text)
    with _Directories(tmp_path / "name") as directories:
        directories.record_and_cut(text, None)


def test_a_line_break_in_the_storage_path_adds_no_other_file_to_a_clip(tmp_path: Path, recording: Path) -> None:
    other = tmp_path / "other.mp4"
    shutil.copy(min(recording.glob("*.mp4")), other)
    with _Directories(tmp_path / "place") as directories:
        attributes = valid_attributes()
        attributes["storage"] |= {
            "storage_path": f"{other}\nfile {other}\n#",
            "upload_path": str(directories.directory / "upload"),
        }
        try:
            config, _ = parse_config("recorder", attributes)
        except ConfigError as error:
            assert_sentence(str(error), "storage.storage_path")
        else:
            asyncio.run(asyncio.wait_for(_record_and_cut(config), HANG_S))
