"""Defaults and limits of the attributes."""

from __future__ import annotations

from videostore.base.constants import MIB

# Storage

DEFAULT_STORAGE_PATH = "~/.viam/video-storage"
DEFAULT_UPLOAD_PATH = "~/.viam/capture/video-upload"
"""The component's name is added to both."""

CAPTURE_PATH = "~/.viam/capture"
"""The data manager uploads and then deletes what is in it, unless its `capture_dir` is another."""

DEFAULT_SEGMENT_SECONDS = 30.0
SEGMENT_SECONDS = (1.0, 3600.0)
"""Shortest and longest length of a segment."""

MIN_FREE_BYTES = 256 * MIB
MIN_FREE_SHARE = 0.05
"""Without `min_free_gb`, the smaller of the two stays free on the device: the index, the clips and the other programs
of the machine need space as well."""

MAX_SIZE_GB = 1e9
"""An exbibyte: a number of bytes stays within SQLite's 64-bit integers."""

# Video

FORMATS = ("mp4",)
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
"""Those of x264 and x265, the fastest first."""

DEFAULT_CODEC = "h264"
DEFAULT_BITRATE = 1_000_000
DEFAULT_PRESET = "medium"
DEFAULT_FRAMERATE = 20

MAX_BITRATE = 1_000_000_000
MAX_FRAMERATE = 1000

# Web

DEFAULT_WEB_HOST = "127.0.0.1"
DEFAULT_WEB_PORT = 8600
MAX_WEB_HOSTS = 32

# Names and paths

MAX_NAME_CHARS = 255
"""Also the most bytes that a file name can have."""

MAX_COMPONENT_NAME_BYTES = 200
"""The names of clips begin with the component's: 255 bytes, less what a time and a suffix take."""

MAX_PATH_BYTES = 3840
"""Linux allows 4095 bytes: this leaves room for directories of tags and the name of a clip."""

MAX_STORAGE_PATH_BYTES = 488
"""SQLite refuses paths above 512 bytes: this leaves room for the name of the index and its journal."""
