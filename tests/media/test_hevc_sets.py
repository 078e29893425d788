from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.coding import coded_packets, record_coded
from tests.support.recording import capture_times
from videostore.media.decoder_setup import DecoderSetup, NoSetupError, read_setup
from videostore.media.hevc_sets import (
    SliceAddresses,
    decoding_bits,
    read_sequence_format,
    read_slice_addresses,
    renumber_sample,
    renumber_setup,
    renumber_unit,
    reordered_frames,
)

SPS = bytes.fromhex("42010101600000030090000003000003005da00280802d16592a4932bc05b81010282000007d000009c401")
SPS_WITH_CHROMA_PLACE = bytes.fromhex(
    "42010101600000030090000003000003005da00280802d16592a4932bc05b810102f0800001f400002710040"
)


@pytest.fixture
async def setup(tmp_path: Path) -> DecoderSetup:
    await record_coded(tmp_path, coded_packets(capture_times(1), "hevc", gop=25))
    return read_setup(next(tmp_path.iterdir()))


async def test_a_set_tells_how_far_frames_are_reordered(tmp_path: Path, setup: DecoderSetup) -> None:
    (plain,) = setup.of_kind(33)
    assert reordered_frames(plain) == 0
    directory = tmp_path / "b frames"
    await record_coded(directory, coded_packets(capture_times(1), "hevc", gop=25, b_frames=3))
    (reordered,) = read_setup(next(directory.iterdir())).of_kind(33)
    assert reordered_frames(reordered) == 2


async def test_renumbered_sets_differ_from_all_others_and_are_renumbered_once(setup: DecoderSetup) -> None:
    changed = renumber_setup(setup)
    assert len(changed.sets) == len(setup.sets) and not set(changed.sets) & set(setup.sets)
    with pytest.raises(NoSetupError):
        renumber_setup(changed)
    with pytest.raises(NoSetupError):
        renumber_setup(replace(setup, config=setup.config[:-3]))


def test_a_set_grows_by_one_byte_and_says_the_same_of_the_pictures() -> None:
    changed = renumber_unit(SPS)
    assert len(changed) == len(SPS) + 1
    assert read_sequence_format(changed) == read_sequence_format(SPS)
    found = read_sequence_format(SPS)
    assert (found.width, found.height, found.chroma_format, found.bit_depth) == (1280, 720, 1, 8)


def test_the_slices_of_a_damaged_frame_are_refused() -> None:
    for sample in (b"\0\0\0\x09\x26\x01", b"\0\0\0\x03\x26\x01\0"):
        with pytest.raises((ValueError, IndexError)):
            renumber_sample(sample)
    suffix = b"\0\0\0\x03\x50\x01\xaf"  # SEI
    assert renumber_sample(suffix) == suffix


def test_what_only_players_use_is_not_compared() -> None:
    assert decoding_bits(SPS)[:100] == decoding_bits(SPS_WITH_CHROMA_PLACE)[:100]
    assert decoding_bits(SPS) == decoding_bits(SPS_WITH_CHROMA_PLACE)


async def test_addresses_of_slices_have_as_many_bits_as_the_blocks_of_a_picture_need(setup: DecoderSetup) -> None:
    (sequence,) = setup.of_kind(33)
    addresses = read_slice_addresses(sequence, setup.of_kind(34))
    # 160x144 pixels in blocks of 64 are 3x3; x265 makes smaller ones of small pictures.
    assert addresses.bits in (4, 5, 6, 7, 8)
    with pytest.raises(ValueError):
        read_slice_addresses(sequence[:12], setup.of_kind(34))
    with pytest.raises(ValueError):
        read_slice_addresses(sequence, [])


def test_the_address_of_a_slice_is_read_behind_its_flags() -> None:
    addresses = SliceAddresses(6, False)
    # first_slice_segment_in_pic_flag 0, the id of the picture set 0 (one bit), and the address 37
    bits = "0" + "1" + f"{37:06b}"
    assert addresses.read(b"\x02\x01" + int(bits, 2).to_bytes(1, "big") + b"\x80", 1) == 37
    bits = "0" + "0" + "1" + f"{37:06b}" + "1" + "0" * 6
    assert addresses.read(b"\x26\x01" + int(bits, 2).to_bytes(2, "big"), 19) == 37
    with pytest.raises(ValueError):
        addresses.read(b"\x02\x01", 1)
