"""The attributes of the machine config: read once, checked whole, immutable afterwards."""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from videostore.base.constants import GIB
from videostore.base.errors import ConfigError, shown

MIN_FREE_BYTES = 256 * 1024 * 1024
MIN_FREE_SHARE = 0.05
"""Unless the config says otherwise, the smaller of the two stays free on the device: the index, clips and the rest of
the machine need room as well."""

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
FORMATS = ("mp4",)

DEFAULT_STORAGE_PATH = "~/.viam/video-storage"
DEFAULT_UPLOAD_PATH = "~/.viam/capture/video-upload"
CAPTURE_PATH = "~/.viam/capture"
"""What the data manager uploads and then deletes, unless it was configured otherwise."""

DEFAULT_SEGMENT_SECONDS = 30.0
DEFAULT_CODEC = "h264"
DEFAULT_BITRATE = 1_000_000
DEFAULT_PRESET = "medium"
DEFAULT_FRAMERATE = 20

MAX_NAME_CHARS = 255
MAX_COMPONENT_NAME_BYTES = 200
"""Names of clips begin with the component's: 255 bytes, less what a time and an ending take."""
MAX_PATH_BYTES = 3840
"""Linux takes 4095 bytes: room stays for directories of tags and a clip's name."""
MAX_SIZE_GB = 1e9
"""An exbibyte: bytes stay within SQLite's 64-bit integers."""
MAX_BITRATE = 1_000_000_000
MAX_FRAMERATE = 1000
SEGMENT_SECONDS = (1.0, 3600.0)

ATTRIBUTES = {
    "": ("camera", "source_name", "sync", "storage", "video", "framerate", "yuyv"),
    "storage": ("size_gb", "storage_path", "upload_path", "segment_seconds", "min_free_gb"),
    "video": ("format", "codec", "bitrate", "preset"),
}
"""Every attribute that is known, by the object that it stands in."""
WITHOUT_EFFECT = ("yuyv",)
"""Accepted, since the Go module had them."""
_SHOWN_KEY_CHARS = 60
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """Where recordings and clips lie, and how much of them."""

    size_gb: float
    """Quota in GiB."""
    storage_path: Path
    upload_path: Path
    segment_seconds: float
    min_free_gb: float | None = None
    """What stays free on the device, in GiB, whatever the quota says; None: what the device can spare."""

    @property
    def quota_bytes(self) -> int:
        """The quota in bytes."""
        return int(self.size_gb * GIB)

    def min_free_bytes(self, device_bytes: int) -> int:
        """What stays free on a device of this size, in bytes."""
        if self.min_free_gb is None:
            return int(min(MIN_FREE_BYTES, device_bytes * MIN_FREE_SHARE))
        return int(self.min_free_gb * GIB)


