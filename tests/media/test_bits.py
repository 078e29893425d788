from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videostore.media.bits import BitReader, escape, unescape


@given(st.lists(st.sampled_from([0, 1, 2, 3, 4, 255])).map(bytes))
def test_an_escaped_unit_has_no_start_code_and_is_read_as_it_was(data: bytes) -> None:
    unit = b"\x42" + data + b"\x80"
    escaped = escape(unit)
    assert unescape(escaped) == unit
    assert not any(code in escaped for code in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))


def test_fields_are_read_one_after_another() -> None:
    reader = BitReader(bytes([0b1010_0110, 0b0100_0010]))
    assert reader.flag() and reader.bits(2) == 1
    assert [reader.unsigned() for _ in range(2)] == [5, 1]
    signed = BitReader(bytes([0b0100_1100, 0b1000_0101, 0b0000_0000]))
    assert [signed.signed() for _ in range(3)] == [1, -1, 2]


@pytest.mark.parametrize("data", [b"", b"\0", bytes(8)])
def test_data_that_ends_within_a_field_is_damaged(data: bytes) -> None:
    with pytest.raises(ValueError):
        BitReader(data).unsigned()
