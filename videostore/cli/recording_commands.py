"""The commands that make a recording: their arguments and their help. What a command needs is imported when it runs."""

from __future__ import annotations

from pathlib import Path

from videostore.cli import help_text
from videostore.cli import import_options as importing
from videostore.cli import record_options as recording
from videostore.cli.arguments import unescape
from videostore.cli.options import Verbose
from videostore.cli.program import register
from videostore.cli.runtime import DONE, EXIT_CODES, FAILED, INCOMPLETE, INTERRUPTED, REFUSED, run


@register(
    "record",
    help_text.examples(
        "videostore record rtsp://camera/stream --storage /data/door --size-gb 50",
        "videostore record /dev/video0 --format v4l2 --storage ./desk --size-gb 5",
        "videostore record visit.mkv --storage ./visit --size-gb 5",
        "videostore record --url-file url.txt --wait --storage ./door --size-gb 50",
    ),
    recording.HELP,
    exit_codes={
        **EXIT_CODES,
        DONE: "recorded until the end of the input, for the duration, or until Ctrl-C",
        FAILED: "nothing was recorded, or the recording ended early",
        REFUSED: "wrong arguments, or an input that cannot be recorded",
        INCOMPLETE: "recorded, but with gaps, or frames are missing, damaged or cut off",
        INTERRUPTED: "interrupted before anything was recorded",
    },
)
def record(
    storage: recording.NewStorage,
    size_gb: recording.SizeGb,
    source: recording.Input = None,
    url_file: recording.UrlFile = None,
    wait: recording.Wait = False,
    duration: recording.Duration = None,
    segment_seconds: recording.SegmentSeconds = None,
    reencode: recording.Reencode = False,
    codec: recording.Codec = None,
    bitrate: recording.Bitrate = None,
    preset: recording.Preset = None,
    framerate: recording.Framerate = None,
    format: recording.Format = None,
    option: recording.InputOption = None,
    no_audio: recording.NoAudio = False,
    verbose: Verbose = False,
) -> int:
    """Record a file, a device or a stream into a storage directory."""
    from videostore.base.system import avoid_huge_pages, share_memory
    from videostore.cli import record as command
    from videostore.cli.time_options import parse_integer, parse_length, parse_number
    from videostore.cli.url_file import named_input

    options = command.RecordOptions(
        input=named_input(None if source is None else unescape(source), url_file),
        hide_url=url_file is not None,
        wait=wait,
        directory=Path(unescape(str(storage))),
        size_gb=parse_number(size_gb, "--size-gb"),
        segment_seconds=None if segment_seconds is None else parse_number(segment_seconds, "--segment-seconds"),
        codec=codec,
        bitrate=None if bitrate is None else parse_integer(bitrate, "--bitrate"),
        preset=preset,
        framerate=None if framerate is None else parse_integer(framerate, "--framerate"),
        reencode=reencode,
        sound=not no_audio,
        format=format,
        options=command.parse_input_options(option or []),
        duration_s=None if duration is None else parse_length(duration, "--duration"),
    )
    share_memory()
    avoid_huge_pages()
    return run(command.record(options))


@register(
    "import",
    help_text.examples(
        "videostore import /media/sd/*.mp4 --storage ./sd-card",
        "videostore import garden.mov --storage ./garden --start 2026-11-22T01:50Z",
    ),
    importing.HELP,
    exit_codes={
        **EXIT_CODES,
        DONE: "imported, or imported before",
        REFUSED: "wrong arguments, or no file that can be imported",
        INCOMPLETE: "imported, but a file is cut off, damaged, without its sound, or refused",
    },
)
def import_(
    files: importing.Files,
    storage: recording.NewStorage,
    start: importing.Start = None,
    size_gb: importing.Quota = None,
    no_audio: importing.NoAudio = False,
    verbose: Verbose = False,
) -> int:
    """Import video files of another camera, under their own time."""
    from videostore.cli import import_files as command
    from videostore.cli.time_options import parse_number, parse_time

    work = command.import_files(
        [unescape(one) for one in files],
        Path(unescape(str(storage))),
        start_us=None if start is None else parse_time(start, "start"),
        size_gb=None if size_gb is None else parse_number(size_gb, "--size-gb"),
        sound=not no_audio,
    )
    return run(work)
