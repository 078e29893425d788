"""A camera that claps: now and then one white frame in black video, and at the same time a click in silence."""

from __future__ import annotations

import contextlib
import io
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy
from av.bitstream import BitStreamFilterContext

from scripts.fakes.clip_check import luma
from tests.support.once import once_per_run
from tests.support.recording import LOGGER, START_US, US
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.process import find_ffmpeg
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import NotOursError
from videostore.media.h26x import inspect_keyframe, parameter_sets
from videostore.media.packet import Packet, StreamFormat
from videostore.media.sound import SoundFormat, SoundPacket, opus_head
from videostore.recording.run import Run

FPS = 25
CLAP_EVERY_S = 13 / FPS
FIRST_CLAP_S = 6 / FPS
_LOUD = 0.2
_WHITE = 64
_TONE = "0.5*sin(2*PI*440*t)"


@dataclass(frozen=True)
class Clapping:
    """What a camera sends that claps."""

    packets: tuple[Packet, ...]
    claps_us: tuple[int, ...]
    """When each clap was captured."""
    sound_us: int
    """How long a packet of sound is."""

    def moved(self, by_us: int) -> Clapping:
        """The same, at another time."""
        packets = [
            replace(
                one,
                captured_us=one.captured_us + by_us,
                sound=tuple(replace(sound, captured_us=sound.captured_us + by_us) for sound in one.sound),
            )
            for one in self.packets
        ]
        return replace(self, packets=tuple(packets), claps_us=tuple(one + by_us for one in self.claps_us))

    def silent(self) -> Clapping:
        """The same of a camera without sound."""
        packets = [replace(one, format=replace(one.format, sound=None), sound=()) for one in self.packets]
        return replace(self, packets=tuple(packets))

    def without_sound(self, from_s: float, to_s: float) -> Clapping:
        """The same of a camera that sends no sound for a while."""
        from_us, to_us = START_US + round(from_s * US), START_US + round(to_s * US)
        packets = [
            replace(one, sound=tuple(sound for sound in one.sound if not from_us <= sound.captured_us < to_us))
            for one in self.packets
        ]
        return replace(self, packets=tuple(packets))


@dataclass(frozen=True)
class Heard:
    """What a decoder makes of a clip."""

    flashes_s: list[float]
    clicks_s: list[float]
    video_s: float
    """The end of its last frame."""
    sound_s: float
    """The end of its sound, counted from the start of the clip; 0 without sound."""
    samples_s: float
    """How much sound it has."""
    starts_s: float
    """When the sound starts."""

    @property
    def errors_ms(self) -> list[float]:
        """How much later than its flash each click is."""
        return [1000 * (click - flash) for flash, click in zip(self.flashes_s, self.clicks_s, strict=True)]


