"""docs/guide/troubleshooting.md and the code say the same: reasons both ways, and lines of the log that exist."""

from __future__ import annotations

import re
import shlex
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.support.documents import blocks, page, quoted, rows_below, section
from tests.support.statements import Statements, package_statements
from videostore.ffmpeg.options import CLIP_TIMESCALE
from videostore.ffmpeg.process import run_ffmpeg

UNSEEN = {
    "it gave no reason": "stands in place of what ffmpeg said last",
    "no reason given": "the same",
    "ffmpeg gave no reason": "the same",
    "the camera was just asked for its first": "part of what get_images is refused with",
    "its video is interlaced": "the input is opened once more",
    "its sound is another": "the same",
    "it does not tell when its frames were captured": "the same",
    "it does not say when its B frames are decoded": "the same",
}
"""Reasons that need no entry, and why."""
CHOSEN = {"the input … …: …": {"the input … failed: …", "the input … cannot be recorded: …"}}
"""Where the code chooses a word before it writes the reason: what it may write."""


def write_clip(path: Path) -> int:
    """Write a clip whose frames are unevenly apart; returns how many."""
    with av.open(str(path), "w", options={"video_track_timescale": str(CLIP_TIMESCALE)}) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.codec_context.time_base = 64, 48, Fraction(1, CLIP_TIMESCALE)
        for number in range(30):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = number * 9000 + number * number % 7 * 577, Fraction(1, CLIP_TIMESCALE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return 30


async def test_the_command_extracts_each_frame_of_a_clip_once(text: str, tmp_path: Path, binary: str) -> None:
    count = write_clip(tmp_path / "clip.mp4")
    (command,) = blocks(section(text, "## Clips in other programs"), "sh")
    program, *words = shlex.split(command)
    assert program == "ffmpeg"
    words = [str(tmp_path / word) if "." in word else word for word in words]
    await run_ffmpeg([binary, "-v", "error", *words])
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    assert names == [f"frame{number:06d}.png" for number in range(1, count + 1)]


@pytest.fixture(scope="module")
def text() -> str:
    return page("guide/troubleshooting")


@pytest.fixture(scope="module")
def statements() -> Statements:
    return package_statements()


def told_reasons(text: str) -> set[str]:
    return {reason for row in rows_below(text, "reason") for reason in quoted(row[0])}


def told_lines(text: str) -> set[str]:
    return {line for row in rows_below(text, "line of the log") for line in quoted(row[0])}


def reason_differences(text: str, statements: Statements) -> set[str]:
    """Reasons that the page or the code alone has."""
    written = {one for reason in statements.reasons for one in CHOSEN.get(reason, {reason})}
    return told_reasons(text) ^ (written - UNSEEN.keys())


def test_reasons_are_those_of_the_code(text: str, statements: Statements) -> None:
    assert reason_differences(text, statements) == set()


def test_lines_of_the_log_are_those_of_the_code(text: str, statements: Statements) -> None:
    assert told_lines(text) - statements.log == set()


def test_what_needs_no_entry_is_in_the_code(statements: Statements) -> None:
    assert UNSEEN.keys() <= statements.reasons


def test_a_wrong_or_missing_entry_is_noticed(text: str, statements: Statements) -> None:
    reason = min(told_reasons(text))
    assert reason in reason_differences(text.replace(f"`{reason}`", "`the moon is full`"), statements)
    assert "the moon is full" in reason_differences(text.replace(f"`{reason}`", "`the moon is full`"), statements)


HANDS_IT_ON = """
def fail(self, after_s, reason): ...
def f(self, moon):
    self.fail(2, f"the moon is {moon!r}")
"""
CHOOSES_A_WORD = """
def f(self, moon):
    self._reason = "the moon is " + ("full" if moon else "new")
"""


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("@dataclass\nclass Gap:\n    reason: str\ndef f():\n    return Gap('the moon is full')", "the moon is full"),
        (HANDS_IT_ON, "the moon is '…'"),
        (CHOOSES_A_WORD, "the moon is new"),
        ("PHASE = 'full'\ndef f(self):\n    self.trouble = f'the moon is {PHASE}'", "the moon is full"),
        ("def f(moon):\n    raise CameraError(f'the moon is {moon}')", "the moon is …"),
        ("def f(status):\n    status['reason'] = 'the moon is full'", "the moon is full"),
        ("def f():\n    return {'reason': 'the moon is full'}", "the moon is full"),
        ("def f():\n    return Health(reason='the moon is full')", "the moon is full"),
        ("_MISTAKES = (('full', 'the moon is full'),)", "the moon is full"),
    ],
)
def test_a_new_reason_is_found(code: str, told: str) -> None:
    assert told in Statements({"moon.py": code}).reasons


def test_refusals_and_lines_of_the_log_are_found_apart() -> None:
    warning = "def f(self, moon):\n    self._logger.warning('The moon is %r: %s.', moon)"
    found = Statements({"moon.py": f"{warning}\n    raise ViamGRPCError('No moon tonight.')"})
    assert (found.reasons, found.refusals, found.log) == (set(), {"No moon tonight."}, {"The moon is '…': …."})


def test_an_error_with_a_code_is_no_statement() -> None:
    found = Statements({"moon.py": "raise RequestError('no-moon', value='the moon is new')"})
    assert not re.findall("moon", " ".join(found.reasons | found.refusals | found.log))
