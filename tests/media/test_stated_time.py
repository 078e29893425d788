from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.support.recording import SMALL, START_US, US, capture_times, record, take_over
from tests.support.zones import BERLIN, UTC, in_zone
from videostore.base.errors import RequestError
from videostore.media.clip_times import ClipStretch, time_tags
from videostore.media.stated_time import check_one_start, stated_start_us

LENGTH_US = 60 * US


def utc(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp() * US)


NOW_US = utc("2026-11-26")


def stated(name: str, created: str = "", **tags: str) -> int:
    tags |= {"creation_time": created} if created else {}
    return stated_start_us(Path("/nowhere") / name, tags, LENGTH_US, NOW_US)


def refusal(name: str, created: str = "", **tags: str) -> str:
    with pytest.raises(RequestError) as refused:
        stated(name, created, **tags)
    assert "--start" in str(refused.value)
    return refused.value.code


@pytest.mark.parametrize(
    "name",
    [
        "20261120_101112.mp4",
        "VID_20261120_101112.mp4",
        "RecM01_20261120_101112_101212_6D28808.mp4",
        "2026-11-20_10-11-12.mkv",
        "2026-11-20 10.11.12.mov",
        "cam-2026-11-20T10:11:12Z.ts",
        "20261120101112_20261120101212.mp4",
        "1795169472.mp4",
    ],
)
def test_a_name_tells_the_time(name: str) -> None:
    with in_zone(UTC):
        assert stated(name) == utc("2026-11-20T10:11:12")


def test_a_name_without_a_zone_is_local_time() -> None:
    with in_zone(BERLIN):
        assert stated("20260720_101112.mp4") == utc("2026-07-20T08:11:12")
        assert stated("20260720_101112Z.mp4") == utc("2026-07-20T10:11:12")


def test_a_local_time_that_occurs_twice_or_not_at_all_is_doubtful() -> None:
    with in_zone(BERLIN):
        assert refusal("20261025_023000.mp4") == "import-doubtful"
        assert refusal("20260329_023000.mp4") == "import-doubtful"
        assert stated("20261025_023000Z.mp4") == utc("2026-10-25T02:30:00")


def test_the_header_tells_the_time() -> None:
    assert stated("video.mp4", "2026-11-20T10:11:12.000000Z") == utc("2026-11-20T10:11:12")


def test_a_file_that_tells_nothing_is_refused() -> None:
    assert refusal("video.mp4") == "import-undated"
    assert refusal("12345678901234567890.mp4") == "import-undated"
    assert refusal("20269920_101112.mp4") == "import-undated"
    assert refusal("video.mp4", "yesterday") == "import-undated"


@pytest.mark.parametrize("created", ["1904-01-01T00:00:00Z", "1970-01-01T00:00:00Z"])
def test_a_header_without_a_time_tells_nothing(created: str) -> None:
    assert refusal("video.mp4", created) == "import-undated"


def test_a_clock_that_was_not_set_or_is_ahead_is_doubtful() -> None:
    assert refusal("video.mp4", "2000-01-01T00:00:09Z") == "import-doubtful"
    assert refusal("20000101_000009.mp4") == "import-doubtful"
    assert refusal("video.mp4", "2027-01-01T00:00:00Z") == "import-doubtful"


def test_a_header_and_a_name_that_disagree_are_doubtful() -> None:
    with in_zone(UTC):
        assert refusal("20261120_101112.mp4", "2026-11-20T09:11:12Z") == "import-doubtful"
        assert refusal("20261120_101112.mp4", "2026-11-20T10:11:30Z") == "import-doubtful"
        assert stated("20261120_101112.mp4", "2026-11-20T10:11:13Z") == utc("2026-11-20T10:11:13")


def test_a_header_that_is_dated_by_the_end_agrees_with_a_name_that_is_dated_by_the_beginning() -> None:
    with in_zone(UTC):
        assert stated("20261120_101112.mp4", "2026-11-20T10:12:13Z") == utc("2026-11-20T10:11:12")


def test_the_header_of_an_android_phone_alone_is_doubtful() -> None:
    assert refusal("video.mp4", "2026-11-20T10:11:12Z", **{"com.android.version": "14"}) == "import-doubtful"


def test_two_times_in_a_name_must_be_those_of_both_ends() -> None:
    with in_zone(UTC):
        assert refusal("20261120101112_20261120101512.mp4") == "import-doubtful"


async def test_a_segment_tells_its_time_to_the_microsecond(tmp_path: Path) -> None:
    await record(tmp_path, capture_times(1), size=SMALL)
    (segment,) = await take_over(tmp_path)
    path = (tmp_path / segment.file_name).rename(tmp_path / "20261120_101112.mp4")
    assert stated_start_us(path, {}, LENGTH_US, NOW_US) == START_US


def test_a_clip_with_gaps_is_refused() -> None:
    stretches = (ClipStretch(0, START_US, START_US + US), ClipStretch(US, START_US + 9 * US, START_US + 10 * US))
    with pytest.raises(RequestError) as refused:
        stated("clip.mp4", **time_tags("door", stretches))
    assert (refused.value.code, refused.value.fields["count"]) == ("import-clip-gaps", 1)
    check_one_start(Path("clip.mp4"), time_tags("door", stretches[:1]))
