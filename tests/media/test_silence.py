from __future__ import annotations

import io

import av
import numpy
import pytest

from videostore.media.silence import codec_of, encoding_of, nominal_length, silence
from videostore.media.sound import SoundFormat, opus_head, sample_entry
from videostore.media.sound_file import whole_file

AAC = {rate: bytes.fromhex(config) for rate, config in ((48000, "1190"), (16000, "1410"), (8000, "1590"))}
FORMATS = [
    *((SoundFormat("aac", rate, 2, config), 1024) for rate, config in AAC.items()),
    *((SoundFormat("aac", 48000, channels, bytes((0x11, 0x80 | channels << 3))), 1024) for channels in (1, 3, 4, 5, 6)),
    *((SoundFormat("opus", 48000, channels, opus_head(channels)), 960) for channels in (1, 2)),
    *((SoundFormat("opus", 48000, 2, opus_head(2)), length) for length in (480, 1920, 2880)),
]


@pytest.mark.parametrize(("format", "length"), FORMATS)
def test_silence_is_as_long_as_a_packet_and_cannot_be_heard(format: SoundFormat, length: int) -> None:
    entry = sample_entry(format)
    packet = silence(entry, format.rate, length)
    assert packet is not None and codec_of(entry) == format.codec
    with av.open(io.BytesIO(whole_file(entry, format.rate, length, 20 * [packet]))) as container:
        frames = list(container.decode(container.streams.audio[0]))
    samples = numpy.concatenate([frame.to_ndarray() for frame in frames], axis=1)
    planes = format.channels if frames[0].format.is_planar else 1
    assert samples.shape == (planes, 20 * length * format.channels // planes) and abs(samples).max() < 1e-4


@pytest.mark.parametrize(("format", "length"), FORMATS)
def test_an_encoder_with_these_options_writes_what_the_entry_describes(format: SoundFormat, length: int) -> None:
    encoding = encoding_of(sample_entry(format), format.rate, length)
    if format.channels > 2:
        assert encoding is None
        return
    assert encoding is not None and (encoding["ar"], encoding["ac"]) == (format.rate, format.channels)
    expected = {"aac": "aac", "opus": "libopus"}[format.codec], None if format.codec == "aac" else f"{length / 48:g}"
    assert (encoding["c:a"], encoding.get("frame_duration")) == expected


@pytest.mark.parametrize(
    ("config", "length"),
    [("1410", 2048), ("2b8a0800", 1024), ("0a10", 1024), ("", 1024)],
    ids=["bands replicated", "HE-AAC", "another profile", "no config"],
)
def test_what_encoders_here_do_not_write_has_no_options(config: str, length: int) -> None:
    entry = sample_entry(SoundFormat("aac", 16000, 2, bytes.fromhex(config)))
    assert encoding_of(entry, 16000, length) is None


def test_of_an_unknown_kind_there_is_none() -> None:
    entry = sample_entry(SoundFormat("aac", 48000, 2, b""))
    assert silence(entry, 48000, 1024) is None
    assert silence(sample_entry(SoundFormat("opus", 48000, 2, opus_head(2))), 48000, 120) is None


@pytest.mark.parametrize(
    ("codec", "measured", "length"),
    [("aac", 1023.4, 1024), ("aac", 2040.0, 2048), ("opus", 959.2, 960), ("opus", 2881.0, 2880), ("opus", 0.0, 120)],
)
def test_the_length_of_a_packet_is_one_that_its_codec_has(codec: str, measured: float, length: int) -> None:
    assert nominal_length(codec, measured) == length
