"""Where a part lies in a stream, and what fits into it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.support.clapping import clapping, record_clapping
from tests.support.recording import LOGGER, START_US, US, clips_of
from videostore.base.errors import FFmpegError
from videostore.clips.place import Fit, Place
from videostore.clips.plan import ClipPart
from videostore.media.look import Look
from videostore.media.segment import Segment
from videostore.storage.archive import Archive
from videostore.storage.reconciler import Reconciler

LOOK = Look(Fraction(1), (6, 6, 6, False))


def part(*, width: int = 640, codec: str = "h264", run: int | None = 1, look: Look | None = LOOK) -> ClipPart:
    segment = Segment("a.mp4", 0, US, 1, width, 360, codec, run_us=run)
    return ClipPart(segment, Path("a.mp4"), US, 0, look=look)


def test_what_has_the_format_of_the_stream_is_copied_and_nothing_else() -> None:
    fit = Fit.of_size(640, 360, LOOK, ("h264", True, LOOK))
    assert fit.is_met_by([[part(), part(look=None)]])
    for other in (part(width=320), part(codec="hevc"), part(run=None), part(look=Look(Fraction(4, 3)))):
        assert not fit.is_met_by([[other]])
    assert not fit.is_met_by([[part()], [part()]])
    assert not replace(fit, copied=None).is_met_by([[part()]])


def test_the_size_is_even_and_has_the_pixels_of_what_it_is_of() -> None:
    fit = Fit.of_size(641, 359, Look(Fraction(16, 15)))
    assert (fit.width, fit.height, fit.pixel_shape, fit.copied) == (642, 360, Fraction(16, 15), None)


async def test_sound_for_which_a_stream_has_no_place_ends_it_and_names_the_moment(tmp_path: Path, binary: str) -> None:
    await record_clapping(tmp_path, clapping(4), binary=binary)
    archive = await Archive.open(tmp_path, LOGGER)
    await Reconciler(archive, LOGGER).reconcile(lambda _: False)
    async with clips_of(archive, binary).plan(START_US + US, START_US + 3 * US) as plan:
        with pytest.raises(FFmpegError) as error:
            Place().cut_sound(plan, tmp_path, True)
        assert error.value.code == "stream-format-changed"
        assert error.value.fields["at_us"] == plan.parts[0].first_us
        assert Place().cut_sound(plan, tmp_path, False) is None
    await archive.close()
