"""Which encoder records, and how it is told to keep true time and short delay."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from videostore.base.constants import KEYFRAME_INTERVAL_S, US_PER_SECOND
from videostore.base.errors import ConfigError
from videostore.base.system import ENCODERS, IDR_OPTIONS

_NAMES = {**ENCODERS, "hevc": ENCODERS["h265"]}
_RELATED = ("264", "265", "hevc", "av1", "vp9", "mpeg4", "mjpeg")


_COPY = "copy"


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder of the ffmpeg at hand with its settings; or none, where coded video is recorded as it comes."""

    name: str
    bitrate: int
    """Bits per second."""
    preset: str
    framerate: int
    """Frames per second that are expected at most; rate control starts from it, time does not depend on it."""

    @classmethod
    def copy(cls, framerate: int = 20) -> Encoder:
        """For a source that yields H.264 or H.265: it is recorded as it is."""
        return cls(_COPY, 0, "", framerate)

    @property
    def copies(self) -> bool:
        """Whether frames are recorded as their source coded them."""
        return self.name == _COPY

    def options(self, source_codec: str = "") -> dict[str, str | int]:
        """Output options of ffmpeg for a recording of pictures in this codec.

        No look-ahead, no B frames and no frame threads: each holds pictures back, which a power cut would lose and a
        save that reaches up to now would wait for. Slices keep several cores busy without delay. The time base is one
        microsecond, since ffmpeg's default, one over the frame rate, would round every capture time to it.
        """
        if self.copies:
            # Else ffmpeg 5.1 takes what the coded video says of its frame rate for the time base.
            copying: dict[str, str | int] = {"c:v": _COPY, "copytb": 1}
            return copying | {"tag:v": "hvc1"} if source_codec == "hevc" else copying
        options: dict[str, str | int] = {
            "c:v": self.name,
            "b:v": self.bitrate,
            "bf": 0,
            "pix_fmt": "yuv420p",
            "fps_mode": "passthrough",
            "enc_time_base": f"1/{US_PER_SECOND}",
            "force_key_frames": f"expr:gte(t,n_forced*{KEYFRAME_INTERVAL_S})",
        }
        if self.name == "libx264":
            options |= {
                "preset": self.preset,
                "x264-params": "rc-lookahead=0:sync-lookahead=0:mbtree=0:sliced-threads=1",
            }
        elif self.name == "libx265":
            options |= {
                "preset": self.preset,
                "tag:v": "hvc1",
                # x265 would take the time base for the frame rate and starve every picture.
                "x265-params": f"fps={self.framerate}:bframes=0:rc-lookahead=0:frame-threads=1:log-level=error",
            }
        # Else a forced keyframe that comes early, as with a camera slower than `framerate`, is none.
        return options | {option: 1 for ending, option in IDR_OPTIONS.items() if self.name.endswith(ending)}


def choose_encoder(codec: str, available: Collection[str]) -> str:
    """Return the encoder for `video.codec`: `h264`, `h265`, or an encoder's own name.

    Raises:
        ConfigError: the ffmpeg at hand has no such encoder; the sentence lists those that it has.
    """
    for name in _NAMES.get(codec, (codec,)):
        if name in available:
            return name
    usable = sorted(name for name in available if any(part in name for part in _RELATED))
    usable = [known for known in ("h264", "h265") if any(name in available for name in _NAMES[known])] + usable
    if not usable:
        raise ConfigError("no-encoders", attribute="video.codec", value=codec)
    raise ConfigError("encoder-unavailable", attribute="video.codec", value=codec, available=usable)
