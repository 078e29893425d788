"""`make demo`: runs the module as viam-server does, records a painted camera, and checks the clips.

All files are below one directory. The processes that the demo starts end with it.
"""

import argparse
import asyncio
import base64
import io
import json
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import av
from grpclib import GRPCError
from grpclib.exceptions import StreamTerminatedError
from viam.components.camera.client import CameraClient
from viam.utils import ValueTypes

from scripts.fakes.painted_camera import ClipCheck, PaintedCamera, check_clip, read_clip
from scripts.fakes.viam_server import ModuleStartError, Parent

NAME = "demo"
FRAMES_PER_SECOND = 20
FETCH_S = 8.0
# The newest frames are still in the encoder when a clip is requested.
NEWEST_S = 2.5
DRIFT_MS = 5.0
CALL_TIMEOUT_S = 30.0
FIRST_FRAME_TIMEOUT_S = 10.0
# A directory is emptied for another run only if it has this file.
MARK = ".videostore-demo"


class DemoError(Exception):
    """The demo cannot go on, or the module did something wrong. The text is for the terminal."""


class Progress:
    """One line about the recording, updated in place on a terminal and printed every 3 seconds elsewhere."""

    def __init__(self) -> None:
        self._tty = sys.stdout.isatty()
        self._printed = float("-inf")

    def show(self, elapsed_s: float, of_s: float, status: Mapping[str, Any]) -> None:
        done = min(1.0, elapsed_s / of_s)
        bar = "#" * round(20 * done) + "." * (20 - round(20 * done))
        line = f"  [{bar}] {elapsed_s:4.1f} of {of_s:.0f} s  {_describe(status)}"
        if self._tty:
            width = shutil.get_terminal_size().columns - 1
            print("\r\x1b[K" + line[:width], end="", flush=True)
        elif time.monotonic() - self._printed >= 3 or done == 1.0:
            self._printed = time.monotonic()
            print(line, flush=True)

    def end(self) -> None:
        if self._tty:
            print()


async def run(seconds: float, directory: Path) -> None:
    """Record for `seconds` into `directory`, and check a saved and a fetched clip. Raises DemoError."""
    storage, upload = directory / "storage", directory / "upload"
    camera = PaintedCamera("painted", interval=lambda: 1 / FRAMES_PER_SECOND)
    async with Parent([camera]) as parent:
        try:
            print(
                f"Starting the module (python -m videostore), with a {camera.width}x{camera.height} camera to record."
            )
            await parent.start_module()
            attributes = {
                "camera": camera.name,
                "sync": "data-manager",
                "framerate": FRAMES_PER_SECOND,
                "storage": {
                    "size_gb": 1,
                    "storage_path": str(storage),
                    "upload_path": str(upload),
                    "segment_seconds": 5,
                },
            }
            await parent.add(NAME, attributes)
            client = parent.camera(NAME)
            await record(client, camera, seconds)
            await show_clips(client, camera, seconds, directory)
            stopped_s = await stop(parent)
            left = parent.leftovers()
            if left:
                raise DemoError(f"The module left processes behind: {left}.")
        finally:
            write_log(parent, directory / "module.log")
    print(f"\nThe module ended {stopped_s:.1f} s after SIGTERM and left no process behind.")


async def record(client: CameraClient, camera: PaintedCamera, seconds: float) -> None:
    """Wait for the first frame, and show the progress of the recording for `seconds`."""
    began = time.monotonic()
    while not camera.delivered:
        if time.monotonic() - began > FIRST_FRAME_TIMEOUT_S:
            raise DemoError(f"The module requested no frame from the camera within {FIRST_FRAME_TIMEOUT_S:.0f} s.")
        await asyncio.sleep(0.05)
    print(f"\nRecording for {seconds:.0f} s in segments of 5 s:")
    began = time.monotonic()
    progress = Progress()
    while True:
        elapsed_s = time.monotonic() - began
        status = await client.get_status(timeout=CALL_TIMEOUT_S)
        progress.show(min(elapsed_s, seconds), seconds, status)
        if elapsed_s >= seconds:
            break
        await asyncio.sleep(min(0.5, max(0.05, seconds - elapsed_s)))
    progress.end()
    if not status.get("recording", True):
        raise DemoError(f"The module does not record: {status.get('reason') or 'it gives no reason'}.")


