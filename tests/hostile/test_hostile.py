"""Whatever is sent: an answer or one plain sentence, and no file outside of the two paths.

`HYPOTHESIS_PROFILE=thorough` tries many more values.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import logging
import math
import os
import re
import shutil
import time
from collections.abc import Coroutine, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import av
import psutil
import pytest
from grpclib import GRPCError
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from viam.utils import dict_to_struct

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support import hostile_strategies as hostile
from tests.support.checkout import ROOT
from tests.support.machine import NAME, assert_plain, run_machine
from tests.support.recording import LOGGER, START_US, US, FixedClock, Stores, record, take_over, until
from videostore.base.errors import ConfigError, VideoStoreError
from videostore.base.time_format import format_local, format_utc, format_utc_exact
from videostore.base.timestamps import parse_timestamp
from videostore.clips.uploads import tag_directory
from videostore.config import PRESETS, Config, parse_config
from videostore.ffmpeg.process import find_ffmpeg
from videostore.store.store import VideoStore
from videostore.viam.commands import execute

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
settings.register_profile("hostile", deadline=None, database=None, derandomize=True, suppress_health_check=_CHECKS)
settings.register_profile("hostile-thorough", deadline=None, database=None, suppress_health_check=_CHECKS)

RANGE = {"from": format_utc_exact(START_US + US), "to": format_utc_exact(START_US + 3 * US)}
COMMANDS = ("save", "fetch", "get-storage-state", "get-save-status")
FIELDS = ("command", "from", "to", "metadata", "tags", "async", "container", "filename", "nonsense")
ATTRIBUTES = (
    "camera",
    "source_name",
    "sync",
    "storage",
    "storage.size_gb",
    "storage.storage_path",
    "storage.upload_path",
    "storage.segment_seconds",
    "storage.min_free_gb",
    "video",
    "video.format",
    "video.codec",
    "video.bitrate",
    "video.preset",
    "framerate",
)
CLIP_TAGS = {"comment", "creation_time", "encoder", "major_brand", "minor_version", "compatible_brands"}
HANG_S = 30.0
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_T = TypeVar("_T")


def examples(count: int, thorough: int) -> settings:
    """So many examples, always the same; or more, and others every time."""
    name, number = ("hostile-thorough", thorough) if THOROUGH else ("hostile", count)
    return settings(settings.get_profile(name), max_examples=number)


def assert_sentence(sentence: str, *words: str) -> None:
    """Something that a person can read in one line, and that gRPC can carry."""
    assert sentence and sentence.isprintable(), repr(sentence)
    assert len(sentence) < 600, sentence
    for noise in ("Traceback", "<class", "object at 0x", '.py"', "codec can't", "Exceeds the limit"):
        assert noise not in sentence, sentence
    for word in words:
        assert word in sentence, sentence


# Attributes


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home directory while attributes are read."""
    with pytest.MonkeyPatch.context() as patch:
        directory = tmp_path_factory.mktemp("home")
        patch.setenv("HOME", str(directory))
        yield directory


def valid_attributes() -> dict[str, Any]:
    """Every attribute, each with a value that is right."""
    return {
        "camera": "cam",
        "source_name": "color",
        "sync": "data-manager",
        "storage": {
            "size_gb": 10.0,
            "storage_path": "/srv/recording",
            "upload_path": "/srv/upload",
            "segment_seconds": 30.0,
            "min_free_gb": 1.0,
        },
        "video": {"format": "mp4", "codec": "h264", "bitrate": 1e6, "preset": "medium"},
        "framerate": 20.0,
    }


def with_attribute(dotted: str, value: hostile.Value) -> dict[str, Any]:
    """The same with one of them replaced."""
    attributes = valid_attributes()
    section, _, leaf = dotted.rpartition(".")
    (attributes[section] if section else attributes)[leaf] = value
    return attributes


