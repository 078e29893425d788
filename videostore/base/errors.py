"""Errors for the user: a code, fields, and the sentence that they make.

`str(error)` is plain English for the person who asked: what went wrong, then what to do. It is rendered here, from the
tables of `videostore.base.sentences`, and nothing reads it back: programs look at the class, the code and the fields.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from videostore.base import sentences
from videostore.base.constants import GIB, MIB
from videostore.base.json_text import json_text, kind_word
from videostore.base.ranges import Range
from videostore.base.time_format import format_utc_exact, format_utc_microseconds, up_to_millisecond
from videostore.base.write_limit import limit_behind


class Style:
    """How a sentence and its fields are written. The command line has its own style, with its options and local times.

    Forms: `field` (of a command), `attribute` (a dotted name), `the attribute` (the same at the beginning of a
    sentence), `time` (of microseconds, to the millisecond), `range` (rounded outwards), `exact` and `exact range`
    (neither is rounded), `value` (quoted and shortened), `path` (quoted in full), `name` (without quotes if it can be),
    `MiB`, `GiB`, `s` (seconds), `reason` (without its full stop), `because` (the same after a colon; nothing if there
    is none). A field without a form is written as it is, a list with commas.
    """

    left_out = ""
    """Words that are not written."""

    def field(self, name: str) -> str:
        """A field of a command, or a parameter."""
        return f"'{printable(name)}'"

    def attribute(self, name: str) -> str:
        """An attribute of the machine config, by its dotted name."""
        return printable(name)

    def the_attribute(self, name: str) -> str:
        """The same as the subject that a sentence begins with."""
        return f"The attribute {self.attribute(name)}"

    def time(self, time_us: int) -> str:
        """A time, in microseconds since 1970, UTC."""
        return format_utc_exact(time_us)

    def exact(self, time_us: int) -> str:
        """The same without rounding."""
        return format_utc_microseconds(time_us)

    def write(self, value: Any, form: str) -> str:
        """One field in the form that its sentence asks for. Fails if the value does not have the type of the form."""
        if form in ("field", "attribute", "the attribute", "time", "exact"):
            written: str = getattr(self, form.replace(" ", "_"))(value)
            return written
        if form == "range":
            return f"{self.time(value.from_us)} to {self.time(up_to_millisecond(value.to_us))}"
        if form == "exact range":
            return f"{self.exact(value.from_us)} to {self.exact(value.to_us)}"
        if form == "value":
            return repr(str(value)) if isinstance(value, Path) else shown(value)
        if form == "path":
            return repr(str(value))
        if form == "name":
            return shown_name(value)
        if form == "MiB":
            return f"{value / MIB:.1f} MiB" if value >= MIB / 10 else f"{value} bytes"
        if form == "GiB":
            return f"{value / GIB:.2f} GiB"
        if form == "s":
            return f"{value:g} s"
        if form == "reason":
            return printable(str(value).rstrip("."))
        if form == "because":
            return f": {printable(str(value).rstrip('.'))}" if value else ""
        return printable(", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))


class VideoStoreError(Exception):
    """Base of every error whose sentence is meant for the user.

    Attributes:
        code: Which sentence it is: a key of `sentences` that stays the same in every version, or `other`.
        fields: What the sentence tells, by name. A field that the class declares is also an attribute. `message` is a
            sentence that another program made: it is shown as it is.
    """

    sentences: ClassVar[Mapping[str, str]] = sentences.STORE
    """The sentences of the class, by code. The codes of its base classes are valid as well."""

    path: str | Path | None = None
    """The file or directory that the error is about."""
    reason: str | None = None
    """What the system, ffmpeg or another program reported."""

    def __init__(self, code: str = "", /, **fields: Any) -> None:
        """`code` names a sentence and `fields` fill it in. Any other text is a sentence that another program made."""
        if self.template(code) is None and not (code == sentences.OTHER and "message" in fields):
            code, fields = sentences.OTHER, {**fields, "message": code}
        super().__init__(code)
        self.code = code
        self.fields = fields
        for name, value in fields.items():
            if any(name in vars(kind).get("__annotations__", ()) for kind in type(self).__mro__):
                setattr(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.code, self.fields), self.__dict__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.code!r}: {self})"

    def __str__(self) -> str:
        return self.sentence()

    def sentence(self, style: Style | None = None) -> str:
        """The sentence, with its fields written in a style. Never fails: a missing field is written as `…`."""
        if "message" in self.fields:
            return str(self.fields["message"])
        parts = []
        for text, name, form in self._pieces((style or _PLAIN).left_out):
            parts.append(text)
            if name is not None:
                parts.append(self._field(name, form, style or _PLAIN))
        return "".join(parts)

    def _field(self, name: str, form: str, style: Style) -> str:
        if name not in self.fields:
            return "" if form == "because" else "…"
        try:
            return style.write(self.fields[name], form)
        except _UNFIT:
            return shown(self.fields[name])

    def is_complete(self) -> bool:
        """Whether the sentence has all its fields, with values that fit. Those from another machine may not."""
        try:
            for _, name, form in self._pieces():
                if name is not None and not (form == "because" and name not in self.fields):
                    _PLAIN.write(self.fields[name], form)
        except (KeyError, RecursionError, *_UNFIT):
            return False
        return True

    def _pieces(self, left_out: str = "") -> Iterator[tuple[str, str | None, str]]:
        """The parts of the sentence: some text, then the name and the form of a field, if one follows."""
        for text, name, form, _ in string.Formatter().parse((self.template(self.code) or "").replace(left_out, "")):
            yield text, name, form or ""

    @classmethod
    def template(cls, code: str) -> str | None:
        """The sentence of a code with its fields in braces; None if the class has no such code."""
        kinds = (kind for kind in cls.__mro__ if issubclass(kind, VideoStoreError))
        return next((kind.sentences[code] for kind in kinds if code in kind.sentences), None)


class ConfigError(VideoStoreError):
    """An attribute of the machine config is missing or wrong."""

    sentences = sentences.CONFIG

    attribute: str | None = None
    """Its dotted name, such as `storage.size_gb`."""
    value: Any = None
    """The value in the config."""
    expected: str | None = None
    """What it must be."""


class RequestError(VideoStoreError):
    """A request is wrong or cannot be answered."""

    sentences = sentences.ANY_REQUEST

    field: str | None = None
    """The field of the command, the parameter or the option, such as `to`."""
    value: Any = None
    """The value that was given."""
    expected: str | None = None
    """What it must be."""
    from_us: int | None = None
    """Start of the requested range, in microseconds UTC."""
    to_us: int | None = None
    """End of the requested range, in microseconds UTC."""
    clock_us: int | None = None
    """Time of the machine's clock, in microseconds UTC."""
    input: str | None = None
    """The input that cannot be recorded, without passwords."""


