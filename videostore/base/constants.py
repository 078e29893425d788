"""Figures that more than one package uses, each with its reason. Others are in the module that uses them."""

from __future__ import annotations

US_PER_SECOND = 1_000_000
"""Times inside videostore are whole microseconds since the Unix epoch, UTC."""

MIB = 1 << 20
GIB = 1 << 30

# Recording

KEYFRAME_INTERVAL_S = 1
"""Decoding can begin this often: in a clip, and in a recording that was cut off. Shorter costs more bits, and longer
loses more."""

CAPTURED_AT_PLAUSIBLE_US = 5 * US_PER_SECOND
"""If a camera's own time differs more than this from ours, the time of arrival is used instead."""

CAMERA_SILENCE_S = 2.0
"""No new frame for this long is a gap, unless the camera is known to be that slow."""

CAMERA_SLOW_FACTOR = 3.0
"""A camera with a long frame interval has a gap after this many intervals without a frame."""

CAMERA_PATIENCE_S = 30.0
"""The first request to a silent camera may take this long. Later requests are sent meanwhile."""

FFMPEG_STUCK_S = 10.0
"""An ffmpeg that reads no byte for this long is killed, and a new run begins."""

FFMPEG_FINISH_S = 2.0
"""Time for ffmpeg to write its last frames at the end of a run. The module must exit within 3 s after SIGTERM."""

FFMPEG_BACKOFF_S = (0.2, 30.0)
"""First and longest pause before a failed ffmpeg is started again."""

FILE_ROUNDING_US = 2
"""A file may tell a time so much off: it counts in units of its own."""

# Index and quota

RANGE_SLOP_US = 5 * US_PER_SECOND
"""Neighbours with a gap of at most this length are one range of `stored_video`, as in the Go module."""

LONGEST_SEGMENT_US = 3600 * US_PER_SECOND
"""The maximum of `storage.segment_seconds`. A file that claims to be longer is damaged or not a segment."""

# Clips

CLOCK_LEEWAY_US = 5 * US_PER_SECOND
"""`to` may be this far in the future, because the clocks of clients differ from ours."""

CUT_NICENESS = 10
"""Cutting has a lower priority than recording."""

FASTSTART_BYTES = 256 * MIB
"""Up to this size a clip's index is moved to its beginning, so that it plays while it loads. For larger clips this
takes too long."""

MAX_STEP_IN_RUN_US = 60 * US_PER_SECOND
"""No camera is silent for so long within a run: if a packet is this much later than the last one, the clock was
stepped."""

NEIGHBOUR_US = MAX_STEP_IN_RUN_US
"""Neighbours of a range are searched for within this distance: they tell how long the last frames before them last."""

KNOWN_WITHIN_S = 10.0
"""A request waits this long for an index that is being rebuilt, before it is refused."""

CLOSE_SAVES_S = 0.7
"""Time for requests and saves to finish when the module is stopped, out of its 3 s."""

JOIN_US = 200_000
"""Segments of different runs that are no further apart, as after a change of the image size, play without a gap."""

NOTHING_YET = "no image has arrived yet"
"""Why nothing is recorded, until there is another reason."""

STOPPED = "the recorder was stopped"
"""Why nothing is recorded behind the last frame of a recorder that ends."""

# Programs

READING_CHILD = "reading-child"
"""The first argument that makes the program read segments for another process. No user types it."""
WEB_CHILD = "web-child"
"""The first argument that makes the program the server of a module's page. No user types it."""

PICTURE_CHILD = "picture-child"
"""The one that makes it a decoder of pictures."""
