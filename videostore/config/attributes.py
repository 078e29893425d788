"""Reads the attributes of the machine config, and checks all of them."""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from videostore.base.constants import GIB
from videostore.base.errors import ConfigError, shown, shown_name
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
    MAX_NAME_CHARS,
    MAX_PATH_BYTES,
    MAX_SIZE_GB,
    MAX_STORAGE_PATH_BYTES,
    PRESETS,
    SEGMENT_SECONDS,
)
from videostore.config.model import Config, StorageConfig, VideoConfig

ATTRIBUTES = {
    "": ("camera", "source_name", "sync", "storage", "video", "framerate", "yuyv"),
    "storage": ("size_gb", "storage_path", "upload_path", "segment_seconds", "min_free_gb"),
    "video": ("format", "codec", "bitrate", "preset"),
}
"""Every known attribute, by the object that contains it."""
CAMERA_API = "rdk:component:camera"
"""What the full name of a camera begins with."""
WITHOUT_EFFECT = ("yuyv",)
"""Attributes of the Go module that are accepted and ignored."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ENCODER = re.compile(r"[a-z0-9_]{1,64}")


def parse_config(name: str, attributes: Mapping[str, Any], *, whole_only: bool = False) -> tuple[Config, list[str]]:
    """Read the attributes of the component `name`. The list holds warnings, one sentence each.

    Numbers may be floats with a whole value, as protobuf delivers them. A null counts as a missing attribute, and so
    does an empty string or a zero where the Go module treats it so. Fractions of `framerate` and `bitrate` are cut off,
    with a warning, or refused with `whole_only`.

    Raises:
        ConfigError: an attribute is missing or wrong; it names the first one.
    """
    _check_component_name(name)
    root = _Section("", attributes, whole_only=whole_only)
    storage_section = root.section("storage")
    video_section = root.section("video")

    camera = root.name("camera")
    if camera in (name, f"{CAMERA_API}/{name}"):
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
    """Read the attributes of a recorder that runs without a machine, with the same checks and defaults.

    Raises:
        ConfigError: a value is missing or wrong; it names the first one.
    """
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
    section = _Section("video", video, whole_only=True)
    return _parse_video(section), _parse_framerate(_Section("", {"framerate": framerate}, whole_only=True))


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
    if len(os.fsencode(os.path.realpath(storage_path))) > MAX_STORAGE_PATH_BYTES:
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


def _parse_video(section: _Section) -> VideoConfig:
    given = section.text("codec") or DEFAULT_CODEC
    codec = given.lower()
    if not _ENCODER.fullmatch(codec):
        section.refuse("codec", given, "h264, h265 or the name of an ffmpeg encoder, such as h264_nvenc")
    return VideoConfig(
        format=section.choice("format", FORMATS, any_case=True) or FORMATS[0],
        codec=codec,
        bitrate=section.integer("bitrate", MAX_BITRATE) or DEFAULT_BITRATE,
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


class _Section:
    """One object of the attributes, with the dotted name that errors give its parts."""

    def __init__(self, prefix: str, values: Mapping[str, Any], *, whole_only: bool = False) -> None:
        """With `whole_only`, a fraction of an attribute that is a whole number is refused."""
        self._prefix = prefix
        self._values = values
        self._whole_only = whole_only
        self._notes: list[str] = []
        """Warnings about what was read so far."""

    def get(self, key: str) -> object:
        """The value as it was given; None if it is missing."""
        return self._values.get(key)

    def section(self, key: str) -> _Section:
        """The object inside; empty if it is missing."""
        value = self.get(key)
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            self.refuse(key, value, "an object")
        return _Section(key, value, whole_only=self._whole_only)

    def text(self, key: str) -> str | None:
        """A string; None if it is missing or empty."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse(key, value, "a string")
        if "\0" in value or not _is_unicode(value):
            self.refuse(key, value, "a string without NUL characters and lone surrogates")
        return value or None

    def name(self, key: str) -> str | None:
        """The name of a resource or an image; None if it is missing or empty."""
        value = self.text(key)
        if value is not None and len(value) > MAX_NAME_CHARS:
            self.refuse(key, value, f"a name of at most {MAX_NAME_CHARS} characters, not {len(value)}")
        return value

    def choice(self, key: str, choices: tuple[str, ...], *, any_case: bool = False) -> str | None:
        """One of some strings; None if it is missing or empty. With `any_case`, capitals are read as small letters."""
        given = self.text(key)
        value = given.lower() if given is not None and any_case else given
        if value is not None and value not in choices:
            self.refuse(key, given, choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}")
        return value

    def number(self, key: str) -> float | None:
        """A finite number; None if it is missing."""
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
        """A whole number from 0 to `most`; 0, which stands for the default, if it is missing.

        A fraction is cut off, as by the Go module, but never to 0.
        """
        value = self.number(key)
        if value is None:
            return 0
        whole = max(int(value), math.ceil(min(value, 1)))
        if not 0 <= value <= most or (whole != value and self._whole_only):
            self.refuse(key, self.get(key), f"a whole number greater than 0 and at most {most}")
        if whole != value:
            self._notes.append(f"The attribute {self._dotted(key)} is {shown(value)}. It is taken as {whole}.")
        return whole

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
            self.refuse(key, expanded, f"a path in which each name has at most {MAX_NAME_CHARS} bytes")
        return Path(expanded)

    def warnings(self) -> list[str]:
        """One sentence for every attribute that is unknown, has no effect, or is not used as it is."""
        warnings = list(self._notes)
        for key in self._values:
            if key not in ATTRIBUTES[self._prefix]:
                similar = _similar(self._prefix, key)
                hint = f" Did you mean {similar}?" if similar else ""
                warnings.append(f"The attribute {shown_name(self._dotted(key))} is unknown and is ignored.{hint}")
            elif key in WITHOUT_EFFECT and self.get(key) is not None:
                warnings.append(f"The attribute {self._dotted(key)} no longer has an effect. It can be removed.")
        return warnings

    def missing(self, key: str, expected: str) -> NoReturn:
        """Raise ConfigError for a required attribute that is missing."""
        attribute = self._dotted(key)
        others = (other for other in self._values if other != key)
        misspelt = next((other for other in others if _similar(self._prefix, other) == attribute), None)
        if misspelt is None:
            raise ConfigError("attribute-missing", attribute=attribute, expected=expected)
        raise ConfigError(
            "attribute-misspelt", attribute=attribute, expected=expected, found=self._dotted(str(misspelt))
        )

    def refuse(self, key: str, value: object, expected: str) -> NoReturn:
        """Raise ConfigError for an attribute with a wrong value."""
        raise ConfigError("attribute-wrong", attribute=self._dotted(key), value=value, expected=expected)

    def _dotted(self, key: str) -> str:
        return f"{self._prefix}.{key}" if self._prefix else str(key)


def _check_component_name(name: str) -> None:
    # It becomes the name of a directory and the beginning of file names.
    if not name or name in (".", "..") or "/" in name or _CONTROL.search(name) or not _is_unicode(name):
        raise ConfigError("name-no-directory", value=name)
    length = len(name.encode())
    if length > MAX_COMPONENT_NAME_BYTES:
        raise ConfigError("name-too-long", value=name, length=length, limit=MAX_COMPONENT_NAME_BYTES)


def _similar(prefix: str, key: object) -> str | None:
    """The dotted name of the known attribute that is most similar to an unknown one of the section `prefix`."""
    wanted = str(key)[:MAX_NAME_CHARS].lower()
    known = {leaf: section for section, leaves in ATTRIBUTES.items() if section != prefix for leaf in leaves}
    if wanted in known:
        return f"{known[wanted]}.{wanted}" if known[wanted] else wanted
    close = difflib.get_close_matches(wanted, ATTRIBUTES[prefix], n=1)
    if not close:
        return None
    return f"{prefix}.{close[0]}" if prefix else close[0]


def _is_inside(path: Path, directory: Path) -> bool:
    """Whether `path` is `directory` or inside it, after links are resolved."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