class TimestampError(RequestError):
    """A time is missing or invalid. It has `field` and `value`; `expected` lists the accepted forms."""

    sentences = sentences.TIMESTAMP


class NothingStoredError(RequestError):
    """Nothing is stored in the requested range."""

    sentences = sentences.NOTHING_STORED

    asked: Range | None = None
    """The requested range."""
    nearest: Range | None = None
    """The nearest stored range; None if the storage is empty."""
    before_us: int | None = None
    """Capture time of the last frame before a range that lies between two frames, in microseconds UTC."""
    after_us: int | None = None
    """Capture time of the first frame after it."""
    at_us: int | None = None
    """The requested moment, in microseconds UTC."""


class UnreadableRangeError(RequestError):
    """The recording of the requested range is damaged or deleted."""

    sentences = sentences.UNREADABLE_RANGE

    asked: Range | None = None
    """The requested range."""
    at_us: int | None = None
    """The requested moment, in microseconds UTC."""


class TooLargeError(RequestError):
    """The clip is larger than a response can be."""

    sentences = sentences.TOO_LARGE

    size_bytes: int | None = None
    """Approximate size of the clip."""
    limit_bytes: int | None = None
    """Largest clip in a response."""
    longest_s: float | None = None
    """Length in seconds of the longest clip of this kind that fits."""


