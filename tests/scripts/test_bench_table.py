from __future__ import annotations

import pytest

from scripts.bench.__main__ import ROWS, TABLE, main
from scripts.bench.table import Row, format_table


def test_a_line_has_what_the_peer_needs_and_what_is_wanted() -> None:
    rows = [
        Row("save-10s", "40 ms", "28 ms; ≤ 1.2 x", 1.43, False),
        Row("start", "0.5 s", "≤ 0.55 s", None, True),
        Row("streams memory", "112 MB", "32 MB", None, None),
    ]
    headings, _, *lines = format_table(rows).splitlines()
    assert [cell.strip() for cell in headings.split("|")] == ["row", "videostore", "peer", "ratio", "wanted", "result"]
    assert [[cell.strip() for cell in line.split("|")] for line in lines] == [
        ["save-10s", "40 ms", "28 ms", "1.43", "≤ 1.2 x", "MISSED"],
        ["start", "0.5 s", "-", "-", "≤ 0.55 s", "met"],
        ["streams memory", "112 MB", "32 MB", "-", "", "-"],
    ]


def test_a_row_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(TABLE) <= set(ROWS)
    with pytest.raises(SystemExit):
        main(["save-10s", "sav-60s"])
    assert "no such row: sav-60s" in capsys.readouterr().err


def test_without_the_go_module_its_row_says_how_to_name_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VIDEOSTORE_GO_MODULE", raising=False)
    main(["go-module"])
    assert "not measured: VIDEOSTORE_GO_MODULE" in capsys.readouterr().out
