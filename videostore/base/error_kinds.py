"""Kinds of errors: what a client can do about one. Each protocol has a status for each kind."""

from __future__ import annotations

import enum

from videostore.base.errors import (
    ConfigError,
    NoRoomError,
    NothingStoredError,
    RequestError,
    TooLargeError,
    UnknownSaveError,
    UnreadableRangeError,
    VideoStoreError,
)


class ErrorKind(enum.Enum):
    """Of which kind an error is."""

    WRONG = "the request is wrong, and stays so"
    UNKNOWN = "what it is about does not exist"
    UNREADABLE = "what it is about is damaged"
    TOO_LARGE = "it asks for too much"
    NO_ROOM = "there is no room for what it makes"
    TOO_MANY = "it may be granted when there are fewer"
    NOT_YET = "it may be granted later"
    ENDED = "it was granted in part, and the rest has to be asked for by itself"
    TAKEN = "another has what it would change"
    SETUP = "the owner of the machine has to change something"
    FAILED = "something failed"


_BY_CODE = {
    **dict.fromkeys(
        ("event-unknown", "no-such-page", "no-such-recorder", "page-missing", "segment-gone"), ErrorKind.UNKNOWN
    ),
    "clip-empty": ErrorKind.UNREADABLE,
    **dict.fromkeys(("picture-needs-too-much", "playlist-too-long", "request-too-large"), ErrorKind.TOO_LARGE),
    **dict.fromkeys(("storage-full", "storage-full-files", "storage-full-quota"), ErrorKind.NO_ROOM),
    **dict.fromkeys(("too-many-events", "too-many-requests", "too-many-saves", "too-many-videos"), ErrorKind.TOO_MANY),
    **dict.fromkeys(
        (
            "answer-not-taken",
            "answer-too-late",
            "clip-incomplete",
            "closed",
            "index-rebuilding",
            "not-started",
            "recorder-not-readable",
            "recorder-opening",
            "recording-unreadable",
            "storage-replaced",
            "storage-trouble",
        ),
        ErrorKind.NOT_YET,
    ),
    **dict.fromkeys(("stream-clock-set-back", "stream-format-changed"), ErrorKind.ENDED),
    "mark-while-recording": ErrorKind.TAKEN,
    **dict.fromkeys(
        (
            "clip-not-uploaded",
            "clip-not-written",
            "event-not-noted",
            "ffmpeg-is-not",
            "ffmpeg-missing",
            "ffmpeg-not-runnable",
            "ffmpeg-too-old",
            "storage-device-gone",
            "storage-in-use",
            "storage-missing",
            "storage-not-created",
            "storage-stalled",
            "storage-unreadable",
            "storage-unusable",
            "upload-device-gone",
            "upload-path-unusable",
            "upload-stalled",
        ),
        ErrorKind.SETUP,
    ),
}
_BY_CLASS: tuple[tuple[type[VideoStoreError], ErrorKind], ...] = (
    (NothingStoredError, ErrorKind.UNKNOWN),
    (UnknownSaveError, ErrorKind.UNKNOWN),
    (UnreadableRangeError, ErrorKind.UNREADABLE),
    (TooLargeError, ErrorKind.TOO_LARGE),
    (NoRoomError, ErrorKind.NO_ROOM),
    (RequestError, ErrorKind.WRONG),
    (ConfigError, ErrorKind.WRONG),
)
"""The first one that fits counts."""


def kind_of(error: VideoStoreError) -> ErrorKind:
    """Of which kind an error is, by its code, otherwise by its class."""
    if (kind := _BY_CODE.get(error.code)) is not None:
        return kind
    return next((kind for each, kind in _BY_CLASS if isinstance(error, each)), ErrorKind.FAILED)
