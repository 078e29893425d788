"""What a request or a configuration can be refused with.

Every message is one plain sentence for the person who asked: it names the field, the value and what would be right.
Some carry a word that clients of the Go module look for ("range", "future", "parsing time", "grpc", "size_gb" …).
"""


class VideoStoreError(Exception):
    """Base of every error whose text is meant for the user."""


class ConfigError(VideoStoreError):
    """An attribute of the machine config is missing or wrong."""


class RequestError(VideoStoreError):
    """A command cannot be carried out as it was asked."""


class TimestampError(RequestError):
    """A timestamp could not be read."""


class NothingStoredError(RequestError):
    """No recording lies in the range that was asked for."""


class UnreadableRangeError(RequestError):
    """The recording of the range is there, but damaged."""


class TooLargeError(RequestError):
    """The clip would be larger than an answer can carry."""


class NoRoomError(RequestError):
    """The disk has no room for the clip."""


class UnknownSaveError(RequestError):
    """No save of this name is known."""


class FFmpegError(VideoStoreError):
    """An ffmpeg could not be found, lacks what is needed, or failed."""


class MachineError(VideoStoreError):
    """A machine could not be reached, or does not answer as a recorder does."""


def reason_of(error: BaseException) -> str:
    """What went wrong, without the number and the path that the system puts around it."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


_SHOWN_CHARS = 60


def shown(value: object) -> str:
    """A value as a message quotes it: at most about 60 characters, and 20 where protobuf has made 20.0 of it."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    try:
        quoted = repr(value[: _SHOWN_CHARS + 1] if isinstance(value, str) else value)
    except ValueError:  # Python refuses to write out integers of thousands of digits.
        quoted = "an endless number"
    return quoted if len(quoted) <= _SHOWN_CHARS + 2 else quoted[:_SHOWN_CHARS] + "…"


def whole_characters(text: str) -> str:
    """The text with every half character (a lone surrogate) replaced, which no file and no database takes."""
    return text.encode(errors="replace").decode()
