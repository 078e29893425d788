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


class TooLargeError(RequestError):
    """The clip would be larger than an answer can carry."""


class NoRoomError(RequestError):
    """The disk has no room for the clip."""


class UnknownSaveError(RequestError):
    """No save of this name is known."""


class FFmpegError(VideoStoreError):
    """An ffmpeg could not be found, lacks what is needed, or failed."""


def reason_of(error: BaseException) -> str:
    """What went wrong, without the number and the path that the system puts around it."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
