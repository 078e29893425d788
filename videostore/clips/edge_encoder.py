"""Encodes the edges of clips, so that all pieces of a clip join without a seam."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from videostore.base.errors import FFmpegError
from videostore.clips.compact_list import CompactList
from videostore.clips.cut_command import CutCommand, VideoStarts
from videostore.clips.cut_commands import HEVC_IN_BAND, edge_command
from videostore.clips.edge_variants import Variant, variants
from videostore.clips.pieces import Pieces
from videostore.clips.place import Place
from videostore.clips.plan import ClipPart
from videostore.ffmpeg.concat_list import ListedFile
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.ending import was_ended
from videostore.media.decoder_setup import DecoderSetup, NoSetupError, read_setup
from videostore.storage.write_room import FULL_ERRORS

_FULL = re.compile("|".join(map(os.strerror, FULL_ERRORS)))
_NEVER_US = -1_000_000_000
"""Before the first frame of any file."""
_KNOWN_SETUPS = 64
"""A recording has few; the rest are forgotten."""
KEPT_SAMPLES, _SAMPLE_BYTES = 4, 1 << 21
"""Encoded frames that are kept, and how large each is at most: a keyframe of 4K takes less."""

RunCommand = Callable[[CutCommand], Awaitable[None]]
"""Runs a command. Raises FFmpegError."""

OnTag = Callable[[str | None], Awaitable[None]]
"""Gets how the video will be tagged, if the pieces can be joined."""


@dataclass(frozen=True, slots=True)
class Joinable:
    """Pieces that can be joined as they are."""

    files: Sequence[ListedFile]
    tag: str | None = None
    """How the video is tagged in the clip; None for the usual."""


def fitted_into(joinable: Joinable | None, place: Place, parts: Sequence[ClipPart]) -> Joinable:
    """Pieces of some parts of a stream, as they fit into the stream.

    The end of one of H.265 whose frames are decoded in another order is encoded, and then has parameter sets of its
    own: they must have a place from the beginning on.

    Raises:
        FFmpegError: they do not, or all of the part would have to be re-encoded.
    """
    if joinable is not None and place.first:
        may_have_tail = parts[0].segment.codec == "hevc" and any(part.copy.end is not None for part in parts)
        place.tag = HEVC_IN_BAND if joinable.tag is None and may_have_tail else joinable.tag
    if joinable is None or joinable.tag not in (None, place.tag):
        raise FFmpegError("stream-format-changed", at_us=parts[0].first_us)
    return replace(joinable, tag=place.tag)


class _NotTriedError(Exception):
    """A way could not be tried: an ffmpeg was killed, or the disk was full."""


class EdgeEncoder:
    """Encodes edges, and remembers which way of encoding has met which recordings."""

    def __init__(self, encoder: Encoder | None, logger: logging.Logger) -> None:
        """`encoder` is that of the recorder, for segments that do not name theirs."""
        self._encoder = encoder
        self._logger = logger
        self._worked: dict[tuple[DecoderSetup, Encoder | None], str | None] = {}
        self._samples: dict[tuple[DecoderSetup, Encoder | None, str], bytes] = {}
        """Files of a frame, for headers, by what they can be joined to, and in which way."""

    async def encode(
        self,
        pieces: Pieces,
        work: Path,
        run: RunCommand,
        starts: VideoStarts = None,
        on_tag: OnTag | None = None,
        *,
        for_header: bool = False,
    ) -> Joinable | None:
        """The files of all pieces; None if all of the clip must be re-encoded. `starts` is for the commands.

        At most two commands run at a time. `on_tag` is called before them, if the tag is certain. If they are only
        there for the header of the clip, any frame will do, such as one that was encoded before.
        """
        if not pieces.edges:
            return Joinable(pieces.body)
        loop = asyncio.get_running_loop()
        try:
            setup, encoder = await loop.run_in_executor(None, self._describe, pieces.model)
            ways = variants(setup, encoder)
        except (NoSetupError, OSError) as error:  # re-encoding shows whether it can be read at all
            self._logger.debug("A clip is re-encoded: %s.", error)
            return None
        known = self._worked.get((setup, encoder), "")
        tried = ways if known == "" else [way for way in ways if way.name == known]
        if on_tag is not None and len(tags := {way.tag for way in tried}) == 1:
            await on_tag(*tags)
        is_tried = True
        for way in tried:
            for_header = for_header and len(pieces.edges) == 1
            if for_header and (sample := self._samples.get((setup, encoder, way.name))) is not None:
                path = work / f"{way.name}.mp4"
                await loop.run_in_executor(None, path.write_bytes, sample)
                return Joinable(await loop.run_in_executor(None, _in_order, pieces, [path]), way.tag)
            try:
                files = await self._try(way, setup, pieces, work, run, starts)
            except _NotTriedError as error:
                self._logger.warning("The edges of a clip could not be encoded: %s", error)
                files, is_tried = None, False
            if files is not None:
                self._remember(setup, encoder, way.name)
                if for_header:
                    self._keep((setup, encoder, way.name), await loop.run_in_executor(None, files[0].read_bytes))
                return Joinable(await loop.run_in_executor(None, _in_order, pieces, files), way.tag)
        if is_tried and not known:  # one that has worked before fails for another reason
            self._remember(setup, encoder, None)
        return None

    def _keep(self, key: tuple[DecoderSetup, Encoder | None, str], sample: bytes) -> None:
        if len(sample) <= _SAMPLE_BYTES:
            while len(self._samples) >= KEPT_SAMPLES:
                del self._samples[next(iter(self._samples))]
            self._samples[key] = sample

    def forget_failures(self) -> None:
        """Try all ways again for recordings that none has met: damage was the reason."""
        self._worked = {known: name for known, name in self._worked.items() if name is not None}

    def _describe(self, path: Path) -> tuple[DecoderSetup, Encoder | None]:
        setup = read_setup(path)
        return setup, Encoder.from_tag(setup.description) or self._encoder

    async def _try(
        self, way: Variant, setup: DecoderSetup, pieces: Pieces, work: Path, run: RunCommand, starts: VideoStarts
    ) -> list[Path] | None:
        """Encode the edges in one way; None if they do not join.

        Raises:
            _NotTriedError: it failed for a reason that tells nothing about the way.
        """
        files = [work / f"{edge.name}-{way.name}.mp4" for edge in pieces.edges]
        loop = asyncio.get_running_loop()
        commands = []
        for edge, path in zip(pieces.edges, files, strict=True):
            command = functools.partial(
                edge_command, edge, path.absolute(), way.options, timescale=setup.timescale, work=work, starts=starts
            )
            commands.append(await loop.run_in_executor(None, command))
        running = [asyncio.ensure_future(run(command)) for command in commands]
        try:
            await asyncio.gather(*running)
            if await loop.run_in_executor(None, way.fit, setup, pieces.model, files):
                return files
        except (FFmpegError, NoSetupError, OSError) as error:
            if (isinstance(error, FFmpegError) and was_ended(error)) or _FULL.search(str(error)):
                raise _NotTriedError(str(error)) from error
            self._logger.debug("The edges of a clip cannot be encoded as %s: %s", way.name, error)
        finally:
            for one in running:
                one.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return None

    def _remember(self, setup: DecoderSetup, encoder: Encoder | None, name: str | None) -> None:
        while len(self._worked) >= _KNOWN_SETUPS:
            del self._worked[next(iter(self._worked))]
        self._worked[setup, encoder] = name


def _in_order(pieces: Pieces, files: list[Path]) -> CompactList[ListedFile]:
    listed, after = CompactList[ListedFile](), []
    for edge, path in zip(pieces.edges, files, strict=True):
        one = ListedFile(path.absolute(), edge.length_us)
        if edge is pieces.head:
            listed.append(one)
            continue
        if pieces.head is None:
            # The clip takes its decoder's configuration from the first file, of which nothing is shown.
            listed.append(ListedFile(path.absolute(), 0, outpoint_us=_NEVER_US))
        after.append(one)
    listed.extend(pieces.body)
    listed.extend(after)
    return listed
