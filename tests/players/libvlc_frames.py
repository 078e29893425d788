"""Plays files with libvlc and prints, as JSON, what it showed. Started as a process of its own, by `vlc.py`.

    python -m tests.players.libvlc_frames DIRECTORY < jobs

A job is [path or address, width, height, start in seconds or null, frames after which it ends or null]; an answer is
{"frames": file or null, "duration_ms": …}. The frames are written to `DIRECTORY` as raw gray pictures. libvlc is all of
VLC but its window; the program `vlc` refuses to run as root.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import sys
import time
from pathlib import Path
from typing import Any

_ENDED, _ERROR = 6, 7
_PARSE_LOCAL = 0
_PARSED_DONE = 4
_LIMIT_S = 40
_OPTIONS = (
    "--no-audio",
    "--no-osd",
    "--quiet",
    "--avcodec-hw=none",
    "--no-drop-late-frames",
    "--no-skip-frames",
)

_LOCK = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p))
_DISPLAY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


class Vlc:
    """One instance of libvlc."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(ctypes.util.find_library("vlc") or "libvlc.so.5")
        for name in ("new", "media_new_path", "media_new_location", "media_player_new_from_media"):
            getattr(self._library, f"libvlc_{name}").restype = ctypes.c_void_p
        self._library.libvlc_media_get_duration.restype = ctypes.c_int64
        options = (ctypes.c_char_p * len(_OPTIONS))(*(option.encode() for option in _OPTIONS))
        self._instance = ctypes.c_void_p(self._library.libvlc_new(len(_OPTIONS), options))

    def play(
        self, path: str, width: int, height: int, start_s: float | None, most: int | None, target: Path | None
    ) -> dict[str, Any]:
        """Play a file to its end or until `most` frames, or until its first frame behind `start_s`."""
        library = self._library
        new = library.libvlc_media_new_location if "://" in path else library.libvlc_media_new_path
        media = ctypes.c_void_p(new(self._instance, path.encode()))
        if start_s is not None:
            library.libvlc_media_add_option(media, f":start-time={start_s:.3f}".encode())
        player = ctypes.c_void_p(library.libvlc_media_player_new_from_media(media))
        pixels = ctypes.create_string_buffer(width * height)
        frames: list[bytes] = []

        def lock(_: int, planes: Any) -> int:
            planes[0] = ctypes.addressof(pixels)
            return 0

        # Kept in variables: libvlc calls them from its own threads until the player is released.
        on_lock, on_display = _LOCK(lock), _DISPLAY(lambda *_: frames.append(pixels.raw))
        library.libvlc_video_set_callbacks(player, on_lock, None, on_display, None)
        library.libvlc_video_set_format(player, b"GREY", width, height, width)
        library.libvlc_media_player_play(player)
        deadline = time.monotonic() + _LIMIT_S
        state = 0
        while state not in (_ENDED, _ERROR) and time.monotonic() < deadline:
            time.sleep(0.02)
            state = library.libvlc_media_player_get_state(player)
            if (start_s is not None and frames) or (most is not None and len(frames) >= most):
                break
        duration_ms = int(library.libvlc_media_get_duration(media))
        library.libvlc_media_player_stop(player)
        library.libvlc_media_player_release(player)
        library.libvlc_media_release(media)
        if target is not None:
            target.write_bytes(b"".join(frames))
        late = state not in (_ENDED, _ERROR) and start_s is None
        return {"duration_ms": duration_ms, "ended": not late, "error": state == _ERROR}


def main() -> None:
    """Do the jobs on standard input."""
    directory, vlc = Path(sys.argv[1]), Vlc()
    answers = []
    for number, (path, width, height, start_s, most) in enumerate(json.load(sys.stdin)):
        target = directory / f"{number}.gray"
        answers.append(vlc.play(path, width, height, start_s, most, target) | {"frames": str(target)})
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
