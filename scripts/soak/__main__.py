"""`make soak`: runs the module for a long time under random faults, and checks in its clips that no frame was lost.

All files are below one directory. The processes and the mounted device end with the soak. The same seed and duration
give the same order of faults.
"""

import argparse
import asyncio
import contextlib
import io
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.fakes.painted_camera import PaintedCamera, undecodable
from scripts.fakes.viam_server import ModuleStartError, Parent
from scripts.soak.faults import KINDS, schedule
from scripts.soak.report import Record, report
from scripts.soak.soak import Soak, SoakError
from scripts.soak.tested_module import (
    BITRATE,
    HEIGHT,
    NEIGHBOURS,
    WIDTH,
    TestedModule,
)

# A directory is emptied for another run only if it has this file.
MARK = ".videostore-soak"


DISK_FULL = "disk-full"


CALM_S = (10.0, 25.0)


def prepare(directory: Path) -> None:
    """Make the output directory, or empty that of an earlier soak. Raises SoakError if it holds anything else."""
    if directory.exists():
        if not directory.is_dir() or (any(directory.iterdir()) and not (directory / MARK).exists()):
            raise SoakError(f"{directory} is not empty and was not made by a soak. Choose another --directory.")
        clear(directory)
        for made in ("report.txt", "module.log"):
            (directory / made).unlink(missing_ok=True)
    (directory / "storage").mkdir(parents=True)
    (directory / MARK).touch()


def clear(directory: Path) -> None:
    """Remove recordings and clips. The report and the log stay."""
    for made in ("storage", "upload", NEIGHBOURS):
        shutil.rmtree(directory / made, ignore_errors=True)


@contextlib.contextmanager
def small_device(path: Path, size_bytes: int) -> Iterator[None]:
    """A file system in memory at `path` inside this context. Raises SoakError if it cannot be mounted."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "videostore-soak", str(path)]
    if os.geteuid() != 0:
        raise SoakError("Only root can mount the small device for --disk-full. Leave this option out.")
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        raise SoakError(f"The small device cannot be mounted: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=False)


async def run(record: Record, names: list[str], calm_s: tuple[float, float]) -> None:
    """Run the soak, judge it, and store the results in `record`. Raises SoakError."""
    stop = asyncio.Event()
    here = asyncio.current_task()
    assert here is not None
    _end_on_signals(stop, here.cancel, record)
    # Four times what the bit rate gives: the quota must not delete anything, whatever the encoder does.
    expected_bytes = (record.asked_s + 60) * BITRATE / 8
    limits = {"size_gb": (4 * expected_bytes + (64 << 20)) / (1 << 30)}
    camera = PaintedCamera("painted", width=WIDTH, height=HEIGHT)
    with contextlib.ExitStack() as owned:
        if DISK_FULL in names:
            owned.enter_context(small_device(record.directory / "storage", int(3 * expected_bytes) + (96 << 20)))
            limits["min_free_gb"] = 0.01
        complaining = [PaintedCamera(f"complaining-{n}", width=WIDTH, height=HEIGHT) for n in range(record.complaining)]
        for one in complaining:
            one.alter = undecodable
        async with Parent([camera, *complaining]) as parent:
            module = TestedModule(parent, camera, record.directory, limits, record.seed, print, complaining)
            record.module = module
            soak = Soak(module, record, stop)
            try:
                await soak.record(schedule(record.seed, record.asked_s, names, calm_s))
                print(f"{module.elapsed_s:7.1f} s  recorded; checking every frame in the clips")
                if not camera.delivered:
                    raise SoakError("The camera delivered nothing.")
                await soak.judge()
            finally:
                _write_log(parent, record.directory / "module.log")


def _end_on_signals(stop: asyncio.Event, cancel: Callable[[], object], record: Record) -> None:
    """The first signal stops the recording and judges it. The second signal stops the judging."""

    def end() -> None:
        record.interrupted = True
        if stop.is_set():
            cancel()
        else:
            print("\nInterrupted. Judging what was recorded; interrupt again to stop that as well.", flush=True)
            stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)


def _write_log(parent: Parent, path: Path) -> None:
    logged = (f"{line.level}\t{line.logger}\t{line.message}" for line in parent.logs)
    path.write_text("\n".join([*parent.module_output, *logged, ""]), encoding="utf-8")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="soak", description="Run the module for a long time under random faults.")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long to record (default: 30)")
    parser.add_argument("--seed", type=int, help="the same seed and duration give the same faults (default: random)")
    parser.add_argument(
        "--faults", metavar="A,B", help="only these faults, of: " + ", ".join(kind.name for kind in KINDS)
    )
    parser.add_argument(
        "--disk-full",
        action="store_true",
        help="record to a small file system in memory, which is filled up; needs root",
    )
    parser.add_argument(
        "--complaining",
        type=int,
        default=0,
        metavar="N",
        help="beside the camera, record N others about whose images ffmpeg complains, and log at debug",
    )
    parser.add_argument(
        "--calm", type=float, nargs=2, default=CALM_S, metavar="S", help="shortest and longest time between two faults"
    )
    parser.add_argument(
        "--directory", type=Path, default=Path("soak-output"), help="directory for all files (default: ./soak-output)"
    )
    arguments = parser.parse_args()
    known = [kind.name for kind in KINDS if kind.name != DISK_FULL or arguments.disk_full]
    arguments.names = known if arguments.faults is None else arguments.faults.split(",")
    if unknown := set(arguments.names) - set(known):
        parser.error(f"no such fault, or its option is missing: {', '.join(sorted(unknown))}")
    return arguments


def main() -> int:
    """Run the soak. The exit code is 0 if nothing failed."""
    arguments = _parse()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Progress is printed at once, also to a pipe, and whatever the encoding is.
        sys.stdout.reconfigure(line_buffering=True, errors="replace")
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1_000_000)
    directory: Path = arguments.directory.resolve()
    record = Record(seed, directory, arguments.minutes * 60, arguments.complaining)
    print(f"Soak of {arguments.minutes:g} min with seed {seed}, in {directory}.")
    try:
        prepare(directory)
        asyncio.run(run(record, arguments.names, tuple(arguments.calm)))
    except (SoakError, ModuleStartError) as error:
        print(f"\nThe soak cannot go on. {error}", file=sys.stderr)
        if record.module is None:
            return 1
        record.module.failures.append(str(error))
    except (KeyboardInterrupt, asyncio.CancelledError):
        record.interrupted = True
    lines = report(record)
    print("\n".join(lines))
    (directory / "report.txt").write_text("\n".join([*lines[1:], ""]), encoding="utf-8")
    if not record.failures:
        clear(directory)
    else:
        print(f"Report, log and recording are in {directory}.")
    return 1 if record.failures else 130 if record.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
