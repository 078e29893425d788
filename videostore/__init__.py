"""videostore: turns any Viam camera into a security recorder.

Who owns what, and how long it lives:

- `VideoStore` (store) lives as long as the configured resource and owns everything below, from `start` to `close`.
- `Recorder` takes packets from a `Source` and owns one `Run` at a time: an ffmpeg that writes segments into the storage
  directory, until the source pauses, its images change size, the clock is stepped, or ffmpeg fails.
- `Archive` owns the `Index` (SQLite, in a `Database` that outlives its file) and gives each finished segment its name.
- `StorageMaintainer` keeps the index in step with the directory, by the events of a `Watcher` and by slow walks, and
  recreates what was removed; `Retention` deletes the oldest segments beyond the quota, but not what `RetentionHolds`
  keep.
- `FFmpegInput` is a source for anything that ffmpeg can open: a `Demuxer` reads it, `ArrivalTimeEstimator` dates live
  frames.
- `ClipCutter` makes a `Plan` of a range and cuts it, in `Workspaces`; `Delivery` returns the clip as a file, as bytes
  or as a stream; `Uploads` names saved clips; `SaveQueue` keeps pending saves over restarts.
- A read-only store works on a snapshot of the index, and follows what others do to the directory.
- `videostore.viam` is the module around it, `videostore.remote` reaches a recorder on another machine, and
  `videostore.cli` is the command line; nothing below them knows of Viam or of a terminal.

Times are whole microseconds since the Unix epoch, UTC (`_us`); local time stands only where people write or read it.
"""

from videostore.base.errors import (
    ConfigError,
    FFmpegError,
    NoRoomError,
    NothingStoredError,
    RequestError,
    TimestampError,
    TooLargeError,
    UnknownSaveError,
    UnreadableRangeError,
    VideoStoreError,
)
from videostore.base.ranges import Range
from videostore.base.time_parsing import Moment
from videostore.media.images import BadPictureError, picture_packet
from videostore.media.packet import Gap, Packet, Source, StreamFormat
from videostore.sources.ffmpeg_input import FFmpegInput
from videostore.sources.probing import StreamInfo
from videostore.storage.findings import Finding, Problem, VerificationReport
from videostore.storage.repair import repair_directory
from videostore.storage.save_record import SaveJob, SaveStatus
from videostore.storage.verify import verify_directory
from videostore.store.results import ExportedClip, FetchedClip, Health, SavedClip, StorageState
from videostore.store.store import VideoStore

__version__ = "0.1.0"

__all__ = [
    "BadPictureError",
    "ConfigError",
    "ExportedClip",
    "FFmpegError",
    "FFmpegInput",
    "FetchedClip",
    "Finding",
    "Gap",
    "Health",
    "Moment",
    "NoRoomError",
    "NothingStoredError",
    "Packet",
    "Problem",
    "Range",
    "RequestError",
    "SaveJob",
    "SaveStatus",
    "SavedClip",
    "Source",
    "StorageState",
    "StreamFormat",
    "StreamInfo",
    "TimestampError",
    "TooLargeError",
    "UnknownSaveError",
    "UnreadableRangeError",
    "VerificationReport",
    "VideoStore",
    "VideoStoreError",
    "__version__",
    "picture_packet",
    "repair_directory",
    "verify_directory",
]