class NoRoomError(RequestError):
    """The disk does not have enough space for the clip."""

    sentences = sentences.NO_ROOM

    size_bytes: int | None = None
    """Approximate space that is needed."""
    free_bytes: int | None = None
    """Free space on the disk of `path`."""
    longest_s: float | None = None
    """Length in seconds of the longest clip of this kind that fits."""


class UnknownSaveError(RequestError):
    """No save with this name is known. The name is `value`."""

    sentences = sentences.UNKNOWN_SAVE


class FFmpegError(VideoStoreError):
    """ffmpeg is missing, too old, or failed."""

    sentences = sentences.FFMPEG

    exit_code: int | None = None
    """Exit code of ffmpeg; negative if a signal ended it."""
    timeout_s: float | None = None
    """How long ffmpeg was given, in seconds."""
    version: str | None = None
    """Version of an ffmpeg that is too old."""


class MachineError(VideoStoreError):
    """A machine cannot be reached, or does not answer as a recorder does."""

    sentences = sentences.MACHINE

    address: str | None = None
    """Address of the machine, with its port."""
    component: str | None = None
    """Name of the recorder."""
    timeout_s: float | None = None
    """How long the machine was given, in seconds."""


_PLAIN = Style()
_UNFIT = (ArithmeticError, AttributeError, TypeError, ValueError)
"""Errors of writing a value in a form that is not for its type."""


def _rebuild(kind: type[VideoStoreError], code: str, fields: Mapping[str, Any]) -> VideoStoreError:
    error = kind.__new__(kind)  # a subclass may take other arguments
    VideoStoreError.__init__(error, code, **fields)
    return error


def error_classes(kind: type[VideoStoreError] = VideoStoreError) -> Iterator[type[VideoStoreError]]:
    """A class and all its subclasses."""
    yield kind
    for subclass in kind.__subclasses__():
        yield from error_classes(subclass)


def class_of(code: str) -> type[VideoStoreError] | None:
    """The class of this module to which a code belongs; None if the code is unknown."""
    return next((kind for kind in error_classes() if kind.__module__ == __name__ and code in kind.sentences), None)


def reason_of(error: BaseException) -> str:
    """What went wrong, without the error number and the path that the system adds."""
    reason = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    return ": ".join(filter(None, [reason, limit_behind(error)]))


_SHOWN_CHARS = 60
_CREDENTIALS = re.compile(r"(?<=://)\S*@")


def redact(text: str) -> str:
    """The text without the user names and passwords of URLs. A password may contain slashes."""
    return _CREDENTIALS.sub("…@", text)


def shown(value: object) -> str:
    """A value as a sentence quotes it: a text in quotes, anything else as JSON writes it; about 60 characters of it."""
    try:
        quoted = repr(redact(value)[: _SHOWN_CHARS + 1]) if isinstance(value, str) else None
        text = quoted or printable(redact(json_text(value)))
    except ValueError:  # Python refuses to write out integers of thousands of digits.
        text = "a number with thousands of digits"
    except Exception:  # noqa: BLE001 (a value may be nested too deeply, or fail to describe itself)
        text = f"{kind_word(value)} that cannot be shown"
    return text if len(text) <= _SHOWN_CHARS + 2 else text[:_SHOWN_CHARS] + "…"


def shown_name(name: str) -> str:
    """A name as a sentence writes it: without quotes, unless it is long or cannot be printed."""
    return name if len(name) <= _SHOWN_CHARS and name.isprintable() else shown(name)


def printable(text: str) -> str:
    """The text on one line, with what cannot be printed escaped: a file name may hold anything."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def whole_characters(text: str) -> str:
    """The text with every lone surrogate replaced: those cannot be encoded, so no file and no database accepts them."""
    return text.encode(errors="replace").decode()
