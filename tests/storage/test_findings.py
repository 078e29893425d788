from __future__ import annotations

import pytest

from videostore.storage.findings import REPAIRABLE, Finding, Problem


def test_a_finding_is_one_sentence_with_the_detail_in_parentheses() -> None:
    assert Finding("1725634833.mp4", Problem.NOT_INDEXED).sentence == "1725634833.mp4: not in the index."
    finding = Finding("1725634833.mp4", Problem.UNREADABLE, "it is empty")
    assert finding.sentence == "1725634833.mp4: cannot be read (it is empty)."


@pytest.mark.parametrize("problem", [Problem.BEING_WRITTEN, Problem.NOT_READ, Problem.CUT_OFF, Problem.DAMAGED])
def test_a_file_that_may_hold_video_is_not_repairable(problem: Problem) -> None:
    assert problem not in REPAIRABLE
