"""Hypothesis strategies for what a hostile or broken client can send: any JSON, any text, any time."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any

from hypothesis import strategies as st

Value = Any
"""What JSON and protobuf can carry, and what Python calls can in addition: lone surrogates, huge integers."""

NASTY: tuple[str, ...] = (
    "",
    " ",
    ".",
    "..",
    "/",
    "//",
    "../../../../etc/passwd",
    "/etc/passwd",
    "file:/etc/passwd",
    "concat:/etc/passwd|/etc/shadow",
    "subfile,,start,0,end,9,,:/etc/passwd",
    "pipe:0",
    "http://127.0.0.1:9/x",
    "..\\..\\windows",
    "C:\\x",
    "~",
    "~root/x",
    "$HOME/`id`$(id)",
    "-",
    "-y",
    "-i /etc/passwd",
    "-vf drawtext=textfile=/etc/passwd",
    "--help",
    "|",
    "; rm x",
    "&& true",
    "*",
    "?[a-z]{a,b}",
    "%d",
    "%06d",
    "%n%s%%",
    "{0.__class__}",
    "'",
    '"',
    "'\\''",
    "\\",
    "a\\",
    "ffconcat version 1.0\nfile '/etc/passwd'",
    "x'\nfile '/etc/passwd'\n#",
    ";FFMETADATA1\ntitle=x\n[CHAPTER]",
    "[STREAM]",
    "a=b;c=d#e",
    "#",
    "\0",
    "a\0b",
    "\n",
    "a\nb",
    "\r\n",
    "\r",
    "\t",
    "\x1b[2J\x1b]0;x\x07",
    "\x7f\x80\x85\x9f",
    "\u2028\u2029",
    "\u202egpj.4pm",
    "\u200b\u200d\ufeff",
    "\ufffe\uffff\ufffd\ufdd0",
    "\U0010ffff",
    "\ud800",
    "\udfff\ud800",
    "a\udc80b",
    "שלום مرحبا",
    "é",
    "e\u0301" * 30,
    "Z̸̢͚a͗l̫g̈o̵",
    "🚪👩\u200d👩\u200d👧",
    "ａ／ｂ＼ｃ",
    "NaN",
    "Infinity",
    "null",
    "true",
    "0",
    "-0",
    "1e999",
    "__proto__",
    "' OR 1=1 --",
    "'); DROP TABLE files; --",
    ".prog",
    "x.mp4.0123abcd.prog",
    ".cuts",
    "index.sqlite.db",
    "1725000000.mp4",
    "CON",
    "x" * 255,
    "x" * 256,
    "x" * 10_000,
    "é" * 5_000,
    "🚪" * 3_000,
    "\n" * 10_000,
    "../" * 3_000,
    "a/" * 5_000,
    "\x1b" * 61,
    "\U000e0001" * 61,
)
"""Texts that have broken programs like this one."""

NUMBERS: tuple[int | float, ...] = (
    0,
    -0.0,
    1,
    -1,
    0.5,
    1.5,
    20.0,
    5e-324,
    1e-9,
    1e9,
    1e15,
    1e16,
    -1e300,
    1.7976931348623157e308,
    math.nan,
    math.inf,
    -math.inf,
    2**31,
    2**63,
    2**64,
    -(2**63) - 1,
    10**400,
    10**5000,
)
"""Numbers that have broken programs like this one. Python refuses to print the last one."""

_INVALID_TIMES = (
    "0000-00-00_00-00-00Z",
    "0000-01-01_00-00-00",
    "0001-01-01_00-00-00Z",
    "9999-12-31_23-59-59",
    "9999-12-31_23-59-59.999999999Z",
    "2024-02-30_00-00-00Z",
    "2024-08-30_06-40-00.Z",
    "2024-08-30_06-40-00Z\n",
    "2024-08-30_06-40-00ZZ",
    "-2024-08-30_06-40-00Z",
    "2024-08-30T06:40:00Z",
    "２０２４-08-30_06-40-00Z",
    "1725000000",
    "now",
)


def nested(depth: int) -> Value:
    """A list in a list in a list."""
    value: Value = []
    for _ in range(depth):
        value = [value]
    return value


def texts() -> st.SearchStrategy[str]:
    """Text of any kind and length, most of it hostile."""
    anything = st.characters(codec=None)
    nasty = st.integers(0, len(NASTY) - 1).map(lambda number: NASTY[number])  # indexes print shorter
    return st.one_of(
        nasty,
        st.lists(nasty, min_size=2, max_size=4).map("".join).map(lambda text: text[:20_000]),
        st.text(anything, max_size=60),
        st.text(st.characters(codec="utf-8", categories=["Cc", "Cf", "Zl", "Zp", "Zs", "Co", "Cn"]), max_size=20),
        st.builds(lambda char, count: char * count, anything, st.sampled_from([1, 60, 61, 250, 251, 252, 255, 10_000])),
    )


def numbers() -> st.SearchStrategy[int | float]:
    """Numbers of every size, NaN and the infinities."""
    # A number of thousands of digits could not be printed in a failing example. It is tried separately.
    return st.sampled_from(NUMBERS[:-1]) | st.integers() | st.floats()


def scalars() -> st.SearchStrategy[Value]:
    """Values that hold no other value."""
    return st.one_of(st.none(), st.booleans(), numbers(), texts())


def values() -> st.SearchStrategy[Value]:
    """Any JSON."""
    tree = st.recursive(
        scalars(), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts(), inner, max_size=4), max_leaves=6
    )
    large = st.sampled_from([10, 10_000]).map(lambda size: ["x"] * size)
    return st.one_of(scalars(), tree, st.sampled_from([1, 45]).map(nested), large)


def times(recorded_from: int, recorded_to: int) -> st.SearchStrategy[str]:
    """Timestamps in every form, from year 0 to 9999, half of them near the recorded seconds."""
    at = st.tuples(
        st.integers(0, 9999) | st.sampled_from([0, 1, 2, 1899, 1900, 1969, 1970, 2024, 2038, 2124, 9998, 9999]),
        st.integers(0, 13) | st.just(8),
        st.integers(0, 32) | st.just(30),
        st.integers(0, 25),
        st.integers(0, 61),
        st.integers(0, 61),
    ).map(lambda parts: "{:04d}-{:02d}-{:02d}_{:02d}-{:02d}-{:02d}".format(*parts))
    near = st.integers(recorded_from - 3, recorded_to + 3).map(_written)
    fraction = st.just("") | st.text("0123456789", min_size=1, max_size=10).map(lambda digits: f".{digits}")
    whole = st.builds(lambda start, part, zone: start + part + zone, at | near, fraction, st.sampled_from(["Z", ""]))
    good, exact = near.map(lambda text: f"{text}Z"), near.map(lambda text: f"{text}.500Z")
    return good | exact | whole | st.sampled_from(_INVALID_TIMES)


def _written(second: int) -> str:
    return datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%d_%H-%M-%S")


def names() -> st.SearchStrategy[str]:
    """Hostile names that a directory can have."""

    def cut(text: str) -> str:
        text = text.encode(errors="ignore").replace(b"\0", b"").replace(b"/", b"")[:200].decode(errors="ignore")
        return text if text not in ("", ".", "..") else "x"

    return texts().map(cut)
