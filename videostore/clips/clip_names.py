"""The names of saved clips, and the directories of their tags."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from videostore.base.errors import RequestError, whole_characters
from videostore.base.time_format import format_local

PROGRESS_SUFFIX = ".prog"
"""Of files that the data manager does not upload."""
TAG_BYTES = TOKEN_BYTES = 4
"""Of the parts in the name of a clip that is not complete: who writes it, and one that is random. They have two
characters for each."""
NAME_BYTES = 255
"""Longest name that common file systems accept."""
_RESERVED_BYTES = len(".mp4") + len("-99999") + len(".") + 2 * (TAG_BYTES + TOKEN_BYTES) + len(PROGRESS_SUFFIX)
_TAG_PREFIX = "tag="


def clip_stem(name: str, from_us: int, metadata: str) -> str:
    """`<name>_<from, local time>_<metadata>`: characters that a file name cannot hold become `_`, and it is shortened
    to the length that a file name can have."""
    stem = f"{clean_name(name)}_{format_local(from_us)}"
    if metadata:
        stem = f"{stem}_{clean_name(metadata)}"
    room = NAME_BYTES - _RESERVED_BYTES
    return stem.encode()[:room].decode(errors="ignore")


def clean_name(text: str) -> str:
    """The text with `_` in place of each character that a file name cannot hold."""
    text = whole_characters(text)
    return "".join("_" if c in "/\\" or not c.isprintable() else c for c in text)


def tag_directory(tags: Collection[object]) -> Path:
    """`tag=…` directories, sorted, each once; the data manager turns them into tags.

    Raises:
        RequestError: a tag cannot be the name of a directory.
    """
    if isinstance(tags, (str, bytes)) or not isinstance(tags, Collection):
        raise RequestError("field-wrong", field="tags", value=tags, expected="a list of strings")
    for index, tag in enumerate(tags):
        expected, fault = None, "invalid"
        if not isinstance(tag, str):
            expected, fault = "a string", "not a string"
        elif not tag:
            expected, fault = "at least one character long", "empty"
        elif "/" in tag or "\\" in tag or not tag.isprintable() or tag in (".", ".."):
            expected = "printable text without slashes, because it becomes the name of a directory"
        elif len((_TAG_PREFIX + tag).encode(errors="replace")) > NAME_BYTES:
            expected = f"at most {NAME_BYTES - len(_TAG_PREFIX)} bytes long"
        if expected:
            raise RequestError("tag-wrong", field="tags", index=index, fault=fault, value=tag, expected=expected)
    return Path(*(_TAG_PREFIX + tag for tag in sorted({str(tag) for tag in tags})))
