"""Reads the attributes of the machine config, and checks all of them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from videostore.base.constants import GIB
from videostore.base.disk_look import disk_answers
from videostore.base.errors import ConfigError, shown
from videostore.config.defaults import (
    CAPTURE_PATH,
    DEFAULT_BITRATE,
    DEFAULT_CODEC,
    DEFAULT_FRAMERATE,
    DEFAULT_PRESET,
    DEFAULT_SEGMENT_SECONDS,
    DEFAULT_STORAGE_PATH,
    DEFAULT_UPLOAD_PATH,
    FORMATS,
    MAX_BITRATE,
    MAX_COMPONENT_NAME_BYTES,
    MAX_FRAMERATE,
    MAX_SIZE_GB,
    MAX_STORAGE_PATH_BYTES,
    PRESETS,
    SEGMENT_SECONDS,
)
from videostore.config.model import Config, StorageConfig, VideoConfig
from videostore.config.section import ATTRIBUTES, CONTROL, Section, is_unicode
from videostore.config.source import parse_source
from videostore.config.web import parse_web

CAMERA_API = "rdk:component:camera"
"""What the full name of a camera begins with."""
RECORDER = "recorder"
"""The attribute of a video service that names its recorder."""
_DATA_MANAGER = "the data manager service"
_CODEC = "h264, h265 or the name of an ffmpeg encoder, such as h264_nvenc"
_ENCODER = re.compile(r"[a-z0-9_]{1,64}")


def parse_config(
    name: str, attributes: Mapping[str, Any], *, whole_only: bool = False, needs_sync: bool = True
) -> tuple[Config, list[str]]:
    """Read the attributes of the component `name`. The list holds warnings, one sentence each.

    Numbers may be floats with a whole value, as protobuf delivers them. A null counts as a missing attribute, and so
    does an empty string or a zero where the Go module treats it so. Fractions of `framerate` and `bitrate` are cut off,
    with a warning, or refused with `whole_only`. Without `needs_sync`, no data manager has to be named.

    Raises:
        ConfigError: an attribute is missing or wrong; it names the first one.
    """
    _check_component_name(name)
    root = Section("", attributes, whole_only=whole_only)
    storage_section = root.section("storage")
    video_section = root.section("video")
    web_section = root.section("web")

    camera = root.name("camera", "a camera")
    if camera in (name, f"{CAMERA_API}/{name}"):
        root.refuse("camera", camera, "the name of another component: a recorder cannot record itself")
    source = parse_source(root, reencode=video_section.text("codec") is not None)
    audio = root.flag("audio")
    if audio and source is None:
        root.note("The attribute audio has no effect without source: only a stream has sound.")
    source_name = root.name("source_name", "an image of the camera")
    sync = root.name("sync", _DATA_MANAGER)
    if sync is None and needs_sync:
        root.missing("sync", f"the name of {_DATA_MANAGER}")
    if root.get("storage") is None:
        root.missing("storage", 'an object with at least the quota, for example {"size_gb": 10}')

    video = _parse_video(video_section)
    config = Config(
        name=name,
        camera=camera,
        source_name=source_name,
        sync=sync,
        storage=_parse_storage(name, storage_section, video),
        video=video,
        framerate=_parse_framerate(root),
        source=source,
        audio=bool(audio),
        web=None if root.get("web") is None else parse_web(web_section),
    )
    sections = (root, storage_section, video_section, web_section)
    return config, [*(warning for one in sections for warning in one.warnings()), *_doubts(config)]


def parse_video_service(name: str, attributes: Mapping[str, Any]) -> tuple[str | Config, list[str]]:
    """Read the attributes of the video service `name`: the name of its recorder, or what a recorder of its own is.

    Raises:
        ConfigError: an attribute is missing or wrong, or both are given; it names the first one.
    """
    recorder = Section("", attributes).name(RECORDER, "a recorder of this module")
    own = {key: value for key, value in attributes.items() if key != RECORDER}
    section = Section("", own)
    if recorder is None:
        if own.get("storage") is None:
            section.missing(RECORDER, "the name of a recorder of this module, or 'storage' for one of its own")
        return parse_config(name, own, needs_sync=False)
    _check_component_name(name)
    others = [key for key in ATTRIBUTES[""] if own.get(key) is not None]
    if others:
        raise ConfigError("recorder-and-attributes", attribute=RECORDER, value=recorder, others=others)
    return recorder.removeprefix(f"{CAMERA_API}/"), section.warnings()


def parse_recording(
    name: str | None, *, storage: Mapping[str, Any], video: Mapping[str, Any], framerate: int | None = None
) -> Config:
    """Read the attributes of a recorder that runs without a machine, with the same checks and defaults.

    Without a name it has that of its directory.

    Raises:
        ConfigError: a value is missing or wrong; it names the first one.
    """
    if name is None:
        path = storage["storage_path"]
        name = Path(path).name
        try:
            _check_component_name(name)
        except ConfigError:
            expected = (
                f"a directory whose own name has 1 to {MAX_COMPONENT_NAME_BYTES} bytes, in UTF-8 and without control"
                " characters: the recording has the same name"
            )
            raise ConfigError(
                "attribute-wrong", attribute="storage.storage_path", value=path, expected=expected
            ) from None
    config, _ = parse_config(
        name,
        {"sync": "none", "storage": dict(storage), "video": dict(video), "framerate": framerate},
        whole_only=True,
    )
    return config


def parse_video(video: Mapping[str, Any], framerate: int | None = None) -> tuple[VideoConfig, int]:
    """Read how something is encoded and its frames per second, with the same checks and defaults.

    Raises:
        ConfigError: a value is wrong; it names the first one.
    """
    section = Section("video", video, whole_only=True)
    return _parse_video(section), _parse_framerate(Section("", {"framerate": framerate}, whole_only=True))


def _parse_framerate(section: Section) -> int:
    return section.integer("framerate", MAX_FRAMERATE, "frames per second") or DEFAULT_FRAMERATE


def _parse_storage(name: str, section: Section, video: VideoConfig) -> StorageConfig:
    gib = f"a number of GiB greater than 0 and at most {MAX_SIZE_GB:.0f}"
    size_gb = section.number("size_gb", gib)
    if size_gb is None:
        section.missing("size_gb", "the quota in GiB, a number greater than 0")
    if not 0 < size_gb <= MAX_SIZE_GB:
        section.refuse("size_gb", size_gb, gib)
    shortest, longest = SEGMENT_SECONDS
    seconds = f"a number of seconds from {shortest:.0f} to {longest:.0f}"
    segment_seconds = section.number("segment_seconds", seconds)
    if segment_seconds is None:
        segment_seconds = DEFAULT_SEGMENT_SECONDS
    elif not shortest <= segment_seconds <= longest:
        section.refuse("segment_seconds", segment_seconds, seconds)
    segment_bytes = video.bitrate / 8 * segment_seconds
    if size_gb * GIB < segment_bytes:
        section.refuse(
            "size_gb",
            size_gb,
            f"at least {segment_bytes / GIB:.2g} GiB, which is one segment of {shown(segment_seconds)} s at "
            f"{video.bitrate} bits per second",
        )
    min_free_gb = section.number("min_free_gb", gib)
    if min_free_gb is not None and not 0 < min_free_gb <= MAX_SIZE_GB:
        section.refuse("min_free_gb", min_free_gb, gib)
    storage_path = section.path("storage_path", f"{DEFAULT_STORAGE_PATH}/{name}")
    if len(os.fsencode(_resolved(storage_path))) > MAX_STORAGE_PATH_BYTES:
        section.refuse("storage_path", str(storage_path), f"a path of at most {MAX_STORAGE_PATH_BYTES} bytes")
    upload_path = section.path("upload_path", f"{DEFAULT_UPLOAD_PATH}/{name}")
    if _is_inside(storage_path, upload_path) or _is_inside(upload_path, storage_path):
        raise ConfigError(
            "paths-nested",
            attribute="storage.storage_path",
            value=str(storage_path),
            other="storage.upload_path",
            other_value=str(upload_path),
        )
    return StorageConfig(size_gb, storage_path, upload_path, segment_seconds, min_free_gb)


def _parse_video(section: Section) -> VideoConfig:
    given = section.text("codec", _CODEC) or DEFAULT_CODEC
    codec = given.lower()
    if not _ENCODER.fullmatch(codec):
        section.refuse("codec", given, _CODEC)
    return VideoConfig(
        format=section.choice("format", FORMATS, any_case=True) or FORMATS[0],
        codec=codec,
        bitrate=section.integer("bitrate", MAX_BITRATE, "bits per second") or DEFAULT_BITRATE,
        preset=section.choice("preset", PRESETS) or DEFAULT_PRESET,
    )


def _doubts(config: Config) -> list[str]:
    """Warnings about values that are valid but probably a mistake."""
    doubts = []
    storage = config.storage
    segment_bytes = config.video.bitrate / 8 * storage.segment_seconds
    if storage.quota_bytes < 2 * segment_bytes:
        doubts.append(
            f"The attribute storage.size_gb is {shown(storage.size_gb)}, less than two segments of "
            f"{shown(storage.segment_seconds)} s at {config.video.bitrate} bits per second: almost nothing is kept."
        )
    if _is_inside(storage.storage_path, Path(os.path.expanduser(CAPTURE_PATH))):
        doubts.append(
            f"The attribute storage.storage_path is {shown(str(storage.storage_path))}, which is inside {CAPTURE_PATH}."
            " The data manager uploads and then deletes the files there, unless its capture_dir is another directory:"
            " the recording may be lost."
        )
    return doubts


def _check_component_name(name: str) -> None:
    # It becomes the name of a directory and the beginning of file names.
    if not name or name in (".", "..") or "/" in name or CONTROL.search(name) or not is_unicode(name):
        raise ConfigError("name-no-directory", value=name)
    length = len(name.encode())
    if length > MAX_COMPONENT_NAME_BYTES:
        raise ConfigError("name-too-long", value=name, length=length, limit=MAX_COMPONENT_NAME_BYTES)


def _is_inside(path: Path, directory: Path) -> bool:
    """Whether `path` is `directory` or inside it, after links are resolved."""
    return _resolved(path).is_relative_to(_resolved(directory))


def _resolved(path: Path) -> Path:
    """Where links lead, unless the disk hangs: who opens it tells that."""
    return Path(os.path.realpath(path) if disk_answers(path) else os.path.normpath(path))
