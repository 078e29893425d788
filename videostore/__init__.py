"""videostore: turns any Viam camera into a security recorder.

Who owns what, and how long it lives:

- `VideoStore` (store) lives as long as the configured resource. From `start` to `close` it owns all of its parts, which
  `StoreParts` lists in the order in which they start.
- `Recorder` takes packets from a `Source` and owns one `Run` at a time: an ffmpeg that writes segments into the storage
  directory, until the source pauses, its images change size, the clock is stepped, or ffmpeg fails.
- `Archive` owns the `Index` (SQLite, in a `Database` that outlives its file) and gives each finished segment its name.
- `StorageMaintainer` keeps the index in step with the directory, by the events of a `Watcher` and by slow walks, and
  recreates what was removed; `Retention` deletes the oldest segments beyond the quota, but not what `RetentionHolds`
  keep.
- `FFmpegInput` is a source for anything that ffmpeg can open: a `Demuxer` reads it, `ArrivalTimeEstimator` dates live
  frames.
- `ClipPlanner` finds what is stored of a range and makes a `Plan`; `ClipCutter` runs the ffmpeg commands for it, in
  `Workspaces`; `Delivery` returns the clip as a file, as bytes or as a stream; `Uploads` names saved clips; `SaveQueue`
  keeps pending saves over restarts.
- Every clip tells its own time in its tags (`ClipTimes`), which `clip_times` and `clip_frame` read from its file.
- A read-only store works on a snapshot of the index, and follows what others do to the directory.
- `videostore.web` shows recorders in a browser, by read-only stores. A module runs it as a process for each address
  (`WebProcess`), which the last recorder with that address ends (`WebServers`).
- `videostore.viam` is the module around it, `videostore.remote` reaches a recorder on another machine, and
  `videostore.cli` is the command line; nothing below them knows of Viam or of a terminal.

Times are whole microseconds since the Unix epoch, UTC (`_us`); local time is only where people write or read it.

The names below are the public library. Each is imported when it is first used, because the parts together take longer
to import than most commands take to run.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videostore.base.clock import Clock
    from videostore.base.errors import (
        ConfigError,
        FFmpegError,
        MachineError,
        NoRoomError,
        NothingStoredError,
        RequestError,
        Style,
        TimestampError,
        TooLargeError,
        UnknownSaveError,
        UnreadableRangeError,
        VideoStoreError,
    )
    from videostore.base.files import AnyPath
    from videostore.base.ranges import DamagedRange, Range
    from videostore.base.time_parsing import Moment
    from videostore.clips.picture import Snapshot
    from videostore.clips.progress import OnProgress
    from videostore.config.model import StorageConfig, VideoConfig
    from videostore.ffmpeg.encoder import Encoder
    from videostore.media.bad_picture import BadPictureError
    from videostore.media.clip_reader import ClipFrame, clip_frame, clip_times
    from videostore.media.clip_times import ClipStretch, ClipTimes
    from videostore.media.damage_mark import DamageMark
    from videostore.media.images import picture_packet
    from videostore.media.packet import Gap, Packet, Source, StreamFormat
    from videostore.media.sound import SoundFormat, SoundPacket
    from videostore.recording.health import RecorderHealth
    from videostore.sources.ffmpeg_input import FFmpegInput
    from videostore.sources.probing import StreamInfo
    from videostore.storage.findings import Finding, Problem, VerificationReport
    from videostore.storage.notes_text import Event, RecordingGap
    from videostore.storage.repair import repair_directory
    from videostore.storage.replaced_files import ReplacedFile
    from videostore.storage.save_record import SaveJob, SaveOutcome, SaveStatus
    from videostore.storage.verify import OnFile, verify_directory
    from videostore.store.footage_import import import_file
    from videostore.store.reading import FETCH_LIMIT_BYTES
    from videostore.store.results import (
        ExportedClip,
        FetchedClip,
        Health,
        ImportedFile,
        OnDamaged,
        OnRanges,
        SavedClip,
        StorageState,
    )
    from videostore.store.store import VideoStore

__version__ = "0.1.0"

__all__ = [
    "FETCH_LIMIT_BYTES",
    "AnyPath",
    "BadPictureError",
    "ClipFrame",
    "ClipStretch",
    "ClipTimes",
    "Clock",
    "ConfigError",
    "DamageMark",
    "DamagedRange",
    "Encoder",
    "Event",
    "ExportedClip",
    "FFmpegError",
    "FFmpegInput",
    "FetchedClip",
    "Finding",
    "Gap",
    "Health",
    "ImportedFile",
    "MachineError",
    "Moment",
    "NoRoomError",
    "NothingStoredError",
    "OnDamaged",
    "OnFile",
    "OnProgress",
    "OnRanges",
    "Packet",
    "Problem",
    "Range",
    "RecorderHealth",
    "RecordingGap",
    "ReplacedFile",
    "RequestError",
    "SaveJob",
    "SaveOutcome",
    "SaveStatus",
    "SavedClip",
    "Snapshot",
    "SoundFormat",
    "SoundPacket",
    "Source",
    "StorageConfig",
    "StorageState",
    "StreamFormat",
    "StreamInfo",
    "Style",
    "TimestampError",
    "TooLargeError",
    "UnknownSaveError",
    "UnreadableRangeError",
    "VerificationReport",
    "VideoConfig",
    "VideoStore",
    "VideoStoreError",
    "__version__",
    "clip_frame",
    "clip_times",
    "import_file",
    "picture_packet",
    "repair_directory",
    "verify_directory",
]

_MODULES = {
    "videostore.base.clock": ("Clock",),
    "videostore.base.errors": (
        "ConfigError",
        "FFmpegError",
        "MachineError",
        "NoRoomError",
        "NothingStoredError",
        "RequestError",
        "Style",
        "TimestampError",
        "TooLargeError",
        "UnknownSaveError",
        "UnreadableRangeError",
        "VideoStoreError",
    ),
    "videostore.base.files": ("AnyPath",),
    "videostore.base.ranges": (
        "DamagedRange",
        "Range",
    ),
    "videostore.base.time_parsing": ("Moment",),
    "videostore.clips.picture": ("Snapshot",),
    "videostore.clips.progress": ("OnProgress",),
    "videostore.config.model": (
        "StorageConfig",
        "VideoConfig",
    ),
    "videostore.ffmpeg.encoder": ("Encoder",),
    "videostore.media.clip_reader": (
        "ClipFrame",
        "clip_frame",
        "clip_times",
    ),
    "videostore.media.clip_times": (
        "ClipStretch",
        "ClipTimes",
    ),
    "videostore.media.bad_picture": ("BadPictureError",),
    "videostore.media.damage_mark": ("DamageMark",),
    "videostore.media.images": ("picture_packet",),
    "videostore.media.packet": (
        "Gap",
        "Packet",
        "Source",
        "StreamFormat",
    ),
    "videostore.media.sound": (
        "SoundFormat",
        "SoundPacket",
    ),
    "videostore.recording.health": ("RecorderHealth",),
    "videostore.sources.ffmpeg_input": ("FFmpegInput",),
    "videostore.sources.probing": ("StreamInfo",),
    "videostore.storage.findings": (
        "Finding",
        "Problem",
        "VerificationReport",
    ),
    "videostore.storage.notes_text": ("Event", "RecordingGap"),
    "videostore.storage.repair": ("repair_directory",),
    "videostore.storage.replaced_files": ("ReplacedFile",),
    "videostore.storage.save_record": (
        "SaveJob",
        "SaveOutcome",
        "SaveStatus",
    ),
    "videostore.storage.verify": ("OnFile", "verify_directory"),
    "videostore.store.footage_import": ("import_file",),
    "videostore.store.reading": ("FETCH_LIMIT_BYTES",),
    "videostore.store.results": (
        "ExportedClip",
        "FetchedClip",
        "Health",
        "ImportedFile",
        "OnDamaged",
        "OnRanges",
        "SavedClip",
        "StorageState",
    ),
    "videostore.store.store": ("VideoStore",),
}
"""The public names by the modules that define them; the same as the imports above, which are for type checkers."""

_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:  # type checkers would take any name as defined

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_MODULE_OF[name]), name)
        globals()[name] = value  # the next access does not come here
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
