from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path

import pytest

from videostore.media.codec_names import CodecNames, read_codec_names
from videostore.media.decoder_setup import NoSetupError

PICTURES = ("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=10:duration=0.5")
TONE = ("-f", "lavfi", "-i", "sine=duration=0.5")
X265 = ("-c:v", "libx265", "-x265-params", "log-level=error", "-preset", "ultrafast")
CODINGS = {
    "h264 and aac": (*TONE, "-c:v", "libx264", "-c:a", "aac"),
    "h264 and opus": (*TONE, "-c:v", "libx264", "-profile:v", "baseline", "-c:a", "libopus"),
    "h264 10 bit and mp3": (*TONE, "-c:v", "libx264", "-pix_fmt", "yuv420p10le", "-c:a", "libmp3lame"),
    "av1": ("-c:v", "libaom-av1", "-cpu-used", "8"),
    "av1 10 bit": ("-c:v", "libaom-av1", "-cpu-used", "8", "-pix_fmt", "yuv420p10le"),
    "h265": (*X265, "-tag:v", "hvc1"),
    "h265 10 bit": (*X265, "-tag:v", "hev1", "-pix_fmt", "yuv420p10le"),
    "mpeg4": ("-c:v", "mpeg4"),
}
H265 = {"h265": "hvc1.1.6.L60.90", "h265 10 bit": "hev1.2.4.L60.90"}
"""As hls.js reads them. ffmpeg names no H.265."""


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory, binary: str) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("codings")
    paths = {}
    for number, (name, coding) in enumerate(CODINGS.items()):
        paths[name] = root / f"{number}.mp4"
        subprocess.run([binary, "-v", "error", *PICTURES, *coding, str(paths[name])], check=True, timeout=120)
    return paths


@pytest.mark.parametrize("name", ["h264 and aac", "h264 and opus", "av1", "av1 10 bit"])
def test_names_are_those_that_ffmpeg_writes_for_dash(
    coded: dict[str, Path], name: str, binary: str, tmp_path: Path
) -> None:
    list_path = tmp_path / "list.mpd"
    command = [binary, "-v", "error", "-i", str(coded[name]), "-c", "copy", "-f", "dash", str(list_path)]
    subprocess.run(command, check=True, timeout=60)
    names = read_codec_names(coded[name])
    found = re.findall(r'codecs="([^"]*)"', list_path.read_text())
    assert [one for one in (names.video, names.sound) if one] == found


@pytest.mark.parametrize("name", list(H265))
def test_names_of_h265_tell_profile_level_and_constraints(coded: dict[str, Path], name: str) -> None:
    assert read_codec_names(coded[name]).video == H265[name]


def test_sound_that_is_no_aac_has_its_number(coded: dict[str, Path]) -> None:
    assert read_codec_names(coded["h264 10 bit and mp3"]).sound == "mp4a.6B"


def test_what_asks_more_of_a_decoder_is_more(coded: dict[str, Path]) -> None:
    plain, deep = (read_codec_names(coded[name]).demand for name in ("h264 and aac", "h264 10 bit and mp3"))
    assert plain < deep


def test_a_codec_without_a_name_is_an_error(coded: dict[str, Path]) -> None:
    with pytest.raises(NoSetupError, match="no codec that can be named"):
        read_codec_names(coded["mpeg4"])


def test_a_damaged_file_has_names_or_an_error(coded: dict[str, Path], tmp_path: Path) -> None:
    path, data = tmp_path / "damaged.mp4", coded["h264 and aac"].read_bytes()
    at = data.index(b"moov") - 4
    rest = random.Random(1)
    outcomes: set[bool] = set()
    for number in range(300):
        content = bytearray(data)
        for _ in range(1 + number % 4):
            content[rest.randrange(at, len(content))] = rest.randrange(256)
        path.write_bytes(bytes(content[: rest.randrange(at, len(content))] if number % 5 == 0 else content))
        try:
            outcomes.add(isinstance(read_codec_names(path), CodecNames))
        except NoSetupError:
            outcomes.add(False)
    assert outcomes == {True, False}