async def show_clips(client: CameraClient, camera: PaintedCamera, seconds: float, directory: Path) -> None:
    """Show the storage state, save one clip, fetch another, and check both."""
    now_us = camera.delivered[-1]
    start_us = camera.delivered[0]
    print("\nget-storage-state:")
    state = await client.do_command({"command": "get-storage-state"}, timeout=CALL_TIMEOUT_S)
    print(json.dumps(state, indent=2))

    # Both ranges begin and end in the middle of segments.
    save_from_us = start_us + 1_250_000
    save_to_us = max(save_from_us + 1_000_000, now_us - int(NEWEST_S * 1e6))
    saved = await save(client, save_from_us, save_to_us, directory / "upload")
    fetch_from_us = max(start_us, now_us - int(min(FETCH_S, seconds) * 1e6))
    fetched = await fetch(client, fetch_from_us, now_us, directory / "fetched.mp4")

    print("\nEvery frame of the camera has its capture time in black and white squares. The clips show:")
    await verify("saved  ", saved, camera.delivered, save_from_us, save_to_us)
    await verify("fetched", fetched, camera.delivered, fetch_from_us, now_us)
    print("\nAny player shows them. With ffplay, of the package ffmpeg:")
    for clip in (saved, fetched):
        print(f"  ffplay {_shell(clip)}")
    print("To look at all of the recording in a browser:")
    print(f"  .venv/bin/videostore web --storage {_shell(directory / 'storage')}")
    print(
        f"\nDone: the module recorded a synthetic camera for {seconds:.0f} s, as a separate process.\n"
        "It saved one clip to the directory from which the data manager uploads, and returned another as bytes.\n"
        "Every frame of both clips was compared with what the camera had delivered.\n"
        f"Segments, index and log are in {_short(directory)}."
    )


async def stop(parent: Parent) -> float:
    """End the module as viam-server does. Returns the seconds it took. Raises DemoError if it does not end."""
    try:
        return await parent.terminate()
    except asyncio.TimeoutError:
        raise DemoError("The module still runs 20 s after SIGTERM.") from None


async def save(client: CameraClient, from_us: int, to_us: int, upload: Path) -> Path:
    """Save a clip of [from_us, to_us). Returns the path of its file."""
    command: dict[str, ValueTypes] = {
        "command": "save",
        "from": _timestamp(from_us),
        "to": _timestamp(to_us),
        "metadata": NAME,
        "tags": ["painted"],
    }
    print(f"\nsave:  {json.dumps(command)}")
    answer = await client.do_command(command, timeout=CALL_TIMEOUT_S)
    print(f"    -> {json.dumps(answer)}")
    filename = str(answer.get("filename", ""))
    clip = _find(upload, filename)
    print(f"    saved as {_short(clip)} ({_megabytes(clip)})")
    return clip


async def fetch(client: CameraClient, from_us: int, to_us: int, path: Path) -> Path:
    """Fetch a clip of [from_us, to_us), and write it to `path`."""
    command: dict[str, ValueTypes] = {"command": "fetch", "from": _timestamp(from_us), "to": _timestamp(to_us)}
    print(f"\nfetch: {json.dumps(command)}")
    began = time.monotonic()
    answer = await client.do_command(command, timeout=CALL_TIMEOUT_S)
    took_s = time.monotonic() - began
    video = str(answer.get("video", ""))
    rest = {key: value for key, value in answer.items() if key != "video"}
    print(f"    -> {json.dumps({**rest, 'video': f'{video[:24]}... ({len(video)} characters)'})}")
    if not video:
        raise DemoError("The response to fetch holds no video.")
    await asyncio.to_thread(path.write_bytes, base64.b64decode(video))
    print(f"    written to {_short(path)} ({_megabytes(path)}, {took_s * 1000:.0f} ms)")
    return path


async def verify(what: str, clip: Path, delivered: list[int], from_us: int, to_us: int) -> None:
    """Compare a clip with what the camera delivered, and print the result. Raises DemoError for every flaw."""
    check = check_clip(await asyncio.to_thread(read_clip, clip), delivered, from_us, to_us)
    if check.first_us is None or check.last_us is None:
        raise DemoError(f"The clip {_short(clip)} shows no frame with a legible time.")
    print(
        f"  {what}  {check.shown} frames, the first captured {(check.first_us - from_us) / 1000:.0f} ms after `from`, "
        f"the last {(to_us - check.last_us) / 1000:.0f} ms before `to`;\n"
        f"           shown twice {check.doubled}, missing {len(check.missing_before + check.missing_inside)}, "
        f"largest drift {check.drift_ms:.2f} ms"
    )
    late = len(check.missing_after)
    if late:
        frames = "1 frame was" if late == 1 else f"{late} frames were"
        print(f"           (the newest {frames} still being encoded)")
    if fault := _fault(check, to_us):
        raise DemoError(f"The clip {_short(clip)} is wrong: {fault}.")


