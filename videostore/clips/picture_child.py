"""The process that decodes pictures: it reads what each needs from standard input and answers on standard output.

A request is a line of JSON and the bytes of its frames. An answer is its `ANSWER` and a JPEG, which is empty if the
picture is refused. Nothing else is read from it: what a camera's bytes do to a decoder stays in here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import struct
import sys
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NoReturn

from videostore.media.look import Look
from videostore.media.shown_picture import ShownFrames, show_frame

READY = b"\n"
"""What it says first, when it can decode."""
ANSWER = struct.Struct(">II")
"""How many bytes the JPEG has that follows, and how many KiB of memory the process has taken at most."""
MOST_LINE_BYTES = 1 << 16

_MOST_MORE_BYTES = 1 << 30
"""Address space that it may take besides what its libraries have: sixteen frames of 4K in 10 bits are 400 MB."""
_KIB = 1024


def main() -> NoReturn:
    """Decode until standard input ends; this never returns."""
    _limit_memory()
    code = 1
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer)
        code = 0
    except (BrokenPipeError, KeyboardInterrupt):
        pass
    finally:
        os._exit(code)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until they end."""
    answers.write(READY)
    answers.flush()
    while line := requests.readline(MOST_LINE_BYTES):
        jpeg = show_frame(_read(line, requests)) or b""
        answers.write(ANSWER.pack(len(jpeg), _taken_kib()) + jpeg)
        answers.flush()


def write_request(shown: ShownFrames) -> bytes:
    """A request as the process reads it."""
    fields = {
        "codec": shown.codec,
        "size": shown.size,
        "shape": shown.look.pixel_shape.as_integer_ratio(),
        "colours": shown.look.colours,
        "frames": [(place, len(data)) for place, data in shown.frames],
        "width": shown.width,
    }
    return b"".join((json.dumps(fields).encode() + b"\n", *(data for _, data in shown.frames)))


def _read(line: bytes, requests: BinaryIO) -> ShownFrames:
    fields = json.loads(line)
    width, height = fields["size"]
    look = Look(Fraction(*fields["shape"]), fields["colours"] and tuple(fields["colours"]))
    frames = tuple((place, requests.read(count)) for place, count in fields["frames"])
    return ShownFrames(fields["codec"], (width, height), look, frames, fields["width"])


def _taken_kib() -> int:
    """The most memory that this process has had. On Linux, `getrusage` counts in that of the one that started it."""
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        if peak := re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE):
            return int(peak[1])
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return taken if sys.platform == "linux" else taken // _KIB


def _limit_memory() -> None:
    """Let a picture that needs too much fail instead of the machine, on systems that tell what is taken."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            taken_bytes = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        limit = taken_bytes + _MOST_MORE_BYTES
        if most == resource.RLIM_INFINITY or limit < most:
            resource.setrlimit(resource.RLIMIT_AS, (limit, most))
        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    except (OSError, ValueError):
        pass
