from __future__ import annotations

from videostore.cli.help_text import TIMES, examples, table
from videostore.cli.time_options import parse_range


def test_a_table_has_aligned_columns_and_keeps_its_lines() -> None:
    assert table("Exit codes", {0: "done", 130: "interrupted"}) == ("\b\nExit codes:\n  0    done\n  130  interrupted")


def test_examples_keep_their_lines() -> None:
    assert examples("videostore state", "videostore --help") == (
        "\b\nExamples:\n  videostore state\n  videostore --help"
    )


def test_every_form_of_a_time_in_the_help_can_be_parsed() -> None:
    columns = [line[2:27].rstrip() for line in TIMES.splitlines()[2:]]
    forms = [form.strip('"') for column in columns for form in column.split("  or  ")]
    assert len(forms) == 8
    for form in forms:
        start, end = ("-1h", form) if form == "now" or form.startswith("+") else (form, "+1s")
        asked = parse_range(start, end)
        assert asked.from_us < asked.to_us