def _fault(check: ClipCheck, to_us: int) -> str | None:
    """What is wrong with a clip, apart from the newest frames that were not written yet."""
    faults = {
        "frames without a legible time": check.unreadable,
        "frames shown twice": check.doubled,
        "frames out of order": check.out_of_order,
        "frames outside the range": len(check.outside),
        "frames that the camera never delivered": len(check.unknown),
        "frames missing at the start": len(check.missing_before),
        "frames missing in the middle": len(check.missing_inside),
        "frames missing at the end": sum(captured < to_us - NEWEST_S * 1e6 for captured in check.missing_after),
    }
    for fault, count in faults.items():
        if count:
            return f"{fault}: {count} of {check.shown}"
    if check.drift_ms > DRIFT_MS:
        return f"its time drifts by {check.drift_ms:.1f} ms"
    return None


def prepare(directory: Path) -> None:
    """Make the output directory, or empty that of an earlier demo. Raises DemoError if it holds anything else."""
    if directory.exists():
        if not directory.is_dir() or (any(directory.iterdir()) and not (directory / MARK).exists()):
            raise DemoError(f"{directory} is not empty and was not made by this demo. Choose another --directory.")
        for made in ("storage", "upload"):
            shutil.rmtree(directory / made, ignore_errors=True)
        for made in ("fetched.mp4", "module.log"):
            (directory / made).unlink(missing_ok=True)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MARK).touch()


def write_log(parent: Parent, path: Path) -> None:
    """Write what the module printed and logged."""
    logged = (f"{line.level}\t{line.logger}\t{line.message}" for line in parent.logs)
    path.write_text("\n".join([*parent.module_output, *logged, ""]), encoding="utf-8")


def main() -> int:
    """Run the demo. The exit code is 0 if everything was right."""
    parser = argparse.ArgumentParser(prog="demo", description="Record a synthetic camera through the module.")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long to record (default: 15, at least 6)")
    parser.add_argument(
        "--directory", type=Path, default=Path("demo-output"), help="directory for all files (default: ./demo-output)"
    )
    arguments = parser.parse_args()
    if arguments.seconds < 6:
        parser.error("--seconds must be at least 6, or there is too little to cut a clip from")
    directory: Path = arguments.directory.resolve()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Progress is printed at once, also to a pipe, and whatever the encoding is.
        sys.stdout.reconfigure(line_buffering=True, errors="replace")
    try:
        prepare(directory)
        asyncio.run(run(arguments.seconds, directory))
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except (DemoError, LookupError) as error:
        return _failed(str(error))
    except ModuleStartError as error:
        last = str(error).rstrip().splitlines()[-1]
        return _failed(f"The module did not start: {last} (the full log is {_short(directory / 'module.log')})")
    except GRPCError as error:
        return _failed(f"The module answered: {error.message}")
    except StreamTerminatedError:
        return _failed(f"The module closed the connection; its log is {_short(directory / 'module.log')}.")
    except asyncio.TimeoutError:
        return _failed(f"The module did not answer in time; its log is {_short(directory / 'module.log')}.")
    except (OSError, av.FFmpegError) as error:
        return _failed(f"The demo could not read or write a file: {error}.")
    return 0


def _failed(sentence: str) -> int:
    print(f"\nThe demo failed. {sentence}", file=sys.stderr)
    return 1


def _describe(status: Mapping[str, Any]) -> str:
    """The status as one line."""
    parts = []
    if "recording" in status:
        parts.append(
            "recording" if status["recording"] else f"not recording ({status.get('reason', 'no reason given')})"
        )
    if "frames_per_second" in status:
        parts.append(f"{status['frames_per_second']:.1f} frames/s")
    if "stored_seconds" in status:
        parts.append(f"{status['stored_seconds']:.0f} s stored")
    if "stored_bytes" in status:
        parts.append(f"{status['stored_bytes'] / 1e6:.1f} MB")
    if status.get("open_segment"):
        parts.append(f"writing {Path(str(status['open_segment'])).name}")
    if status.get("dropped_frames"):
        parts.append(f"{status['dropped_frames']:.0f} frames dropped")
    return "  ".join(parts) or "no status"


def _timestamp(time_us: int) -> str:
    """A timestamp for a command, in UTC and exact to the microsecond."""
    return datetime.fromtimestamp(time_us // 1_000_000, timezone.utc).strftime(
        f"%Y-%m-%d_%H-%M-%S.{time_us % 1_000_000:06d}Z"
    )


def _find(directory: Path, filename: str) -> Path:
    found = sorted(directory.rglob(filename)) if filename else []
    if not found:
        raise DemoError(f"The saved clip {filename!r} is not below {_short(directory)}.")
    return found[0]


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _shell(path: Path) -> str:
    return shlex.quote(_short(path))


if __name__ == "__main__":
    sys.exit(main())
