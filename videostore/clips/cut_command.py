"""A command of a clip: one run of ffmpeg, with the lists that it reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import ffmpeg

from videostore.base.system import processors
from videostore.base.time_format import format_seconds
from videostore.clips.plan import ClipPart
from videostore.ffmpeg.concat_list import (
    CONCAT_INPUT,
    COPIED_INPUT,
    LATE_CONCAT_INPUT,
    ListedFile,
    concat_list,
)

_MOST_THREADS = 16
"""That decode. ffmpeg itself starts one more than there are processors, and is a tenth slower with it."""

VideoStarts = Mapping[Path, int] | None
"""Where in files with sound the video starts, in microseconds, if that is not at 0; None if no file has sound."""


@dataclass(frozen=True, slots=True)
class CutCommand:
    """One run of ffmpeg. The last command of a clip writes the clip, those before it write parts of it."""

    arguments: tuple[str, ...]
    """Inputs, options and output; the program and the options for its messages are not among them."""
    files: Mapping[Path, str]
    """Files to write before it runs, with their text: the lists and tags that it reads."""
    late: str | None = None
    """What it reads from its standard input."""
    usual: bool = False
    """Whether all clips that are like most have the same arguments, their files and the list aside."""

    def write_files(self) -> None:
        """Blocking."""
        for path, text in self.files.items():
            path.write_text(text, encoding="utf-8")


class CommandMaker:
    """Makes one command, with the files that it reads."""

    def __init__(self, work: Path, starts: VideoStarts = None) -> None:
        self.work = work.absolute()
        self._starts = starts
        self._files: dict[Path, str] = {}
        self._late: str | None = None

    def file(self, name: str, text: str) -> Path:
        """Add a file; returns its path."""
        path = self.work / name
        self._files[path] = text
        return path

    def concat_input(
        self,
        name: str | None,
        files: Iterable[ListedFile],
        options: Mapping[str, Any],
        *,
        copied: bool = False,
        in_order: bool = False,
    ) -> Any:
        """An input that plays files one after another, to be copied, or decoded, maybe `in_order`. Without a name, the
        list comes from standard input."""
        if self._starts is not None:
            files = map(self._from_video, files)
        text = concat_list(files, video_only=self._starts is not None, piped=name is None, in_order=copied or in_order)
        known = LATE_CONCAT_INPUT if name is None else CONCAT_INPUT
        reading = {**known, **(COPIED_INPUT if copied else {}), **options}
        if name is None:
            self._late = text
        return ffmpeg.input("pipe:0" if name is None else str(self.file(name, text)), **reading)

    def _from_video(self, file: ListedFile) -> ListedFile:
        start_us = self._starts.get(file.path) if self._starts is not None and file.inpoint_us is None else None
        return file if start_us is None else replace(file, inpoint_us=start_us)

    def exact_video(self, name: str, parts: Sequence[ClipPart]) -> Any:
        """Video to encode, of exactly the frames of the parts, from the first of them on."""
        first, last = parts[0], parts[-1]
        begin_us = first.first_us
        options: dict[str, Any] = {"threads": min(processors(), _MOST_THREADS)}
        begin: ListedFile | None = None
        if first.copy.decode_us is not None:
            # The demuxer cannot seek in a file of this kind: it may find a keyframe that is too late.
            begin_us = first.copy.decode_us
            if begin_us > first.segment.start_us:
                from_us = begin_us - first.segment.start_us
                inpoint_us = first.origin_us + from_us
                begin = replace(_whole(first), duration_us=first.length_us - from_us, inpoint_us=inpoint_us)
        elif first.skip_us > 0:
            options["ss"] = format_seconds(first.skip_us)
        if last.stop_us is not None:
            before_us = sum(part.length_us for part in parts) - last.length_us
            stop_us = before_us + last.stop_us - last.segment.start_us
            options["t"] = format_seconds(stop_us - (begin_us - first.segment.start_us))
        borrowed = () if last.borrowed is None else (last.borrowed,)
        listed = chain([begin or _whole(first)], map(_whole, islice(parts, 1, None)), borrowed)
        in_order = all(part.was_read and part.copy.decode_us is None for part in parts)
        video = self.concat_input(name, listed, options, in_order=in_order).video
        if begin_us < first.first_us or first.copy.decode_us is not None:
            video = video.filter("trim", start=format_seconds(first.first_us - begin_us))
            video = video.filter("setpts", "PTS-STARTPTS")
        return video

    def writing(self, output: Any, *, usual: bool = False) -> CutCommand:
        """The command that writes an output of ffmpeg-python."""
        return CutCommand(tuple(ffmpeg.get_args(output)), self._files, self._late, usual)


def _whole(part: ClipPart) -> ListedFile:
    return ListedFile(part.path.absolute(), part.length_us, size_bytes=part.read_bytes)