def assert_valid(config: Config) -> None:
    """Whatever was given: inside, all is valid."""
    assert type(config.framerate) is int and 0 < config.framerate <= 1000
    assert type(config.video.bitrate) is int and 0 < config.video.bitrate <= 10**9
    assert config.video.preset in PRESETS and config.video.format == "mp4"
    assert re.fullmatch(r"[a-z0-9_]+", config.video.codec)
    storage = config.storage
    assert 0 < storage.size_gb < math.inf and 0 <= storage.quota_bytes < 1 << 63
    assert 1 <= storage.segment_seconds <= 3600
    for path in (storage.storage_path, storage.upload_path):
        assert path.is_absolute() and b"\0" not in os.fsencode(path)
    for field in dataclasses.fields(storage):
        value = getattr(storage, field.name)
        assert not isinstance(value, float) or math.isfinite(value), field.name
    for name in (config.camera, config.source_name, config.sync):
        assert name is None or (0 < len(name) <= 255 and name.encode())


def parse_or_refuse(name: str, attributes: Mapping[str, Any]) -> str | None:
    """The sentence of the refusal, if it is one."""
    try:
        config, warnings = parse_config(name, attributes)
    except ConfigError as error:
        assert_sentence(str(error))
        return str(error)
    assert_valid(config)
    for warning in warnings:
        assert_sentence(warning)
    return None


def test_every_attribute_of_the_readme_is_tried() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("\n## Attributes\n")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `([a-z_.]+)` \|", table, re.MULTILINE)
    assert len(documented) > 10
    assert set(documented) <= set(ATTRIBUTES)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("dotted", ATTRIBUTES)
def test_any_value_of_an_attribute_gives_a_config_or_a_sentence_that_names_it(dotted: str) -> None:
    @examples(60, 4000)
    @given(hostile.values())
    def check(value: hostile.Value) -> None:
        refusal = parse_or_refuse("recorder", with_attribute(dotted, value))
        assert refusal is None or dotted in refusal

    for value in (*hostile.NASTY, *hostile.NUMBERS):
        refusal = parse_or_refuse("recorder", with_attribute(dotted, value))
        assert refusal is None or dotted in refusal
    check()


@pytest.mark.usefixtures("home")
@examples(60, 4000)
@given(
    st.sampled_from(["storage.storage_path", "storage.upload_path"]),
    st.sampled_from(["/", "~/", "/srv/", "/srv/recording/", "/srv/recording/../", "~"]),
    hostile.texts(),
)
def test_any_path_gives_a_config_or_a_sentence_that_names_it(dotted: str, start: str, rest: str) -> None:
    refusal = parse_or_refuse("recorder", with_attribute(dotted, start + rest))
    assert refusal is None or dotted in refusal


@pytest.mark.usefixtures("home")
@examples(150, 10_000)
@given(hostile.texts())
def test_any_component_name_gives_a_config_or_a_sentence(name: str) -> None:
    attributes = valid_attributes()
    del attributes["storage"]["storage_path"], attributes["storage"]["upload_path"]
    refusal = parse_or_refuse(name, attributes)
    assert refusal is None or "name" in refusal or "camera" in refusal
    if refusal is None:
        storage = parse_config(name, attributes)[0].storage
        home = Path(os.environ["HOME"])
        assert storage.storage_path.parent == home / ".viam/video-storage"
        assert storage.upload_path.parent == home / ".viam/capture/video-upload"


@pytest.mark.usefixtures("home")
@examples(150, 10_000)
@given(
    hostile.texts(),
    st.dictionaries(
        st.sampled_from([dotted.rpartition(".")[2] for dotted in ATTRIBUTES]) | hostile.texts(),
        hostile.values()
        | st.dictionaries(
            st.sampled_from([dotted.rpartition(".")[2] for dotted in ATTRIBUTES]) | hostile.texts(),
            hostile.values(),
            max_size=6,
        ),
        max_size=8,
    ),
)
def test_any_attributes_at_all_give_a_config_or_a_sentence(name: str, attributes: dict[str, Any]) -> None:
    parse_or_refuse(name, attributes)


# Commands


