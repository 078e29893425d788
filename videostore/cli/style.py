"""How the command line writes errors: attributes as its options, and times as it shows them."""

from __future__ import annotations

from typing import Any

from videostore.base.errors import FFmpegError, RequestError, Style, VideoStoreError
from videostore.base.sentences import NO_MATCH

_OPTIONS = {
    "storage.storage_path": "--storage",
    "storage.upload_path": "--storage",
    "web.hosts": "--allow-host",
}

_ARGUMENTS = {
    "at": "AT",
    "from": "FROM",
    "to": "TO",
    "position": "POSITION",
    "since": "--since",
    "until": "--until",
    "start": "--start",
    "width": "--width",
    "label": "LABEL",
    "id": "ID",
    "before_s": "--before",
    "after_s": "--after",
    "keep": "--keep",
    "save": "--save",
    "metadata": "--metadata",
    "tags": "--tag",
    "cancel_save": "--cancel-save",
}


class CommandLineStyle(Style):
    """Writes an attribute of the machine config as the option that sets it, and times as RFC 3339.

    Errors of another machine keep the names of its attributes: `options` is False for them.
    """

    left_out = NO_MATCH

    def __init__(self, *, utc: bool = False, options: bool = True) -> None:
        self._utc = utc
        self._options = options

    def field(self, name: str) -> str:
        """`from` as `FROM`, which is what the help calls it."""
        return _ARGUMENTS.get(name) or super().field(name)

    def attribute(self, name: str) -> str:
        """`storage.size_gb` as `--size-gb`."""
        if not self._options:
            return super().attribute(name)
        return _OPTIONS.get(name) or "--" + name.rpartition(".")[2].replace("_", "-")

    def the_attribute(self, name: str) -> str:
        """The same: an option needs no article."""
        return self.attribute(name) if self._options else super().the_attribute(name)

    def time(self, time_us: int) -> str:
        """The time in RFC 3339, local unless the style is UTC."""
        from videostore.cli.time_options import format_time

        return format_time(time_us, utc=self._utc)

    def exact(self, time_us: int) -> str:
        """The same to the microsecond."""
        from videostore.cli.time_options import format_time

        return format_time(time_us, utc=self._utc, precision="microseconds")


def sentence_of(error: VideoStoreError, style: Style) -> str:
    """The sentence that is shown for an error.

    If ffmpeg could not make a clip, that is ffmpeg's reason: the module's log, which the error names, does not exist.
    An error that names commands of the module names those of the command line.
    """
    if error.code == "event-unknown" and "value" in error.fields:
        error = RequestError("command-line-event-unknown", value=error.fields.get("value"))
    if error.code == "tag-wrong" and isinstance(error, RequestError):
        told = {name: error.fields.get(name) for name in ("value", "fault", "expected")}
        error = RequestError("command-line-tag-wrong", **told)
    cause: Any = error.__cause__
    if error.code == "clip-failed" and isinstance(cause, FFmpegError):
        error = FFmpegError("clip-failed-because", reason=cause.sentence(style))
    return error.sentence(style)
