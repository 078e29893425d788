"""What is stored of cameras beside what they have sent: every picture, its time, its bytes."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from tests.streams.cameras import COMMAND, PASSWORD, pictures_of
from tests.streams.conftest import MEASURED
from tests.streams.recorded import Recorded, record_by_command
from tests.streams.stored import BEGINNING, stored_slices
from tests.support.coded_stream import slices
from tests.support.recording import US

_FRAME_OF_SOUND_US = 1024 * US // 48_000 + US // 10_000
"""With what the times of both tracks are rounded by."""
_APART_US = 15_000
"""Sound that has the time of the packet beside it is 20 ms off; AAC as it is coded here is 8 ms off."""
_REORDERED = "h264-b-frames"


def test_each_picture_from_the_first_one_on_is_stored_once(recorded: Recorded) -> None:
    assert recorded.comparison.exact, recorded.comparison
    assert recorded.stored[0].painted == 0
    assert recorded.comparison.stored >= recorded.due


def test_pictures_keep_their_distances_and_are_dated_by_their_arrival(
    recorded: Recorded, record_property: Callable[[str, object], None]
) -> None:
    comparison = recorded.comparison
    assert comparison.true_distances(BEGINNING) > 0.9
    # Frames that are decoded later than they are shown have moved with those behind them.
    assert recorded.camera.coding.b_frames or comparison.moved_on_us < 1000
    assert -50_000 < comparison.error_us < 2 * US
    record_property(MEASURED, recorded.row)


def test_the_first_picture_is_as_far_from_the_second_as_it_was_captured(recorded: Recorded) -> None:
    first_us, second_us, *_ = recorded.comparison.errors_us
    assert abs(second_us - first_us) < 2000


def test_pictures_are_stored_as_they_were_coded(recorded: Recorded) -> None:
    coding, said = recorded.camera.coding, recorded.recording.said
    assert recorded.camera.copied != ("e-encod" in said.replace("without re-encoding", ""))
    if recorded.camera.copied:
        sent = itertools.cycle(slices(coding.codec, one.data) for one in pictures_of(coding))
        stored = stored_slices(recorded.recording.directory)
        assert stored == list(itertools.islice(sent, len(stored)))


def test_sound_is_recorded_if_it_is_asked_for(recorded: Recorded) -> None:
    for segment in recorded.recording.directory.glob("*.mp4"):
        with av.open(str(segment)) as container:
            assert bool(container.streams.audio) == recorded.hears


def test_each_click_is_heard_with_its_picture(recorded: Recorded) -> None:
    if not recorded.hears:
        assert not recorded.sync_errors_us
        return
    # With the first packet a decoder begins: it needs the one before for what is in it.
    assert len(recorded.unheard_us) <= 1 and max(recorded.unheard_us, default=0) < _FRAME_OF_SOUND_US
    assert max(map(abs, recorded.sync_errors_us)) < _APART_US, recorded.sync_errors_us


def test_sound_beside_reordered_pictures_is_recorded_by_the_ffmpeg_of_the_system_too(
    gstreamer: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old one copies it in another way."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("the system has no ffmpeg")
    monkeypatch.setenv("VIDEOSTORE_FFMPEG", ffmpeg)
    recorded = Recorded.of(_REORDERED, COMMAND, record_by_command(_REORDERED, tmp_path))
    assert recorded.comparison.exact, recorded.comparison
    assert len(recorded.unheard_us) <= 1 and max(map(abs, recorded.sync_errors_us)) < _APART_US


def test_the_password_is_not_told_and_not_stored(recorded: Recorded) -> None:
    stored = b"".join(path.read_bytes() for path in recorded.recording.directory.rglob("*") if path.is_file())
    for secret in (PASSWORD, "Wolke", "%C3%A4"):
        assert secret.encode() not in recorded.recording.said.encode() + stored
