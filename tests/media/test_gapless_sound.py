from __future__ import annotations

import io
from pathlib import Path

import av

from videostore.media.gapless_sound import GaplessSound
from videostore.media.silence import silence
from videostore.media.sound import SoundFormat, opus_head, sample_entry

ENTRY = sample_entry(SoundFormat("opus", 48000, 1, opus_head(1)))
LENGTH_US = 20_000


def test_packets_are_near_their_places_and_silence_is_between_them(tmp_path: Path) -> None:
    sound = GaplessSound(tmp_path / "sound.mp4", ENTRY, 48000, 960)
    for at_us in (0, 21_000, 34_000, 35_000, 150_000, 171_000):  # the fourth is where the third is already
        sound.add(at_us, b"\xf8%d" % (at_us // 1000))
    assert sound.has_sound
    sound.close()
    sound.close()
    quiet = silence(ENTRY, 48000, 960)
    with av.open(io.BytesIO(sound.path.read_bytes())) as container:
        found = [(one.pts // 960, bytes(one)) for one in container.demux(container.streams.audio[0]) if one.size]
    spoken = {place: data[1:] for place, data in found if data != quiet}
    assert spoken == {0: b"0", 1: b"21", 2: b"34", 7: b"150", 8: b"171"}
    assert [place for place, _ in found] == list(range(9))
