from __future__ import annotations

import io

import av
import pytest

from videostore.media.sound import SoundFormat, opus_head, sample_entry, split_adts
from videostore.media.sound_file import whole_file

MONO_16K = bytes.fromhex("1408")


def adts(content: bytes, rate_index: int = 8, channels: int = 1, *, checked: bool = False) -> bytes:
    """A packet with the header that transport streams put in front (ISO/IEC 14496-3, 1.A.2.2)."""
    length = len(content) + (9 if checked else 7)
    head = bytes(
        (
            0xFF,
            0xF0 if checked else 0xF1,
            1 << 6 | rate_index << 2 | channels >> 2,
            (channels & 3) << 6 | length >> 11,
            length >> 3 & 0xFF,
            (length & 7) << 5 | 0x1F,
            0xFC,
        )
    )
    return head + (b"\0\0" if checked else b"") + content


@pytest.mark.parametrize("checked", [False, True])
def test_a_header_of_aac_gives_its_format(checked: bool) -> None:
    assert split_adts(adts(b"content", checked=checked)) == (SoundFormat("aac", 16000, 1, MONO_16K), b"content")


@pytest.mark.parametrize("data", [b"", b"\xff\xf1", b"\x00" * 20, adts(b"x", rate_index=13), adts(b"x", channels=0)])
def test_what_is_no_such_header_has_no_format(data: bytes) -> None:
    assert split_adts(data) is None


@pytest.mark.parametrize(
    "format", [SoundFormat("aac", 16000, 1, MONO_16K), SoundFormat("opus", 48000, 2, opus_head(2))]
)
def test_a_decoder_finds_its_configuration_in_the_sample_entry(format: SoundFormat) -> None:
    with av.open(io.BytesIO(whole_file(sample_entry(format), format.rate, 960, [b"\xfc\xff\xfe"]))) as container:
        context = container.streams.audio[0].codec_context
        assert (context.name, context.sample_rate, context.channels) == (format.codec, format.rate, format.channels)
        assert bytes(context.extradata or b"")[:8] == format.config[:8]