@once_per_run
def clapping(
    seconds: float,
    *,
    codec: str = "aac",
    rate: int = 16000,
    gop_s: float = 1,
    b_frames: int = 0,
    size: tuple[int, int] = (160, 144),
    tone: bool = False,
) -> Clapping:
    """Such a camera, whose first frame is captured at `START_US`; with a `tone` that never stops instead of clicks."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "clapping.mkv"
        command = [
            *(
                find_ffmpeg(),
                "-v",
                "error",
                "-f",
                "lavfi",
                "-i",
                f"color=black:size={size[0]}x{size[1]}:rate={FPS}:duration={seconds}",
            ),
            *("-f", "lavfi", "-i", f"aevalsrc={_TONE if tone else _clicks()}:sample_rate={rate}:duration={seconds}"),
            *("-vf", f"drawbox=color=white:t=fill:enable='{_flashes()}'", "-c:v", "libx264", "-pix_fmt", "yuv420p"),
            *("-preset", "veryfast", "-bf", str(b_frames), "-g", str(round(gop_s * FPS)), "-sc_threshold", "0"),
            *("-x264-params", "open-gop=0", "-c:a", codec, "-strict", "experimental", str(path)),
        ]
        subprocess.run(command, check=True)
        return _read(path, seconds)


def _flashes() -> str:
    return f"lt(mod(t+{CLAP_EVERY_S - FIRST_CLAP_S + 0.0005},{CLAP_EVERY_S}),{0.9 / FPS})"


def _clicks() -> str:
    # Commas divide filters.
    return _flashes().replace(f"{0.9 / FPS}", "0.03").replace(",", "\\,") + "*0.8*sin(2*PI*1000*t)"


def _read(path: Path, seconds: float) -> Clapping:
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        context = audio.codec_context
        config = bytes(context.extradata or b"") or opus_head(context.channels)
        sound = SoundFormat(context.name, context.sample_rate, context.channels, config)
        annex_b = BitStreamFilterContext("h264_mp4toannexb", video)
        frames, sounds = [], []
        packets = [one for one in container.demux(video, audio) if one.size]
        # Up to ffmpeg 5.1 all is later in the file, so that the first sound is not before 0.
        later_s = min(float(one.pts * one.time_base) for one in packets if one.stream is video)
        for one in packets:
            at_us = START_US + round((float(one.pts * one.time_base) - later_s) * US)
            if one.stream is audio:
                sounds.append(SoundPacket(at_us, bytes(one)))
            else:
                frames += [(at_us, bytes(annexed), annexed.is_keyframe) for annexed in annex_b.filter(one)]
    first = inspect_keyframe("h264", frames[0][1])
    sets = parameter_sets("h264", frames[0][1])
    format = StreamFormat("h264", first.width, first.height, sets, reordered=first.reordered, sound=sound)
    sent, latest_us = [], START_US - US
    for at_us, data, keyframe in frames:
        now = [one for one in sounds if latest_us < one.captured_us <= at_us]
        latest_us = max(latest_us, at_us)
        sent.append(Packet(format, data, at_us, keyframe, tuple(now)))
    length_us = sounds[3].captured_us - sounds[2].captured_us
    count = int((seconds - FIRST_CLAP_S) / CLAP_EVERY_S) + 1
    claps = [START_US + round((FIRST_CLAP_S + number * CLAP_EVERY_S) * US) for number in range(count)]
    return Clapping(tuple(sent), tuple(claps), length_us)


async def start_run(directory: Path, first: Packet, *, segment_seconds: float, binary: str = "") -> Run:
    """A run of a camera that is recorded as it comes."""
    directory.mkdir(parents=True, exist_ok=True)
    return await Run.start(
        first,
        binary=binary or find_ffmpeg(),
        encoder=Encoder.copy(),
        directory=directory,
        segment_seconds=segment_seconds,
        logger=LOGGER,
    )


def described_until(directory: Path) -> int:
    """Up to when the files in a directory hold video; 0 if none does."""
    ends = [0]
    for path in [*directory.glob("*.open"), *directory.glob("*.mp4")]:
        with contextlib.suppress(NotOursError, OSError):
            ends.append(read_fragments(path).complete_until_us)
    return max(ends)


async def record_clapping(directory: Path, camera: Clapping, *, segment_seconds: float = 2, binary: str = "") -> Run:
    """Record one run as fast as ffmpeg can. Its segments keep their open names."""
    run = await start_run(directory, camera.packets[0], segment_seconds=segment_seconds, binary=binary)
    for one in camera.packets:
        await run.write(one)
    await run.finish(patient=True)
    return run


def hear(clip: bytes) -> Heard:
    """Decode a clip, and find the claps in it."""
    flashes, video_s = [], 0.0
    with av.open(io.BytesIO(clip)) as container:
        for frame in container.decode(container.streams.video[0]):
            if luma(frame).mean() > _WHITE:
                flashes.append(float(frame.pts * frame.time_base))
            video_s = max(video_s, float((frame.pts + (frame.duration or 0)) * frame.time_base))
    clicks, sound_s, samples_s, starts_s, quiet_s = [], 0.0, 0.0, 0.0, -1.0
    with av.open(io.BytesIO(clip)) as container:
        if not container.streams.audio:
            return Heard(flashes, [], video_s, 0.0, 0.0, 0.0)
        rate = container.streams.audio[0].codec_context.sample_rate
        for number, frame in enumerate(container.decode(container.streams.audio[0])):
            begin_s = float(frame.pts * frame.time_base)
            starts_s = begin_s if number == 0 else starts_s
            samples = numpy.abs(frame.to_ndarray()[0].astype(float))
            for at in numpy.flatnonzero(samples > _LOUD):
                if begin_s + at / rate > quiet_s:
                    clicks.append(begin_s + at / rate)
                quiet_s = begin_s + at / rate + 0.1
            sound_s, samples_s = begin_s + frame.samples / rate, samples_s + frame.samples / rate
    return Heard(flashes, clicks, video_s, sound_s, samples_s, starts_s)


def write_clapping(
    path: Path, seconds: float, *, codec: str = "aac", rate: int = 48000, b_frames: int = 0, late_s: float = 0
) -> tuple[float, ...]:
    """Write a file of such a camera, whose sound begins `late_s` after the video, and return when it claps."""
    command = [
        *(find_ffmpeg(), "-v", "error", "-f", "lavfi", "-i", f"color=black:size=160x144:rate={FPS}:duration={seconds}"),
        *("-f", "lavfi", "-i", f"aevalsrc={_clicks()}:sample_rate={rate}:duration={seconds}"),
        *("-vf", f"drawbox=color=white:t=fill:enable='{_flashes()}'", "-c:v", "libx264", "-pix_fmt", "yuv420p"),
        *("-af", f"atrim=start={late_s}", "-preset", "veryfast", "-bf", str(b_frames), "-g", str(FPS)),
        *("-sc_threshold", "0", "-c:a", codec, "-strict", "experimental", str(path)),
    ]
    subprocess.run(command, check=True)
    count = int((seconds - FIRST_CLAP_S) / CLAP_EVERY_S) + 1
    claps = [FIRST_CLAP_S + number * CLAP_EVERY_S for number in range(count)]
    return tuple(one for one in claps if one >= late_s)
