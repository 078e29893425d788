from __future__ import annotations

import io
from pathlib import Path

import av

from tests.support.clapping import clapping
from videostore.media.sound import sample_entry
from videostore.media.sound_file import SoundFile, whole_file


def packets_of(data: bytes) -> list[tuple[int, bytes]]:
    with av.open(io.BytesIO(data)) as container:
        return [(one.pts, bytes(one)) for one in container.demux(container.streams.audio[0]) if one.size]


def test_packets_follow_one_another_without_a_gap(tmp_path: Path) -> None:
    camera = clapping(3)
    format = camera.packets[0].format.sound
    assert format is not None
    packets = [sound.data for one in camera.packets for sound in one.sound]
    expected = [(number * 1024, data) for number, data in enumerate(packets)]
    assert packets_of(whole_file(sample_entry(format), format.rate, 1024, packets)) == expected

    path = tmp_path / "sound.mp4"
    file = SoundFile(path, sample_entry(format), format.rate, 1024)
    for begin, end in ((0, 7), (7, 7), (7, 14), (14, 15), (15, len(packets))):
        file.add(b"".join(packets[begin:end]), [len(one) for one in packets[begin:end]])
    assert file.count == len(packets)
    file.close()
    assert packets_of(path.read_bytes()) == expected
