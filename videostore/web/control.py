"""What the module and its server tell each other, in lines of JSON. It imports nothing of HTTP: the module needs none.

The module writes to standard input: `serve` first, with where and to whom; then `add` and `remove` of recorders, and
`status` with what each says of itself. The server writes `serving` with its address or `trouble` with a sentence to
standard output, `alive` for each `status`, and its log to standard error. What only the module can do it asks for by
`ask`, with a number, and the module writes `answer` with the same one. It ends when its standard input does.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videostore.base.error_fields import describe_error, described_error
from videostore.base.errors import VideoStoreError
from videostore.config import WebConfig

MOST_LINE_BYTES = 1 << 20
"""Of a line either way. The status of a recorder has about two thousand bytes."""
SERVE, ADD, REMOVE, STATUS, ANSWER = "serve", "add", "remove", "status", "answer"
SERVING, TROUBLE, ALIVE, ASK = "serving", "trouble", "alive", "ask"
MARK, UNMARK = "mark", "unmark"
"""What is asked for."""
_ERROR_BYTES = 4096
"""Of the fields of an error."""


@dataclass(frozen=True, slots=True)
class Message:
    """One line."""

    kind: str
    fields: Mapping[str, Any]


def write_message(kind: str, **fields: Any) -> bytes:
    """A line. What JSON cannot express is written as text."""
    return json.dumps({"kind": kind, **fields}, separators=(",", ":"), default=str).encode() + b"\n"


def read_message(line: bytes) -> Message | None:
    """What a line says; None if it is none of ours."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or not isinstance(fields.get("kind"), str):
        return None
    return Message(fields.pop("kind"), fields)


def write_serve(web: WebConfig) -> bytes:
    """The line that tells the server where it serves. It names where the password is, and not the password."""
    return write_message(
        SERVE,
        host=web.host,
        port=web.port,
        password_file=None if web.password_file is None else str(web.password_file),
        password_env=web.password_env,
        hosts=list(web.hosts),
    )


def read_serve(fields: Mapping[str, Any]) -> WebConfig:
    """The same from such a line."""
    file = fields["password_file"]
    return WebConfig(
        fields["host"],
        fields["port"],
        None if file is None else Path(file),
        fields["password_env"],
        tuple(fields["hosts"]),
    )


def write_done(number: int, **found: Any) -> bytes:
    """The line that answers what was asked for."""
    return write_message(ANSWER, number=number, found=found)


def write_refused(number: int, error: VideoStoreError) -> bytes:
    """The line that says why that cannot be done."""
    return write_message(ANSWER, number=number, refused=describe_error(error, _ERROR_BYTES))


def read_answer(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was found, of either line.

    Raises:
        VideoStoreError: it was refused.
    """
    if (refused := fields.get("refused")) is None:
        found: Mapping[str, Any] = fields["found"]
        return found
    raise described_error(refused)


def write_log(record: logging.LogRecord, text: str) -> str:
    """A line of the server's log: its level, then what it says."""
    return f"{record.levelno} {' '.join(text.split())}"


def read_log(line: str) -> tuple[int, str]:
    """Level and text of such a line. What Python itself writes, such as a traceback, is an error."""
    level, _, text = line.partition(" ")
    if level.isascii() and level.isdigit() and int(level) in logging._levelToName:
        return int(level), text
    return logging.ERROR, line
