"""The figures that steer the recorder, each with its reason."""

from __future__ import annotations

US_PER_SECOND = 1_000_000
"""Times inside videostore are whole microseconds since the Unix epoch, UTC."""

MIB = 1 << 20
GIB = 1 << 30

# Recording

KEYFRAME_INTERVAL_S = 1
"""To within this a clip can begin decoding, and a killed recording be read. Shorter costs bits, longer loses more."""

CAPTURED_AT_PLAUSIBLE_US = 5 * US_PER_SECOND
"""A camera's own time this far from ours is not believed: the arrival is taken instead."""

CAMERA_SILENCE_S = 2.0
"""No new frame for this long is a gap, unless the camera is known to be that slow."""

CAMERA_SLOW_FACTOR = 3.0
"""A camera whose usual frame interval is long may be silent this many intervals before it is a gap."""

CAMERA_PATIENCE_S = 30.0
"""The first request of a silent camera may take this long; later ones are repeated beside it."""

FFMPEG_STUCK_S = 10.0
"""An ffmpeg that has not taken a byte for this long is killed, and a new run begins."""

FFMPEG_FINISH_S = 2.0
"""Time for ffmpeg to write what it holds at the end of a run; the module must be gone 3 s after SIGTERM."""

FFMPEG_BACKOFF_S = (0.2, 30.0)
"""First and longest pause before ffmpeg is started again after it failed."""

# Index and quota

RANGE_SLOP_US = 5 * US_PER_SECOND
"""Neighbours whose gap is at most this are one range of `stored_video`, as in the Go module."""

NEIGHBOUR_US = 30 * US_PER_SECOND
"""How far beyond a range its neighbours are looked for, which tell how long the last frames before them lasted."""

LONGEST_SEGMENT_US = 3600 * US_PER_SECOND
"""What `storage.segment_seconds` allows at most. A file that claims more is damaged, or no segment."""

# Clips

CLOCK_LEEWAY_US = 5 * US_PER_SECOND
"""`to` may lie this far ahead: clients' clocks differ from ours."""

CUT_NICENESS = 10
"""Cutting yields to recording."""

FASTSTART_BYTES = 256 * 1024 * 1024
"""Up to this a clip's index is moved to its front, so that it plays while it loads; beyond, that costs too much."""

MAX_STEP_IN_RUN_US = 60 * US_PER_SECOND
"""No camera is waited for so long: a packet this far behind the last was dated by a clock that was stepped."""

KNOWN_WITHIN_S = 10.0
"""A request waits this long for an index that is being rebuilt, before it is told to come again."""

CLOSE_SAVES_S = 0.7
"""What requests get at the end of the module, out of its 3 s."""

JOIN_US = 200_000
"""Segments of different runs that lie no further apart (a change of picture size) play on without a gap."""

# Inputs of ffmpeg
