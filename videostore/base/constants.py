"""The figures that steer the recorder, each with its reason."""

from __future__ import annotations

US_PER_SECOND = 1_000_000
"""Times inside videostore are whole microseconds since the Unix epoch, UTC."""

# Recording

KEYFRAME_INTERVAL_S = 1
"""To within this a clip can begin decoding, and a killed recording be read. Shorter costs bits, longer loses more."""

CLOCK_STEP_US = 100_000
"""Slewing moves the wall clock against the monotonic one by 0.5 ms a second at most; more at once is a step."""

CAPTURED_AT_PLAUSIBLE_US = 5 * US_PER_SECOND
"""A camera's own time this far from ours is not believed: the arrival is taken instead."""

CAPTURED_AT_DISTRUST_S = 60.0
"""Once a camera's time was not believed, arrivals are used this long: changing back and forth would shuffle frames."""

CAMERA_SILENCE_S = 2.0
"""No new frame for this long is a gap, unless the camera is known to be that slow."""

CAMERA_ERROR_GAP_S = 1.0
"""A camera that answers with errors or garbage for this long makes a gap: its last picture must not stand still."""

CAMERA_SLOW_FACTOR = 3.0
"""A camera whose usual frame interval is long may be silent this many intervals before it is a gap."""

CAMERA_PATIENCE_S = 30.0
"""The first request of a silent camera may take this long; later ones are repeated beside it."""

CAMERA_RETRY_S = 0.2
"""Pause after an answer with an error, so that a broken camera costs no busy loop."""

BACKLOG_FRAMES = 20
BACKLOG_BYTES = 32 * 1024 * 1024
"""What waits for a slow ffmpeg, one second at the default rate; beyond either bound new frames are dropped, counted."""

FFMPEG_STUCK_S = 10.0
"""An ffmpeg that has not taken a byte for this long is killed, and a new run begins."""

FFMPEG_FINISH_S = 2.0
"""Time for ffmpeg to write what it holds at the end of a run; the module must be gone 3 s after SIGTERM."""

KEPT_FOR_REPEAT_S = 30.0
"""Of a source that can wait, so much is kept of what ffmpeg was given, to be written again if ffmpeg fails: more than
an encoder holds, and than lies between two keyframes."""

FINISH_PATIENCE_S = 30.0
"""At the end of a source that can wait, ffmpeg may take as long as it likes, if only its files grow within this."""

FFMPEG_BACKOFF_S = (0.2, 30.0)
"""First and longest pause before ffmpeg is started again after it failed."""

FFMPEG_HEALTHY_S = 10.0
"""A run that lasted this long resets the back-off."""

PIPE_BYTES = 1024 * 1024
"""Size asked for the pipe to ffmpeg (Linux): a whole picture per write instead of 64 KiB at a time."""

SYNC_INTERVAL_S = 0.5
"""How often the open segment is forced to stable storage: a power cut loses this, one keyframe interval, and what is on
its way; less than 2 s in all."""

# Index and quota

INDEX_BUSY_S = 2.0
"""Another process may lock the index this long; after that it goes on in memory."""

INDEX_RETRY_S = 10.0
"""An index that works in memory tries this often to return to its file."""

RANGE_SLOP_US = 5 * US_PER_SECOND
"""Neighbours whose gap is at most this are one range of `stored_video`, as in the Go module."""

TOUCHING_US = 2 * US_PER_SECOND
"""Segments of one run that lie no further apart belong together: the distance is the last frame's true duration."""

NEIGHBOUR_US = 30 * US_PER_SECOND
"""How far beyond a range its neighbours are looked for, which tell how long the last frames before them lasted."""

RESCAN_INTERVAL_S = 600.0
"""Slow walk over the directory behind the file events, which a full kernel queue drops silently."""

LONGEST_SEGMENT_US = 3600 * US_PER_SECOND
"""What `storage.segment_seconds` allows at most. A file that claims more is damaged, or no segment."""

UNREADABLE_AGE_S = 30 * 60
"""A file that cannot be read is left alone while it is younger: somebody may still be writing it."""