class _Complaints(logging.Handler):
    """Collects what is logged with a traceback, and what ffmpeg complains of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info or "ffmpeg" in text or "could not be made" in text:
            self.lines.append(f"{text} {record.exc_info or ''}")


class Bench:
    """A store over a real recording, and the proof that each command touches nothing but what it may."""

    def __init__(self, directory: Path, recording: Path, times: list[int]) -> None:
        self.loop = asyncio.new_event_loop()
        self.stores = Stores(directory / "machine")
        self.stores.directory.mkdir()
        self.times = times
        self.complaints = _Complaints()
        LOGGER.addHandler(self.complaints)
        self._elsewhere = directory / "elsewhere"
        self._elsewhere.mkdir()
        self.store = self.run(self.stores.over(recording))
        self._segments = self._stored()
        self._children = psutil.Process().children(recursive=True)

    def close(self) -> None:
        LOGGER.removeHandler(self.complaints)
        self.run(self.store.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do something in the store's loop, in a directory in which nobody may leave a file."""
        before = os.getcwd()
        os.chdir(self._elsewhere)
        try:
            return self.loop.run_until_complete(asyncio.wait_for(work, HANG_S))
        finally:
            os.chdir(before)

    def send(self, command: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer, or None where a sentence refused it; nothing is left behind but clips of the answer."""
        try:
            answer = self.run(execute(self.store, command))
            if answer.get("status") == "async":
                self.run(until(lambda: not self.store.health().pending_saves))
        except VideoStoreError as error:
            assert_sentence(str(error))
            assert error.code not in ("clip-failed", "clip-empty"), error
            answer = None
        try:
            self._check_rest()
            if answer is None:
                assert not self._clips()
            else:
                dict_to_struct(answer)
                self._check_answer(command, answer)
            assert not self.complaints.lines
        finally:
            self.complaints.lines.clear()
            for path in self.stores.upload.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return answer

    def _stored(self) -> dict[str, tuple[int, int]]:
        return {p.name: (p.stat().st_size, p.stat().st_mtime_ns) for p in self.stores.storage.glob("*.mp4")}

    def _clips(self) -> list[Path]:
        return [path for path in self.stores.upload.rglob("*") if not path.is_dir()]

    def _check_rest(self) -> None:
        machine = self.stores.directory
        assert sorted(path.name for path in machine.iterdir()) == ["storage", "upload"]
        assert not list(self._elsewhere.iterdir())
        assert sorted(path.name for path in machine.parent.iterdir()) == ["elsewhere", "machine"]
        assert self._stored() == self._segments
        index = {"index.sqlite.db", "index.sqlite.db-wal", "index.sqlite.db-shm"}
        assert {path.name for path in self.stores.storage.iterdir()} - index - {".cuts"} == set(self._segments)
        cuts = self.stores.storage / ".cuts"
        assert not cuts.exists() or not list(cuts.iterdir())
        assert psutil.Process().children(recursive=True) == self._children

    def _check_answer(self, command: Mapping[str, Any], answer: dict[str, Any]) -> None:
        assert answer["command"] == command["command"]
        if answer["command"] == "fetch":
            assert not self._clips()
            self._check_frames(command, base64.b64decode(answer["video"], validate=True))
        elif answer["command"] == "save" and (answer.get("status") != "async" or self._holds_frames(command)):
            directory = self.stores.upload / tag_directory(command.get("tags") or [])
            name, metadata = answer["filename"], command.get("metadata") or ""
            assert self._clips() == [directory / name]
            assert name.isprintable() and not set(name) & set("/\\") and len(name.encode()) <= 255
            assert name.startswith(f"cam_{format_local(parse_timestamp(command['from'], 'from'))}")
            assert name.endswith(".mp4")
            self._check_frames(command, directory / name)
            with av.open(str(directory / name)) as container:
                assert len(container.streams) == 1
                comment = container.metadata.get("comment", "")
                assert set(container.metadata) <= CLIP_TAGS
            if metadata == metadata.encode(errors="ignore").decode():
                assert comment == metadata.replace("\0", "")
        else:
            assert not self._clips()

    def _holds_frames(self, command: Mapping[str, Any]) -> bool:
        from_us, to_us = (parse_timestamp(command[field], field) for field in ("from", "to"))
        return any(from_us <= captured < to_us for captured in self.times)

    def _check_frames(self, command: Mapping[str, Any], clip: bytes | Path) -> None:
        from_us, to_us = (parse_timestamp(command[field], field) for field in ("from", "to"))
        assert check_clip(read_clip(clip), self.times, from_us, to_us).flawless


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, recording: Path, times: list[int]) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("bench"), recording, times)
    with contextlib.closing(bench):
        yield bench


_TIMES = hostile.times(START_US // US, START_US // US + 7)
_TAGS = st.lists(hostile.texts(), max_size=4) | st.lists(hostile.values(), max_size=3)
_OF_FIELD: dict[str, st.SearchStrategy[Any]] = {
    "from": _TIMES,
    "to": _TIMES,
    "metadata": hostile.texts(),
    "tags": _TAGS,
    "container": st.sampled_from(["mp4", "fmp4"]) | hostile.texts(),
    "filename": hostile.texts(),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("field", FIELDS)
def test_any_value_of_any_field_gives_an_answer_or_a_sentence(bench: Bench, name: str, field: str) -> None:
    @examples(5, 150)
    @given(hostile.values() | _OF_FIELD.get(field, st.nothing()))
    def check(value: hostile.Value) -> None:
        assume(not (field == "async" and value is True))  # they have their own test
        bench.send({"command": name, **RANGE, field: value})

    check()


@pytest.mark.parametrize("field", ["command", "from", "to", "tags", "async", "container"])
def test_a_field_is_refused_in_one_sentence_whatever_nasty_value_it_has(bench: Bench, field: str) -> None:
    name = "fetch" if field == "container" else "save"
    values = [*hostile.NUMBERS, hostile.nested(40), {"a": {"b": []}}, *hostile.NASTY[1:]]
    if field == "tags":  # some text is a good tag
        values = [[value] for value in hostile.NUMBERS]
    for value in values:
        assert bench.send({"command": name, **RANGE, field: value}) is None


@examples(60, 1500)
@given(hostile.texts())
def test_any_metadata_stands_unchanged_in_a_clip_that_plays(bench: Bench, metadata: str) -> None:
    assert bench.send({"command": "save", **RANGE, "metadata": metadata})


@examples(60, 1500)
@given(_TAGS)
def test_any_tags_give_directories_in_the_upload_path_or_a_sentence(bench: Bench, tags: list[Any]) -> None:
    bench.send({"command": "save", **RANGE, "tags": tags})


@examples(100, 2000)
@given(st.sampled_from(["save", "fetch"]), _TIMES, _TIMES, st.sampled_from(["mp4", "fmp4"]))
def test_any_range_gives_exactly_its_frames_or_a_sentence(
    bench: Bench, name: str, from_text: str, to_text: str, container: str
) -> None:
    bench.send({"command": name, "from": from_text, "to": to_text, "container": container})


@pytest.mark.parametrize("name", ["save", "fetch"])
@pytest.mark.parametrize(
    ("from_text", "to_text"),
    [("1924-01-01_00-00-00Z", "2024-08-30_07-00-00Z"), ("0001-01-03_00-00-00Z", "2024-08-30_06-40-01.000000001")],
)
def test_a_range_of_a_hundred_years_or_all_years_holds_what_there_is(
    bench: Bench, name: str, from_text: str, to_text: str
) -> None:
    answer = bench.send({"command": name, "from": from_text, "to": to_text.removesuffix("Z") + "Z"})
    assert answer and answer["ranges"][0]["from"] == format_utc_exact(START_US)


@examples(40, 2000)
@given(
    st.fixed_dictionaries(
        {"command": st.sampled_from(COMMANDS) | hostile.values(), "from": _TIMES, "to": _TIMES},
        optional={name: _OF_FIELD.get(name, st.nothing()) | hostile.values() for name in FIELDS[3:] if name != "async"},
    )
    | st.dictionaries(hostile.texts(), hostile.values(), max_size=4)
)
def test_any_command_at_all_gives_an_answer_or_a_sentence(bench: Bench, command: dict[str, Any]) -> None:
    bench.send(command)


@examples(15, 500)
@given(hostile.texts(), st.just([]) | _TAGS, st.just(RANGE) | st.fixed_dictionaries({"from": _TIMES, "to": _TIMES}))
def test_an_asynchronous_save_of_anything_ends_with_its_clip_or_a_sentence(
    bench: Bench, metadata: str, tags: list[Any], asked: dict[str, str]
) -> None:
    bench.send({"command": "save", **asked, "metadata": metadata, "tags": tags, "async": True})


# Names and paths


class _Place:
    """Directories for one store, an empty one to work in, and a home; they are gone in the end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home, self.elsewhere = directory / "home", directory / "elsewhere"

    def __enter__(self) -> _Place:
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
        """Record and cut clips under such names, by default in the home; False if the config refuses them."""
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
def test_a_store_under_any_name_in_any_directory_records_and_cuts(
    tmp_path_factory: pytest.TempPathFactory, name: str, folder: str | None
) -> None:
    with _Place(tmp_path_factory.mktemp("named")) as place:
        place.record_and_cut(name, folder)


@pytest.mark.parametrize(
    "text", ["a\nb", "a\rb", "\n", "'\n#", "-y", "%06d%%", "it's", "a\\", "\x1b[2J", "🚪\u202e\u2028"]
)
def test_what_is_recorded_under_a_strange_name_can_be_cut_or_the_name_is_refused(tmp_path: Path, text: str) -> None:
    with _Place(tmp_path / "folder") as place:
        place.record_and_cut("cam", text)
    with _Place(tmp_path / "name") as place:
        place.record_and_cut(text, None)


def test_a_line_break_in_the_storage_path_brings_no_other_file_into_a_clip(tmp_path: Path, recording: Path) -> None:
    other = tmp_path / "other.mp4"
    shutil.copy(min(recording.glob("*.mp4")), other)
    with _Place(tmp_path / "place") as place:
        attributes = valid_attributes()
        attributes["storage"] |= {
            "storage_path": f"{other}\nfile {other}\n#",
            "upload_path": str(place.directory / "upload"),
        }
        try:
            config, _ = parse_config("recorder", attributes)
        except ConfigError as error:
            assert_sentence(str(error), "storage.storage_path")
        else:
            asyncio.run(asyncio.wait_for(_record_and_cut(config), HANG_S))


# The same through the module


_TABLE: tuple[dict[str, Any], ...] = (
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
    {"command": "get-save-status", "filename": "../../../../etc/passwd"},
    {"command": "get-save-status", "filename": "a\0\n" * 5_000},
    {"command": "get-save-status", "filename": -math.inf},
)
"""What is refused: the worst of each kind."""

_METADATA = (
    "-y",
    "%d/../../../etc/passwd\0",
    "ffconcat version 1.0\nfile '/etc/passwd'",
    ";FFMETADATA1\n[CHAPTER]\nSTART=0\ntitle=x\\",
    "\x1b[2J\u202e\u2028\ufffe🚪" * 1_000,
)
"""What is accepted, whatever it says."""


def listing(directory: Path) -> set[str]:
    """All files below it."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}


async def test_the_module_answers_the_nastiest_commands_with_a_sentence_and_goes_on(
    tmp_path: Path, recording: Path, times: list[int]
) -> None:
    shutil.copytree(recording, tmp_path / "storage")
    async with run_machine(tmp_path) as machine:
        await machine.add(camera=None)
        camera = machine.parent.camera(NAME)

        async def taken_in() -> bool:
            return bool((await machine.status())["stored_segments"] == 4)

        await machine.until(taken_in)
        before = listing(tmp_path)
        for command in _TABLE:
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
        said = "\n".join([*(line.message for line in machine.parent.logs), *machine.parent.module_output])
        assert "Traceback" not in said and "A command failed" not in said


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


async def test_the_module_refuses_the_nastiest_attributes_and_names_with_a_sentence(tmp_path: Path) -> None:
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
            assert_plain(refused.value, "name")
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


async def test_a_storage_that_cannot_be_made_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    async with run_machine(tmp_path) as machine:
        for field in ("storage_path", "upload_path"):
            with pytest.raises(GRPCError) as refused:
                await machine.add(storage={field: str(tmp_path / "file" / "under")})
            assert_plain(refused.value, "cannot be used")
            assert_sentence(refused.value.message or "")
        await machine.add()


# Timestamps there and back


ZONES = (
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
)
CHANGES = {
    "America/New_York": ("2024-03-10_07-00-00Z", "2024-11-03_06-00-00Z"),
    "Europe/Berlin": ("2024-03-31_01-00-00Z", "2024-10-27_01-00-00Z"),
    "Australia/Lord_Howe": ("2024-10-05_15-30-00Z", "2024-04-06_15-00-00Z"),  # by half an hour
    "Pacific/Apia": ("2010-09-26_11-00-00Z", "2011-04-02_14-00-00Z", "2011-12-30_10-00-00Z"),  # the last skips a day
}
"""Moments at which the clocks on the wall were changed."""
_FIRST_S, _LAST_S = 0, 4_102_444_800


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest) -> Iterator[ZoneInfo]:
    """The machine's time zone."""
    name: str = request.param
    try:
        known = ZoneInfo(name)
    except ZoneInfoNotFoundError:
        pytest.skip("this machine has no time zone database")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield known
    time.tzset()


def moments(zone: ZoneInfo) -> st.SearchStrategy[int]:
    """Microseconds since the epoch: 1970 to 2100, most of them within two hours of a change of the clocks."""
    anywhere = st.integers(_FIRST_S * US, _LAST_S * US)
    near = [
        st.integers(change - 2 * 3600 * US, change + 2 * 3600 * US)
        for change in (parse_timestamp(text, "from") for text in CHANGES.get(zone.key, ()))
    ]
    return st.one_of(anywhere, *near)


def first_of_its_name(moment_us: int, zone: ZoneInfo) -> int:
    """The first moment at which the clock on the wall shows the same second, in microseconds."""
    wall = datetime.fromtimestamp(moment_us // US, timezone.utc).astimezone(zone).replace(fold=0)
    return round(wall.timestamp()) * US


def test_every_form_of_a_timestamp_is_read_back_as_the_moment_that_was_written(zone: ZoneInfo) -> None:
    @examples(150, 20_000)
    @given(moments(zone), st.integers(1, 9))
    def check(moment_us: int, digits: int) -> None:
        second_us, micro = moment_us // US * US, moment_us % US
        shown = f"{micro:06d}000"[:digits]
        kept_us = int(shown.ljust(6, "0")[:6])
        assert parse_timestamp(format_utc(moment_us), "from") == second_us
        assert parse_timestamp(f"{format_utc(moment_us)[:-1]}.{shown}Z", "from") == second_us + kept_us

        local, first_us = format_local(moment_us), first_of_its_name(moment_us, zone)
        wall = datetime.fromtimestamp(second_us // US, timezone.utc).astimezone(zone)
        assert local == wall.strftime("%Y-%m-%d_%H-%M-%S")
        assert parse_timestamp(local, "from") == first_us
        assert parse_timestamp(f"{local}.{shown}", "from") == first_us + kept_us
        assert format_local(first_us) == local
        assert first_us == second_us or 0 < second_us - first_us <= 3600 * US

    check()


def test_a_moment_differs_from_what_is_read_back_only_where_the_clock_shows_it_twice(zone: ZoneInfo) -> None:
    for text in CHANGES.get(zone.key, ()):
        change_us = parse_timestamp(text, "from")
        before, after = ((EPOCH + timedelta(microseconds=change_us + step)).astimezone(zone) for step in (-1, 0))
        old, new = before.utcoffset(), after.utcoffset()
        assert old is not None and new is not None and old != new
        turned_back_us = max(0, (old - new) // timedelta(microseconds=1))
        for minute in range(-130, 130):
            moment_us = change_us + minute * 60 * US
            twice = 0 <= moment_us - change_us < turned_back_us
            read_us = parse_timestamp(format_local(moment_us), "from")
            assert read_us == moment_us - (turned_back_us if twice else 0)
