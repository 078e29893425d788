"""Codecs: what a playlist that leads to another one says of the video and the sound that a player will get.

Without it a player has to guess before it has read anything, and some of them only play what they have guessed.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from videostore.base.tasks import off_loop
from videostore.media.codec_names import CodecNames, read_codec_names
from videostore.media.decoder_setup import NoSetupError
from videostore.media.segment import Segment
from videostore.store.viewing import ViewedSegment

_MOST_KINDS = 200
"""Runs and encoders of a range: a file of each is read, in a tenth of a second. Only the newest ones count."""
_REMEMBERED = 2000

_Kind = tuple[int | None, str | None, str]


class Codecs:
    """Names the codecs of the segments of one recorder. It reads one file of each run, and remembers it."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Kind, CodecNames | None] = OrderedDict()

    async def of(self, segments: Sequence[ViewedSegment]) -> str:
        """The `CODECS` of a playlist (RFC 8216, 4.3.4.2): what its newest runs hold. Empty if no name fits them all:
        a player that cannot decode one of several codecs would play none of them."""
        kinds: dict[_Kind, Path] = {}
        for one in reversed(segments):
            if len(kinds) == _MOST_KINDS:
                break
            kinds.setdefault(_kind_of(one.segment), one.path)
        unread = {kind: path for kind, path in kinds.items() if kind not in self._known}
        if unread:
            self._known.update(await off_loop(_read_all, unread))
        found = {kind: self._known[kind] for kind in kinds if kind in self._known}
        for kind in found:
            self._known.move_to_end(kind)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return _joined(list(found.values()))


def _kind_of(segment: Segment) -> _Kind:
    """What segments have in common that have the same video and the same sound."""
    of_other = segment.file_name if segment.run_us is None and segment.setup is None else ""
    return segment.run_us, segment.setup, of_other


def _read_all(paths: dict[_Kind, Path]) -> dict[_Kind, CodecNames | None]:
    """Those that can be read; None where a codec has no name. Blocking."""
    found: dict[_Kind, CodecNames | None] = {}
    for kind, path in paths.items():
        with contextlib.suppress(OSError):  # it is gone, or got another name
            try:
                found[kind] = read_codec_names(path)
            except NoSetupError:
                found[kind] = None
    return found


def _joined(found: Sequence[CodecNames | None]) -> str:
    """One name of the video, which is the most demanding, and one of each kind of sound."""
    names = [one for one in found if one is not None]
    video = {one.video.split(".")[0]: one.video for one in sorted(names, key=lambda one: one.demand)}
    sound = {one.sound.split(".")[0]: one.sound for one in names if one.sound is not None}
    is_one = len(video) == 1 and len(names) == len(found)
    return ",".join([*video.values(), *(sound[kind] for kind in sorted(sound))]) if is_one else ""
