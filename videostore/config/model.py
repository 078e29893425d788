"""The configuration of one recorder: checked, complete and immutable."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from videostore.base.constants import GIB
from videostore.config.defaults import MIN_FREE_BYTES, MIN_FREE_SHARE


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """Where recordings and clips are stored, and how much of them."""

    size_gb: float
    """Quota in GiB."""
    storage_path: Path
    """Directory of the recording."""
    upload_path: Path
    """Directory of the saved clips."""
    segment_seconds: float
    """Length of a segment in seconds."""
    min_free_gb: float | None = None
    """Space that stays free on the device in GiB, regardless of the quota; None: a share of the device."""

    @property
    def quota_bytes(self) -> int:
        """The quota in bytes."""
        return round(self.size_gb * GIB)

    def min_free_bytes(self, device_bytes: int) -> int:
        """Space in bytes that stays free on a device of this size."""
        return min_free_bytes(self.min_free_gb, device_bytes)


def min_free_bytes(min_free_gb: float | None, device_bytes: int) -> int:
    """Space in bytes that stays free on a device of this size, by the attribute `min_free_gb`."""
    if min_free_gb is None:
        return int(min(MIN_FREE_BYTES, device_bytes * MIN_FREE_SHARE))
    return int(min_free_gb * GIB)


@dataclass(frozen=True, slots=True)
class VideoConfig:
    """How the recording is encoded."""

    format: str
    """Container of the segments: `mp4`."""
    codec: str
    """`h264`, `h265`, or the name of an encoder. Whether the installed ffmpeg has it is checked at the start."""
    bitrate: int
    """Bits per second."""
    preset: str
    """Speed of the encoder, one of x264's presets."""


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """A stream that the recorder pulls itself."""

    url: str = field(repr=False)
    """A URL or a device, with its password."""
    options: tuple[tuple[str, str], ...] = field(repr=False)
    """ffmpeg's options for the input, without a dash."""
    reencode: bool
    """Whether it is encoded as `video` says; otherwise H.264 and H.265 are taken as they come."""


@dataclass(frozen=True, slots=True)
class WebConfig:
    """Where the page is served, and to whom."""

    host: str
    """The address of this machine that it is served on: a name or an IP address, without brackets."""
    port: int
    password_file: Path | None = None
    """File whose first line is the password."""
    password_env: str | None = None
    """Environment variable that holds the password."""
    hosts: tuple[str, ...] = ()
    """Other names and addresses by which browsers may call it, in small letters."""

    @property
    def has_password(self) -> bool:
        """Whether a password is needed. It is always, unless only this machine reaches the page."""
        return self.password_file is not None or self.password_env is not None

    @property
    def address(self) -> str:
        """Host and port, as a URL has them."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration of one component. Every value is valid."""

    name: str
    """The component's name."""
    camera: str | None
    """Name of the camera; None: without a source nothing is recorded."""
    source_name: str | None
    """Which of the camera's images is recorded; None: the first."""
    sync: str | None
    """Name of the data manager service; None: what is saved is not uploaded."""
    storage: StorageConfig
    video: VideoConfig
    framerate: int
    """The camera is asked for an image at most this many times per second."""
    source: SourceConfig | None = None
    """The stream that is recorded instead of the camera's images."""
    audio: bool = False
    """Whether its sound is recorded too."""
    web: WebConfig | None = None
    """Where the page is served; None: nowhere."""
