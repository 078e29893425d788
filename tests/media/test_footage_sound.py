from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.clapping import write_clapping
from tests.support.coding import write_video
from tests.support.recording import capture_times
from videostore.media.footage import survey
from videostore.media.footage_sound import FootageSound


def sound_of(path: Path) -> FootageSound:
    found = survey(path, lambda _: None, lambda: False).sound
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("suffix", "codec", "named", "as_it_is"),
    [(".mp4", "aac", "aac", True), (".ts", "aac", "aac", False), (".mkv", "pcm_s16le", "pcm_s16le", False)],
)
def test_each_packet_of_sound_has_its_time(tmp_path: Path, suffix: str, codec: str, named: str, as_it_is: bool) -> None:
    path = tmp_path / f"camera{suffix}"
    write_clapping(path, 2, codec=codec)
    found = sound_of(path)
    assert (found.codec, found.as_it_is, found.fault) == (named, as_it_is, "")
    assert list(found.times_us) == sorted(set(found.times_us)) and len(found.times_us) > 20
    length_us = found.times_us[-1] - found.times_us[0]
    assert length_us == pytest.approx(2_000_000, abs=50_000)


def test_a_file_without_sound_has_none(tmp_path: Path) -> None:
    write_video(tmp_path / "silent.mp4", "h264", capture_times(1))
    assert survey(tmp_path / "silent.mp4", lambda _: None, lambda: False).sound is None


def test_what_begins_before_the_first_frame_is_told_apart() -> None:
    sound = FootageSound(1, "aac", True, (-1024, 0, 1024, 2048), 100)
    assert sound.beginning(-2000) == (sound, None)
    kept, from_us = sound.beginning(0)
    assert kept.times_us == (0, 1024, 2048) and from_us == -512
    kept, from_us = sound.beginning(1)
    assert kept.times_us == (1024, 2048) and from_us == 512
    kept, from_us = sound.beginning(5000)
    assert kept.times_us == () and from_us is not None and 2048 < from_us <= 5000


def test_a_beginning_of_sound_is_that_of_the_whole_if_it_tells_what_is_left_out() -> None:
    whole = FootageSound(1, "aac", True, (-1024, 0, 1024, 2048, 3072), 100)
    beginning = replace(whole, times_us=whole.times_us[:4], size_bytes=80)
    assert beginning.begins_like(whole, 512)
    assert not beginning.begins_like(whole, 3000)  # what begins then has not been seen
    assert not replace(beginning, codec="opus").begins_like(whole, 512)
    assert not beginning.begins_like(replace(whole, fault="its times go back"), 512)
    assert not beginning.begins_like(replace(whole, times_us=(-1024, 1024)), 512)
