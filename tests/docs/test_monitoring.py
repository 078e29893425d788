"""docs/guide/monitoring.md and the code say the same of each metric."""

from __future__ import annotations

import pytest

from tests.support.documents import page, rows_below
from videostore.web.metrics import METRICS


@pytest.fixture(scope="module")
def text() -> str:
    return page("guide/monitoring")


def metric_differences(text: str) -> set[tuple[str, str]]:
    """Metrics that the page or the code alone has, or of which they say something else."""
    told = {(row[0].strip("`"), row[1]) for row in rows_below(text, "metric")}
    return told ^ {(f"videostore_{one.name}{'_total' if one.counts else ''}", one.help) for one in METRICS}


def test_metrics_are_those_of_the_code(text: str) -> None:
    assert metric_differences(text) == set()


def test_a_metric_that_the_page_lacks_is_noticed(text: str) -> None:
    assert metric_differences(text.replace("`videostore_gaps`", "`videostore_holes`")) != set()
