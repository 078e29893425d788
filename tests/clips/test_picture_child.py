from __future__ import annotations

import io
import subprocess
import sys
from fractions import Fraction

from PIL import Image

from tests.support.coding import coded_packets
from tests.support.recording import capture_times
from videostore.clips.picture_child import ANSWER, READY, serve, write_request
from videostore.clips.picture_decoder import decoder_command
from videostore.media.look import Look
from videostore.media.shown_picture import ShownFrames

PACKETS = coded_packets(capture_times(1), "h264", gop=10)
SIZE = (PACKETS[0].format.width, PACKETS[0].format.height)


def frames(count: int) -> tuple[tuple[int, bytes], ...]:
    return tuple((number, one.data) for number, one in enumerate(PACKETS[:count]))


def answers(output: io.BytesIO, count: int) -> list[tuple[bytes, int]]:
    output.seek(0)
    assert output.read(len(READY)) == READY
    found = []
    for _ in range(count):
        size, taken = ANSWER.unpack(output.read(ANSWER.size))
        found.append((output.read(size), taken))
    assert not output.read()
    return found


def test_requests_are_answered_one_after_the_other_until_they_end() -> None:
    good = ShownFrames("h264", SIZE, Look(), frames(3), 64)
    wide = ShownFrames("h264", SIZE, Look(Fraction(2), (1, 1, 1, False)), frames(1), None)
    bad = ShownFrames("h264", SIZE, Look(), ((0, b"\0\0\0\1nothing"),), None)
    output = io.BytesIO()
    serve(io.BytesIO(b"".join(write_request(one) for one in (good, bad, wide))), output)
    (first, taken), (none, _), (last, _) = answers(output, 3)
    assert Image.open(io.BytesIO(first)).width == 64 and none == b"" and taken > 1000
    assert Image.open(io.BytesIO(last)).size == (2 * SIZE[0], SIZE[1])


def test_the_process_ends_with_its_input() -> None:
    good = ShownFrames("h264", SIZE, Look(), frames(1), 64)
    done = subprocess.run(decoder_command(), input=write_request(good), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    ((jpeg, _),) = answers(io.BytesIO(done.stdout), 1)
    assert Image.open(io.BytesIO(jpeg)).width == 64


def test_the_memory_of_the_program_that_starts_it_is_not_its_own() -> None:
    """On Linux, `getrusage` tells a process the most memory of the one that started it."""
    good = ShownFrames("h264", SIZE, Look(), frames(1), 64)
    program = (
        "import subprocess, sys; large = bytearray(b'.' * 500_000_000);"
        "sys.exit(subprocess.run(sys.argv[1:]).returncode)"
    )
    command = [sys.executable, "-c", program, *decoder_command()]
    done = subprocess.run(command, input=write_request(good), capture_output=True, timeout=60, check=True)
    ((_, taken_kib),) = answers(io.BytesIO(done.stdout), 1)
    assert 10_000 < taken_kib < 300_000
