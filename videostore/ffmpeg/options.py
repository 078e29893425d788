"""Output options that everything that encodes clips has in common."""

from __future__ import annotations

from videostore.base.constants import US_PER_SECOND

REENCODED = {"c:v": "libx264", "preset": "veryfast", "crf": 18, "bf": 0, "pix_fmt": "yuv420p"}
"""Quality of re-encoded video: visually the same as its source. Without B frames, so that frames stay in order."""

REENCODED_SOUND = {"c:a": "aac", "b:a": "64k", "ar": 48_000}
"""Of sound whose format changes within a clip."""
REENCODED_PACKET_US = 1024 * US_PER_SECOND // 48_000
"""How long a packet of that is."""

OWN_CLIP = {"format_whitelist": "mov", "protocol_whitelist": "file"}
"""Options for an MP4 as an input: it is never taken for a playlist, or for anything else that leads to other files."""

EXACT_TIMES = {"fps_mode": "passthrough", "enc_time_base": f"1/{US_PER_SECOND}"}
"""No frame is dropped or repeated, and each keeps its time to the microsecond."""

CLIP_TIMESCALE = 90_000
"""Units of time in a second of a clip's video track. Tools that take the time base of a clip for its frame rate repeat
each frame: with microseconds 100 frames became 97,309 pictures. With this one, which players know from broadcast, the
time of a frame in a clip is at most 6 microseconds off."""