@dataclass(frozen=True, slots=True)
class VideoConfig:
    """How the recording is encoded."""

    format: str
    codec: str
    """`h264`, `h265` or the name of an encoder, which the ffmpeg at hand has yet to confirm."""
    bitrate: int
    """Bits per second."""
    preset: str


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration of one component; every value is valid."""

    name: str
    camera: str | None
    """The source camera; None: nothing is recorded."""
    source_name: str | None
    """Which image of the camera; None: the first."""
    sync: str
    storage: StorageConfig
    video: VideoConfig
    framerate: int
    """How often the camera is asked, at most, per second."""


def parse_config(name: str, attributes: Mapping[str, Any]) -> tuple[Config, list[str]]:
    """Read the attributes of the component `name`; the list holds warnings, one sentence each.

    Numbers may be floats with a whole value, as protobuf delivers them. A null is an absent attribute, and so are the
    empty string and the zero where the Go module took them for one.

    Raises ConfigError with one sentence for the first attribute that is missing or wrong.
    """
    _check_component_name(name)
    root = _Section("", attributes)
    storage_section = root.section("storage")
    video_section = root.section("video")

    camera = root.name("camera")
    if camera == name:
        root.refuse("camera", camera, "the name of another component: a recorder cannot record itself")
    source_name = root.name("source_name")
    sync = root.name("sync")
    if sync is None:
        root.missing("sync", "the name of the data manager service")
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
    )
    return config, [*root.warnings(), *storage_section.warnings(), *video_section.warnings(), *_doubts(config)]


def parse_recording(
    name: str, *, storage: Mapping[str, Any], video: Mapping[str, Any], framerate: int | None = None
) -> Config:
    """The same checks and defaults for a recorder that has no machine around it.

    Raises ConfigError with one sentence for the first value that is missing or wrong.
    """
    config, _ = parse_config(
        name, {"sync": "none", "storage": dict(storage), "video": dict(video), "framerate": framerate}
    )
    return config


def parse_video(video: Mapping[str, Any], framerate: int | None = None) -> tuple[VideoConfig, int]:
    """How something is encoded, and its frames per second; with the same checks and defaults.

    Raises ConfigError with one sentence for the first value that is wrong.
    """
    return _parse_video(_Section("video", video)), _parse_framerate(_Section("", {"framerate": framerate}))


def _parse_framerate(section: _Section) -> int:
    return section.integer("framerate", MAX_FRAMERATE) or DEFAULT_FRAMERATE


def _parse_storage(name: str, section: _Section, video: VideoConfig) -> StorageConfig:
    size_gb = section.number("size_gb")
    if size_gb is None:
        section.missing("size_gb", "the quota in GiB, a number greater than 0")
    if not 0 < size_gb <= MAX_SIZE_GB:
        section.refuse("size_gb", size_gb, f"a number of GiB greater than 0 and at most {MAX_SIZE_GB:.0f}")
    segment_seconds = section.number("segment_seconds")
    shortest, longest = SEGMENT_SECONDS
    if segment_seconds is None:
        segment_seconds = DEFAULT_SEGMENT_SECONDS
    elif not shortest <= segment_seconds <= longest:
        section.refuse("segment_seconds", segment_seconds, f"a number of seconds from {shortest:.0f} to {longest:.0f}")
    segment_bytes = video.bitrate / 8 * segment_seconds
    if size_gb * GIB < segment_bytes:
        section.refuse(
            "size_gb",
            size_gb,
            f"at least {segment_bytes / GIB:.2g} GiB, which is one segment of {shown(segment_seconds)} s at "
            f"{video.bitrate} bits per second",
        )
    min_free_gb = section.number("min_free_gb")
    if min_free_gb is not None and not 0 < min_free_gb <= MAX_SIZE_GB:
        section.refuse("min_free_gb", min_free_gb, f"a number of GiB greater than 0 and at most {MAX_SIZE_GB:.0f}")
    storage_path = section.path("storage_path", f"{DEFAULT_STORAGE_PATH}/{name}")
    upload_path = section.path("upload_path", f"{DEFAULT_UPLOAD_PATH}/{name}")
    if _is_inside(storage_path, upload_path) or _is_inside(upload_path, storage_path):
        raise ConfigError(
            f"storage.storage_path {shown(str(storage_path))} and storage.upload_path {shown(str(upload_path))} must "
            "be two directories of which neither lies inside the other, because the data manager deletes what it has "
            "uploaded"
        )
    return StorageConfig(size_gb, storage_path, upload_path, segment_seconds, min_free_gb)


def _parse_video(section: _Section) -> VideoConfig:
    codec = section.text("codec") or DEFAULT_CODEC
    if not re.fullmatch(r"[a-z0-9_]{1,64}", codec):
        section.refuse("codec", codec, "h264, h265 or the name of an encoder of ffmpeg, such as h264_nvenc")
    return VideoConfig(
        format=section.choice("format", FORMATS) or FORMATS[0],
        codec=codec,
        bitrate=section.integer("bitrate", MAX_BITRATE) or DEFAULT_BITRATE,
        preset=section.choice("preset", PRESETS) or DEFAULT_PRESET,
    )


def _doubts(config: Config) -> list[str]:
    """Warnings about values that are valid but hardly meant."""
    doubts = []
    storage = config.storage
    segment_bytes = config.video.bitrate / 8 * storage.segment_seconds
    if storage.quota_bytes < 2 * segment_bytes:
        doubts.append(
            f"storage.size_gb {shown(storage.size_gb)} is less than two segments of "
            f"{shown(storage.segment_seconds)} s at {config.video.bitrate} bits per second: hardly anything is kept"
        )
    if _is_inside(storage.storage_path, Path(os.path.expanduser(CAPTURE_PATH))):
        doubts.append(
            f"storage.storage_path {shown(str(storage.storage_path))} lies inside {CAPTURE_PATH}, which a data "
            "manager uploads and then deletes unless its capture_dir is another: the recording may be lost"
        )
    return doubts


class _Section:
    """One object of the attributes, with the dotted path under which messages name its parts."""

    def __init__(self, prefix: str, values: Mapping[str, Any]) -> None:
        self._prefix = prefix
        self._values = values

    def get(self, key: str) -> object:
        """The raw value; None where it is absent."""
        return self._values.get(key)

    def section(self, key: str) -> _Section:
        """The object inside; an absent one is empty."""
        value = self.get(key)
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            self.refuse(key, value, "an object")
        return _Section(key, value)

    def text(self, key: str) -> str | None:
        """A string; None where it is absent or empty."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse(key, value, "a string")
        if "\0" in value or not _is_unicode(value):
            self.refuse(key, value, "a string without NUL and half characters")
        return value or None

    def name(self, key: str) -> str | None:
        """The name of a resource or an image; None where it is absent or empty."""
        value = self.text(key)
        if value is not None and len(value) > MAX_NAME_CHARS:
            self.refuse(key, value, f"a name of at most {MAX_NAME_CHARS} characters, not {len(value)}")
        return value

    def choice(self, key: str, choices: tuple[str, ...]) -> str | None:
        """One of some strings; None where it is absent or empty."""
        value = self.text(key)
        if value is not None and value not in choices:
            self.refuse(key, value, choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}")
        return value

    def number(self, key: str) -> float | None:
        """A finite number; None where it is absent."""
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.refuse(key, value, "a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self.refuse(key, value, "a finite number")
        return number

    def integer(self, key: str, most: int) -> int:
        """A whole number from 0 to `most`; 0, which stands for the default, where it is absent."""
        value = self.number(key)
        if value is None:
            return 0
        if not value.is_integer() or not 0 <= value <= most:
            self.refuse(key, self.get(key), f"a whole number greater than 0 and at most {most}")
        return int(value)

    def path(self, key: str, default: str) -> Path:
        """An absolute path, with `~` expanded."""
        given = self.text(key)
        expanded = os.path.expanduser(given or default)
        if _CONTROL.search(expanded):  # a line break would end the line of a list for ffmpeg
            self.refuse(key, expanded, "a path without line breaks and other control characters")
        if not os.path.isabs(expanded):
            if given is None:
                self.missing(key, f"an absolute path, because there is no home directory for the default {default}")
            self.refuse(key, given, "an absolute path or one that begins with ~/")
        encoded = expanded.encode(errors="surrogateescape")
        if len(encoded) > MAX_PATH_BYTES:
            self.refuse(key, expanded, f"a path of at most {MAX_PATH_BYTES} bytes")
        if max(map(len, encoded.split(b"/"))) > MAX_NAME_CHARS:
            self.refuse(key, expanded, f"a path of directories whose names have at most {MAX_NAME_CHARS} bytes")
        return Path(expanded)

    def warnings(self) -> list[str]:
        """One sentence for every attribute that is not known or has no effect."""
        warnings = []
        for key in self._values:
            if key not in ATTRIBUTES[self._prefix]:
                meant = _meant(self._prefix, key)
                hint = f"; did you mean {meant}?" if meant else ""
                warnings.append(f"The attribute {_shown_key(self._dotted(key))} is not known and is ignored{hint}")
            elif key in WITHOUT_EFFECT and self.get(key) is not None:
                warnings.append(f"The attribute {self._dotted(key)} has no effect any more and can be removed")
        return warnings

    def missing(self, key: str, right: str) -> NoReturn:
        """Raise ConfigError for an attribute that has to be there."""
        dotted = self._dotted(key)
        misspelt = next((other for other in self._values if _meant(self._prefix, other) == dotted), None)
        hint = f"; is {_shown_key(self._dotted(misspelt))} a misspelling of it?" if misspelt is not None else ""
        raise ConfigError(f"The attribute {dotted} is missing: it must be {right}{hint}")

    def refuse(self, key: str, value: object, right: str) -> NoReturn:
        """Raise ConfigError for an attribute with a wrong value."""
        raise ConfigError(f"The attribute {self._dotted(key)} is {shown(value)}, but must be {right}")

    def _dotted(self, key: str) -> str:
        return f"{self._prefix}.{key}" if self._prefix else str(key)


def _check_component_name(name: str) -> None:
    # The name becomes a directory and the beginning of files' names.
    if not name or name in (".", "..") or "/" in name or _CONTROL.search(name) or not _is_unicode(name):
        raise ConfigError(f"The component's name {shown(name)} cannot be the name of a directory: rename the component")
    if len(name.encode()) > MAX_COMPONENT_NAME_BYTES:
        raise ConfigError(
            f"The component's name {shown(name)} is {len(name.encode())} bytes long, but must have at most "
            f"{MAX_COMPONENT_NAME_BYTES}"
        )


def _meant(prefix: str, key: object) -> str | None:
    """The dotted name of the known attribute that an unknown one of the section `prefix` resembles most."""
    wanted = str(key)[:MAX_NAME_CHARS].lower()
    known = {leaf: section for section, leaves in ATTRIBUTES.items() if section != prefix for leaf in leaves}
    if wanted in known:
        return f"{known[wanted]}.{wanted}" if known[wanted] else wanted
    close = difflib.get_close_matches(wanted, ATTRIBUTES[prefix], n=1)
    if not close:
        return None
    return f"{prefix}.{close[0]}" if prefix else close[0]


def _is_inside(path: Path, directory: Path) -> bool:
    """Whether `path` is `directory` or lies under it, links resolved."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown_key(dotted: str) -> str:
    return dotted if len(dotted) <= _SHOWN_KEY_CHARS and dotted.isprintable() else shown(dotted)
