"""What is stored of cameras beside what they have sent: every picture, its time, its bytes."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tests.streams.cameras import PASSWORD, pictures_of
from tests.streams.conftest import MEASURED, Recorded
from tests.streams.stored import stored_slices
from tests.support.coded_stream import FPS, slices
from tests.support.recording import US


def test_each_picture_from_the_first_one_on_is_stored_once(recorded: Recorded) -> None:
    assert recorded.result.code == 0, recorded.result.err
    assert recorded.comparison.exact, recorded.comparison
    assert recorded.first_painted == 0
    # The last pictures may be on their way when the time is over.
    assert recorded.comparison.stored >= (recorded.camera.seconds - 2) * FPS


def test_pictures_keep_their_distances_and_are_dated_by_their_arrival(
    recorded: Recorded, record_property: Callable[[str, object], None]
) -> None:
    comparison = recorded.comparison
    # While a busy machine begins, the smallest delay is still being found: times then move together.
    assert comparison.true_distances() > 0.9
    assert -50_000 < comparison.error_us < 2 * US
    record_property(
        MEASURED,
        f"{recorded.name:24} {comparison.stored:4} pictures, {comparison.error_us / 1000:7.1f} ms late, "
        f"distances differ by {comparison.spread_us / 1000:6.1f} ms at most",
    )


def test_pictures_are_stored_as_they_were_coded(recorded: Recorded) -> None:
    coding = recorded.camera.coding
    if not recorded.camera.copied:
        assert "re-encoded" in recorded.result.err
        return
    assert "recorded without re-encoding" in recorded.result.err
    sent = itertools.cycle(slices(coding.codec, one.data) for one in pictures_of(coding))
    stored = stored_slices(recorded.directory)
    assert stored == list(itertools.islice(sent, len(stored)))


def test_it_is_said_that_sound_is_not_recorded(recorded: Recorded) -> None:
    assert ("The sound of the input is not recorded." in recorded.result.err) == bool(recorded.camera.sound)


@pytest.mark.parametrize(
    "recorded", [pytest.param("h264-credentials", marks=pytest.mark.xdist_group("h264-credentials"))], indirect=True
)
def test_the_password_is_not_told_and_not_stored(recorded: Recorded) -> None:
    said = (recorded.result.out + recorded.result.err).encode()
    stored = b"".join(path.read_bytes() for path in recorded.directory.rglob("*") if path.is_file())
    for secret in (PASSWORD, "Wolke", "%C3%A4"):
        assert secret.encode() not in said + stored
