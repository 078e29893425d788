from __future__ import annotations

from pathlib import Path

import pytest

from videostore.media.boxes import DAMAGE, find_fragment, read_box
from videostore.media.fragment_boxes import FragmentClaim, read_fragment
from videostore.media.sound_track import SoundClaim

SCALE = 1_000_000


@pytest.fixture
def data(recording: Path) -> bytes:
    return min(recording.glob("*.mp4")).read_bytes()


def first_claim(path: Path, data: bytes) -> FragmentClaim | None:
    path.write_bytes(data)
    with path.open("rb") as file:
        at = find_fragment(file, 0, len(data)) or data.index(b"prft") - 4
        time = read_box(file, at, len(data))
        assert time is not None
        moof = read_box(file, time.end, len(data))
        assert moof is not None
        claim = read_fragment(file, moof, time, SCALE, len(data))
    assert not isinstance(claim, SoundClaim)
    return claim


def test_a_fragment_states_times_places_and_keyframes(tmp_path: Path, data: bytes, times: list[int]) -> None:
    claim = first_claim(tmp_path / "file", data)
    assert claim is not None
    assert (claim.captured_us, claim.base, claim.keyframes) == (times[0], 0, (0,))
    assert [times[0] + one for one in claim.elapsed] == times[: len(claim.elapsed)]
    assert times[0] + claim.length == times[len(claim.elapsed)]
    assert (claim.begin_byte, data[claim.end_byte + 4 : claim.end_byte + 8]) == (data.index(b"prft") - 4, b"prft")


def test_a_fragment_that_is_not_written_to_its_end_is_none(tmp_path: Path, data: bytes) -> None:
    assert first_claim(tmp_path / "file", data[: data.index(b"mdat") + 100]) is None
    assert first_claim(tmp_path / "file", data[: data.index(b"mdat")]) is None


@pytest.mark.parametrize(("box", "offset"), [(b"trun", 8), (b"trun", 15), (b"trun", 20), (b"trun", 24), (b"mdat", -2)])
def test_figures_that_do_not_fit_together_are_damage(tmp_path: Path, data: bytes, box: bytes, offset: int) -> None:
    damaged = bytearray(data)
    damaged[data.index(box) + offset] ^= 0x80
    with pytest.raises(DAMAGE):
        assert first_claim(tmp_path / "file", bytes(damaged)) is not None


def test_the_guess_of_the_last_frames_length_is_bounded_by_the_others() -> None:
    claim = FragmentClaim(0, 0, 0, (0, 100, 200), 90_000, (0,), 0, 0, 1)
    assert claim.likely_length == 200 + 200
    assert FragmentClaim(0, 0, 0, (0,), 90_000, (0,), 0, 0, 1).likely_length == 90_000
