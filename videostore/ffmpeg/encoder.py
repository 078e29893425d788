"""The encoder of a recording, and its options for exact times and a short delay."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from videostore.base.constants import KEYFRAME_INTERVAL_S, US_PER_SECOND
from videostore.base.errors import ConfigError
from videostore.base.system import ENCODERS, IDR_OPTIONS

_NAMES = {**ENCODERS, "hevc": ENCODERS["h265"]}
_RELATED = ("264", "265", "hevc", "av1", "vp9", "mpeg4", "mjpeg")
"""An error lists the encoders whose names contain one of these."""
_KEYFRAMES = f"expr:isnan(prev_forced_t)+gt(floor(t/{KEYFRAME_INTERVAL_S}),floor(prev_forced_t/{KEYFRAME_INTERVAL_S}))"
"""The first frame of each interval. A count of keyframes would fall behind where no frames come for some time, and make
each frame a keyframe after that, and a segment of its own, until it has caught up."""
_COPY = "copy"
_TAG = re.compile(r"videostore encoder (\w{1,60}) (\d{1,12}) ([\w-]{1,60}) (\d{1,6})")


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder of the installed ffmpeg with its settings; or `copy`, which records coded video as it is."""

    name: str
    """Its name in ffmpeg, or `copy`."""
    bitrate: int
    """Bits per second."""
    preset: str
    """One of x264's presets."""
    framerate: int
    """Most frames per second that are expected. Rate control starts with it; times do not depend on it."""

    @classmethod
    def copy(cls, framerate: int = 20) -> Encoder:
        """For a source of H.264 or H.265, which is recorded without re-encoding."""
        return cls(_COPY, 0, "", framerate)

    @classmethod
    def from_tag(cls, text: str) -> Encoder | None:
        """The encoder that a tag of a segment describes; None if it describes none."""
        found = _TAG.fullmatch(text)
        return cls(found[1], int(found[2]), found[3], int(found[4])) if found else None

    @property
    def tag(self) -> str:
        """The description of its settings in each segment, with which a clip of it can be encoded without a seam."""
        return f"videostore encoder {self.name} {self.bitrate} {self.preset or '-'} {self.framerate}"

    @property
    def copies(self) -> bool:
        """Whether frames are recorded without re-encoding."""
        return self.name == _COPY

    def options(self, source_codec: str = "") -> dict[str, str | int]:
        """ffmpeg's output options for recording frames in this codec.

        There is no look-ahead, no B frames and no frame threads: each of them holds frames back, which a power failure
        would lose and a save up to now would have to wait for. Slices use several cores without delay. The time base is
        one microsecond; ffmpeg's default, one over the frame rate, would round every capture time.
        """
        if self.copies:
            # Without copytb ffmpeg 5.1 derives the time base from the frame rate in the coded video.
            copying: dict[str, str | int] = {"c:v": _COPY, "copytb": 1}
            return copying | {"tag:v": "hvc1"} if source_codec == "hevc" else copying
        options: dict[str, str | int] = {
            "c:v": self.name,
            "b:v": self.bitrate,
            "bf": 0,
            "pix_fmt": "yuv420p",
            "fps_mode": "passthrough",
            "enc_time_base": f"1/{US_PER_SECOND}",
            "force_key_frames": _KEYFRAMES,
        }
        if self.name == "libx264":
            options |= {
                "preset": self.preset,
                # Without fps ffmpeg 5.1 takes the time base of a stream of JPEGs for it: the first frames are gray.
                "x264-params": f"fps={self.framerate}:rc-lookahead=0:sync-lookahead=0:mbtree=0:sliced-threads=1",
            }
        elif self.name == "libx265":
            options |= {
                "preset": self.preset,
                "tag:v": "hvc1",
                # Without fps x265 takes the time base for the frame rate, and gives every frame too few bits.
                "x265-params": f"fps={self.framerate}:bframes=0:rc-lookahead=0:frame-threads=1:log-level=error",
            }
        # Without it decoding cannot begin at a keyframe that is forced early, as it is for a slow camera.
        return options | {option: 1 for ending, option in IDR_OPTIONS.items() if self.name.endswith(ending)}


def preferred_encoder(codec: str, available: Collection[str]) -> str:
    """The encoder for `video.codec`, also if the installed ffmpeg lacks it: a stream that is copied never needs it."""
    try:
        return choose_encoder(codec, available)
    except ConfigError:
        return _NAMES.get(codec, (codec,))[0]


def choose_encoder(codec: str, available: Collection[str]) -> str:
    """Return the encoder for `video.codec`: `h264`, `h265`, or the name of an encoder.

    Raises:
        ConfigError: the installed ffmpeg has no such encoder. Its field `available` lists those that can be used.
    """
    for name in _NAMES.get(codec, (codec,)):
        if name in available:
            return name
    usable = sorted(name for name in available if any(part in name for part in _RELATED))
    usable = [known for known in ("h264", "h265") if any(name in available for name in _NAMES[known])] + usable
    if not usable:
        raise ConfigError("no-encoders", attribute="video.codec", value=codec)
    raise ConfigError("encoder-unavailable", attribute="video.codec", value=codec, available=usable)
