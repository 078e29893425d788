"""Which encoder records, and how it is told to keep true time and short delay."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from videostore.const import KEYFRAME_INTERVAL_S, US_PER_SECOND
from videostore.errors import ConfigError

_NAMES = {"h264": ("libx264", "libopenh264"), "h265": ("libx265",), "hevc": ("libx265",)}
_RELATED = ("264", "265", "hevc", "av1", "vp9", "mpeg4", "mjpeg")


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder of the ffmpeg at hand with its settings."""

    name: str
    bitrate: int
    """Bits per second."""
    preset: str
    framerate: int
    """Frames per second that are expected at most; rate control starts from it, time does not depend on it."""

    def options(self) -> dict[str, str | int]:
        """Output options of ffmpeg for a recording.

        No look-ahead, no B frames and no frame threads: each holds pictures back, which a power cut would lose and a
        save that reaches up to now would wait for. Slices keep several cores busy without delay. The time base is one
        microsecond, since ffmpeg's default, one over the frame rate, would round every capture time to it.
        """
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
                # Else a forced keyframe that comes early, as with a camera slower than `framerate`, is none.
                "forced-idr": 1,
                # x265 would take the time base for the frame rate and starve every picture.
                "x265-params": f"fps={self.framerate}:bframes=0:rc-lookahead=0:frame-threads=1:log-level=error",
            }
        elif self.name.endswith(("_nvenc", "_qsv", "_amf")):
            options["forced_idr" if self.name.endswith("_qsv") else "forced-idr"] = 1
        return options


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
    right = f"use one of {', '.join(usable)}" if usable else "name another ffmpeg in VIDEOSTORE_FFMPEG"
    raise ConfigError(f"video.codec is {codec!r}, but the ffmpeg at hand has no such encoder: {right}.")
