"""The sound of a file that is imported: made ready for the segments, and put at its time in them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from videostore.base.constants import CUT_NICENESS
from videostore.base.errors import FFmpegError, reason_of
from videostore.base.tasks import run_in_thread
from videostore.ffmpeg.process import ffmpeg_output
from videostore.media.footage import Footage
from videostore.media.footage_sound import FootageSound, SoundSurvey
from videostore.media.fragmented_file import FragmentedFile
from videostore.media.libav import av
from videostore.media.sound import COPIED
from videostore.media.sound_track import place_sound
from videostore.recording.import_command import SOUND_EARLY_US, ImportedSound, sound_command


@dataclass(frozen=True, slots=True)
class ReadySound:
    """Sound that can be stored with the video of a file."""

    input: ImportedSound
    times_us: tuple[int, ...]
    """When each packet begins that is stored, by the clock of the file."""


class UnusableSoundError(Exception):
    """The sound cannot be stored; the text says why."""


async def prepare_sound(
    binary: str, path: Path, footage: Footage, made: Path, logger: logging.Logger
) -> ReadySound | None:
    """The sound of a file, from its first frame on; None if it has none. What cannot be copied right from the file is
    written to `made`.

    Raises:
        UnusableSoundError: it cannot be stored.
    """
    sound = footage.sound
    if sound is None:
        return None
    if sound.fault:
        raise UnusableSoundError(sound.fault)
    begins_us, source = sound.times_us[0], None
    if not sound.as_it_is:
        source = made
        begins_us -= 0 if sound.codec in COPIED else SOUND_EARLY_US
        command = sound_command(binary, path, sound, made)
        try:
            async with ffmpeg_output(command, logger=logger, niceness=CUT_NICENESS) as output:
                await output.read()
            sound = await run_in_thread(_read_made, made, begins_us)
        except (FFmpegError, OSError, ValueError, av.error.FFmpegError) as error:
            raise UnusableSoundError(reason_of(error).rstrip(".")) from error
    kept, from_us = sound.beginning(footage.first_us)
    if not kept.times_us:
        return None
    return ReadySound(ImportedSound(source, sound.index, begins_us, from_us), kept.times_us)


def _read_made(path: Path, begins_us: int) -> FootageSound:
    """The packets of a file that was made of sound alone, which count from its first one. Blocking."""
    options = {"ignore_editlist": "1"}
    with av.open(str(path.absolute()), format="mp4", options=options) as container:
        survey = SoundSurvey(container.streams.audio[0])
        for packet in container.demux(survey.stream):
            if packet.size:
                survey.add(packet)
    found = survey.result()
    if found is None or found.fault:
        raise ValueError(found.fault if found else "there is none")
    return replace(found, times_us=tuple(one + begins_us for one in found.times_us))


class SoundPlaces:
    """Writes into the segments of a file when their sound was captured. ffmpeg starts it at 0 in each of them."""

    def __init__(self, times_us: Sequence[int]) -> None:
        """`times_us` is when each packet was captured. Each is in one segment, in their order."""
        self._times_us = times_us
        self._stored = 0

    def place(self, path: Path, content: FragmentedFile) -> None:
        """Do it in the next segment. Blocking."""
        sounds = [one for fragment in content.fragments for one in fragment.sounds]
        if content.sound is not None and sounds and self._stored < len(self._times_us):
            place_sound(path, content.sound, max(0, self._times_us[self._stored] - sounds[0].times_us[0]))
        self._stored += sum(len(one.times_us) for one in sounds)