MIN_FREE_BYTES = 256 * 1024 * 1024
MIN_FREE_SHARE = 0.05
"""Unless the config says otherwise, the smaller of the two stays free on the device: the index, clips and the rest of
the machine need room as well."""

DELETE_BATCH = 50
"""Segments deleted in one go before other work gets its turn."""

# Clips

CLOCK_LEEWAY_US = 5 * US_PER_SECOND
"""`to` may lie this far ahead: clients' clocks differ from ours."""

GRPC_MESSAGE_BYTES = 1 << 25
"""viam-server carries messages up to 32 MiB."""

FETCH_LIMIT_BYTES = 25_165_788
"""Raw bytes that fit into such a message as base64 in JSON-like framing: (2^25 - 32 bytes of framing) x 3/4."""

FETCHES_AT_ONCE = 2
SAVES_AT_ONCE = 1
STREAMS_AT_ONCE = 4
"""ffmpeg children that cut clips at the same time; the rest wait in order. Long saves must not keep fetches waiting,
nor must streams, which last as long as their reader takes."""

CUT_NICENESS = 10
"""Cutting yields to recording."""

FASTSTART_BYTES = 256 * 1024 * 1024
"""Up to this a clip's index is moved to its front, so that it plays while it loads; beyond, that costs too much."""

MAX_STEP_IN_RUN_US = 60 * US_PER_SECOND
"""No camera is waited for so long: a packet this far behind the last was dated by a clock that was stepped."""

KNOWN_WITHIN_S = 10.0
"""A request waits this long for an index that is being rebuilt, before it is told to come again."""

COVER_POLL_S = 0.1
COVER_TIMEOUT_S = 60.0
"""An asynchronous save looks this often whether the recording has reached its end, and gives up waiting after this."""

CLOSE_SAVES_S = 0.7
"""What requests get at the end of the module, out of its 3 s."""

SAVE_RETRIES_S = (5.0, 30.0, 120.0, 600.0)
"""Pauses between the attempts at a promised save: a full or slow disk gets its time, then the save has failed."""

SAVES_REMEMBERED = 1000
"""Of so many saves that have ended it is known how."""

FAILED_SAVES_SHOWN = 5
"""The last failures that `get_status` names."""

REENCODED_FACTOR = 2
"""What is encoded anew may take so many times the bytes of its source, and no more: good, and bounded."""

CLIP_RESERVE_BYTES = 16 * 1024 * 1024
"""Room that a clip must leave on its device, at most 2 % of it: the recording goes on while it is written."""

JOIN_US = 200_000
"""Segments of different runs that lie no further apart (a change of picture size) play on without a gap."""

FOREIGN_SLACK_US = 2 * US_PER_SECOND
"""The Go module dates a segment by the second in its name: its neighbours overlap, or leave a gap, by up to this."""

# Inputs of ffmpeg

ARRIVAL_DRIFT_PPM = 500
"""A camera's clock may drift so much against ours: as much as slewing moves a clock, and far more than quartz does."""

ARRIVAL_SETTLE_S = 0.5
"""At the start of a live input the arrivals of so long are weighed before the first frame is dated: what ffmpeg looked
at to know the stream comes late, and at once."""

HANDOVER_FRAMES = 128
HANDOVER_BYTES = 8 * 1024 * 1024
"""What an input's thread reads ahead: some seconds of a live stream, which must not wait to have its arrival noted."""

CATCH_UP_S = 0.02
"""Pause between the frames of an input that came at once: the recorder drops what its backlog cannot take."""

LOOK_S = (1.0, 5.0, 25.0)
"""How long ffmpeg looks at a live stream before it passes it on, which delays the start; longer from attempt to attempt
where no keyframe has come in that time."""

RTSP_TIMEOUT_S = 10.0
"""A camera that answers nothing for this long is told as such by ffmpeg itself, with its reason."""

KEYFRAME_PATIENCE_S = 30
"""Keyframes further apart are made anew: until the next one a segment cannot be closed, nor the quota be kept. Cameras
that save keyframes while nothing moves send one every 10 s or so."""
