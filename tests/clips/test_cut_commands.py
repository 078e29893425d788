"""Which commands make the clip of a plan. The segments do not exist, because nothing is run."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.support.recording import START_US, US
from videostore.base.constants import FASTSTART_BYTES
from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.clips.copy_range import CopyRange
from videostore.clips.cut_command import CutCommand
from videostore.clips.cut_commands import HEVC_IN_BAND, edge_command, group_commands, join_command
from videostore.clips.pieces import Edge, pieces_of
from videostore.clips.plan import REENCODED_FACTOR, ClipPart, Plan, first_picture_bytes, groups_of
from videostore.ffmpeg.concat_list import ListedFile
from videostore.media.look import Look
from videostore.media.segment import Segment

STORAGE, WORK, OUTPUT = Path("/storage"), Path("/cutting"), "/clips/clip.mp4"


def parts_of(*sizes: tuple[int, int], codec: str = "h264", run: int | None = 1) -> list[ClipPart]:
    """Whole segments of 10 s each, one after another, with these frame sizes."""
    parts = []
    for number, (width, height) in enumerate(sizes):
        start_us = START_US + number * 10 * US
        name = f"{number}.mp4"
        segment = Segment(name, start_us, start_us + 10 * US, 1000, width, height, codec, run_us=run, run_number=number)
        parts.append(ClipPart(segment, STORAGE / name, segment.end_us, start_us))
    return parts


def plan_of(parts: Sequence[ClipPart], estimated_bytes: int = 1000) -> Plan:
    asked = Range(parts[0].first_us, parts[-1].stop_us or parts[-1].end_us)
    return Plan(asked, tuple((part.segment, part.path) for part in parts), tuple(parts), (asked,), estimated_bytes)


def commands_for(plan: Plan, container: str = "mp4", comment: str = "") -> tuple[CutCommand, ...]:
    """The commands of a clip whose edges are encoded in some way, or whose groups are encoded whole."""
    groups = groups_of(plan.parts)
    stop_us = None
    if len(groups) > 1:
        commands, files = group_commands(groups, WORK)
    else:
        pieces = pieces_of(groups[0])
        stop_us = pieces.stop_us
        encoded = {edge.name: WORK / f"{edge.name}.mp4" for edge in pieces.edges}
        commands = [
            edge_command(edge, encoded[edge.name], {"c:v": "libx264"}, timescale=1_000_000, work=WORK)
            for edge in pieces.edges
        ]
        files = list(pieces.body)
        if pieces.head is not None:
            files.insert(0, ListedFile(encoded["head"], pieces.head.length_us))
        if pieces.tail is not None:
            files.append(ListedFile(encoded["tail"], pieces.tail.length_us))
    joining = join_command(
        plan, files, OUTPUT, container=container, comment=comment, recorder="cam", work=WORK, stop_us=stop_us
    )
    return (*commands, joining)


def option(command: CutCommand, name: str) -> str | None:
    """The value of an option that occurs at most once in a command."""
    values = [b for a, b in itertools.pairwise(command.arguments) if a == f"-{name}"]
    assert len(values) <= 1
    return values[0] if values else None


def inputs(command: CutCommand) -> list[Path]:
    return [Path(b) for a, b in itertools.pairwise(command.arguments) if a == "-i"]


def test_whole_segments_are_copied_by_one_command() -> None:
    (command,) = commands_for(plan_of(parts_of((640, 480), (640, 480))))
    assert command.arguments[-1] == OUTPUT or OUTPUT in command.arguments
    assert option(command, "c") == "copy" and option(command, "ss") is None and option(command, "t") is None
    assert command.files[WORK / "list.txt"] == (
        "ffconcat version 1.0\n"
        "file '/storage/0.mp4'\noption fpsprobesize 0\nduration 10.000000\n"
        "file '/storage/1.mp4'\noption fpsprobesize 0\nduration 10.000000\n"
    )


def test_a_clip_starts_on_its_first_frame_and_ends_between_two() -> None:
    first, last = parts_of((640, 480), (640, 480))
    start_us = first.segment.start_us
    first = replace(first, first_us=start_us + 2_500_001, copy=CopyRange(start_us + 2_500_001), last_length_us=1)
    last = replace(last, stop_us=last.segment.start_us + 4 * US, last_length_us=100_000)
    (command,) = commands_for(plan_of([first, last]))
    assert (option(command, "ss"), option(command, "t")) == (None, "11.499999")
    assert "inpoint 2.500001\nduration 7.499999\n" in command.files[WORK / "list.txt"]
    assert option(command, "bsf:v") == "setts=pts=PTS:dts=DTS:duration='0.100000/TB'"


@pytest.mark.parametrize("container", ["mp4", "fmp4"])
def test_a_clip_that_starts_between_keyframes_reencodes_up_to_the_next_one(container: str) -> None:
    first, last = parts_of((640, 480), (640, 480))
    start_us = first.segment.start_us
    first = replace(first, first_us=start_us + US, copy=CopyRange(start_us + 3 * US), last_length_us=1)
    head, whole = commands_for(plan_of([first, last]), container)
    assert (option(head, "c:v"), option(head, "ss"), option(head, "t")) == ("libx264", "1.000000", "1.999999")
    assert str(WORK / "head.mp4") in head.arguments
    assert option(whole, "c") == "copy" and ("frag_keyframe" in (option(whole, "movflags") or "")) == (
        container == "fmp4"
    )
    assert whole.files[WORK / "list.txt"] == (
        "ffconcat version 1.0\n"
        "file '/cutting/head.mp4'\noption fpsprobesize 0\nduration 2.000000\n"
        "file '/storage/0.mp4'\noption fpsprobesize 0\ninpoint 3.000000\nduration 7.000000\n"
        "file '/storage/1.mp4'\noption fpsprobesize 0\nduration 10.000000\n"
    )


def test_frames_that_are_decoded_later_than_others_are_cut_out_of_a_decoded_file_not_sought_in_it() -> None:
    (part,) = parts_of((640, 480))
    start_us = part.segment.start_us
    part = replace(
        part,
        first_us=start_us + 3 * US,
        stop_us=start_us + 4 * US,
        copy=CopyRange(decode_us=start_us + 2 * US),
        last_length_us=1,
    )
    head, _ = commands_for(plan_of([part]))
    assert (option(head, "ss"), option(head, "t")) == (None, "2.000000")
    assert "trim=start=1.000000" in (option(head, "filter_complex") or "")
    assert "inpoint 2.000000\nduration 8.000000\n" in head.files[WORK / "head.txt"]


def test_an_edge_is_decoded_as_early_as_the_frames_that_it_joins() -> None:
    (part,) = parts_of((640, 480))
    edge = Edge("tail", (part,), 10 * US, delay_us=80_000)
    command = edge_command(edge, WORK / "tail.mp4", {"c:v": "libx264"}, timescale=12_800, work=WORK)
    assert option(command, "bsf:v") == "setts=pts=PTS:dts=DTS-0.080000/TB"
    assert (option(command, "video_track_timescale"), option(command, "enc_time_base")) == ("12800", "1/12800")


def test_parameter_sets_of_h265_are_repeated_where_the_tag_allows_it() -> None:
    plan = plan_of(parts_of((640, 480), codec="hevc"))
    files = list(pieces_of(plan.parts).body)
    for tag, filters in [(HEVC_IN_BAND, "hevc_mp4toannexb"), ("hvc1", None), (None, None)]:
        command = join_command(plan, files, OUTPUT, container="mp4", comment="", recorder="cam", work=WORK, tag=tag)
        assert (option(command, "tag:v"), option(command, "bsf:v")) == (tag, filters)


def test_parts_of_different_frame_sizes_are_reencoded_to_the_largest_and_bounded_in_size() -> None:
    *encoding, joining = commands_for(plan_of(parts_of((640, 480), (1281, 721), (640, 480))))
    assert len(encoding) == 3
    for command in encoding:
        scaling = option(command, "filter_complex") or ""
        assert "clip(2*round(722*" in scaling and "pad=1282:722" in scaling and "setsar=1/1" in scaling
        rate, buffer = (int(option(command, name) or 0) for name in ("maxrate", "bufsize"))
        assert 0 < buffer + 10 * rate <= 8 * (REENCODED_FACTOR * 1000 + first_picture_bytes(1282 * 722)) + 10_000
    assert option(joining, "c") == "copy" and option(joining, "filter_complex") is None


@pytest.mark.parametrize("container", ["mp4", "fmp4"])
def test_every_input_is_a_file_of_the_command_or_the_output_of_one_before(container: str) -> None:
    first, *others = parts_of((640, 480), (640, 480), (1280, 720))
    first = replace(first, first_us=first.segment.start_us + US, copy=CopyRange(first.segment.start_us + 2 * US))
    for parts in ([first], [first, others[0]], [first, *others]):
        written: set[Path] = set()
        for command in commands_for(plan_of(parts), container):
            assert set(inputs(command)) == set(command.files)
            listed = "".join(text for text in command.files.values() if text.startswith("ffconcat"))
            made = {
                WORK / line[len("file '/cutting/") : -1] for line in listed.splitlines() if "file '/cutting/" in line
            }
            assert made <= written
            written |= {Path(one) for one in command.arguments if one.endswith(".mp4")}
        assert Path(OUTPUT) in written


def test_the_frame_has_the_pixel_shape_of_the_largest_part() -> None:
    small, large = parts_of((640, 480), (720, 576))
    parts = [replace(small, look=Look(Fraction(10, 11))), replace(large, look=Look(Fraction(16, 11)))]
    *encoding, _ = commands_for(plan_of(parts))
    assert all("setsar=16/11" in (option(command, "filter_complex") or "") for command in encoding)


def test_parts_of_another_look_are_reencoded_and_unread_ones_join() -> None:
    first, second = parts_of((720, 576), (720, 576))
    wide, tagged = Look(Fraction(16, 11)), Look(colours=(6, 6, 6, False))
    for one, other, count in ((wide, wide, 1), (wide, Look(), 3), (Look(), tagged, 3), (None, tagged, 1)):
        assert len(commands_for(plan_of([replace(first, look=one), replace(second, look=other)]))) == count


def test_clips_count_time_at_90_khz() -> None:
    (command,) = commands_for(plan_of(parts_of((640, 480))))
    assert (option(command, "video_track_timescale"), option(command, "time_base:v")) == ("90000", "1/90000")


def test_the_index_of_a_clip_is_moved_to_its_front_unless_it_is_very_large() -> None:
    parts = parts_of((640, 480))
    for size_bytes, flags in [(FASTSTART_BYTES, "+faststart"), (FASTSTART_BYTES + 1, None)]:
        (command,) = commands_for(plan_of(parts, size_bytes))
        assert option(command, "movflags") == flags


def test_a_segment_whose_path_has_a_line_break_is_refused() -> None:
    (part,) = parts_of((640, 480))
    with pytest.raises(RequestError) as error:
        commands_for(plan_of([replace(part, path=Path("/storage/a\nb.mp4"))]))
    assert error.value.code == "path-unlistable"


def test_the_tags_are_the_start_of_the_clip_and_its_comment() -> None:
    (command,) = commands_for(plan_of(parts_of((640, 480))), comment="a=b")
    start, end = "2024-08-30T06:40:00.123457Z", "2024-08-30T06:40:10.123457Z"
    assert command.files[WORK / "tags.txt"] == (
        f";FFMETADATA1\ncreation_time={start}\ndate={start}\nsynopsis=0:00:00.000000 {start}/{end}\ncomment=a\\=b"
    )
    assert option(command, "metadata") == "title=cam"
