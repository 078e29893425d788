"""`make module-check`: proves that module.tar.gz runs where there is neither Python nor ffmpeg nor a network.

Root gets the whole proof: the archive is unpacked beside a bare Debian, which debootstrap makes (that alone needs the
network), and the module runs inside of that, changed root, without any network interface. Only the directories of the
socket and of the recording are shared with it. Anybody else, and `--here`, gets the small one: the module runs on this
machine, but with an empty environment and a PATH that leads nowhere.

Either way it is driven from outside over its socket, as viam-server does it: it is started a few times, records a
painted camera, saves a clip and fetches one, and every frame of both is checked (as in `make demo`). All that this
makes lies in one temporary directory, and is removed.
"""

import argparse
import asyncio
import io
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import av
from grpclib import GRPCError
from grpclib.exceptions import StreamTerminatedError

from scripts.demo import FRAMES_PER_SECOND, NAME, DemoError, record, show_clips, stop, write_log
from scripts.fakes.painted_camera import PaintedCamera
from scripts.fakes.viam_server import ROOT, ModuleStartError, Parent

READY_WITHIN_S = 2.0
DEBOOTSTRAP_TIMEOUT_S = 900.0
# What must not be in a bare system, or the proof would be none.
FOREIGN = (
    "usr/bin/python*",
    "usr/local/bin/python*",
    "usr/lib/*/libpython*",
    "usr/bin/ffmpeg*",
    "usr/lib/*/libavcodec*",
)

# What `Parent` starts as the module, with the socket behind it. Nothing of the environment passes but what viam-server
# sets; each step replaces the process, so that signals reach the module itself.
HERE = """#!/bin/sh
exec /usr/bin/env -i PATH=/nonexistent HOME={home} VIAM_MODULE_NAME="$VIAM_MODULE_NAME" VIAM_MODULE_ROOT={module} \\
    VIAM_MODULE_DATA="$VIAM_MODULE_DATA" VIAM_PARENT_SOCKET="$VIAM_PARENT_SOCKET" {program} "$@"
"""
BARE = """#!/bin/sh
set -e
if [ -z "$INSIDE" ]; then exec env INSIDE=1 unshare --mount --net "$0" "$@"; fi
mount -t proc proc {root}/proc
mount --bind /dev {root}/dev
mount -t tmpfs tmpfs {root}/tmp
for shared in {module} {output} "${{VIAM_PARENT_SOCKET%/*}}"; do
    mkdir -p {root}"$shared"
    mount --bind "$shared" {root}"$shared"
done
mount -o remount,bind,ro {root}{module}
exec chroot {root} /usr/bin/env -i PATH=/usr/bin:/bin HOME=/root VIAM_MODULE_NAME="$VIAM_MODULE_NAME" \\
    VIAM_MODULE_ROOT={module} VIAM_MODULE_DATA="$VIAM_MODULE_DATA" VIAM_PARENT_SOCKET="$VIAM_PARENT_SOCKET" \\
    {program} "$@"
"""


def unpack(archive: Path, module: Path) -> Path:
    """Unpack the archive as viam-server does, say what is in it, and give the path of its entrypoint.

    Raises DemoError for an archive that viam-server or `viam module upload` would not take.
    """
    print(f"{archive.name}: {archive.stat().st_size / 1e6:.1f} MB")
    with tarfile.open(archive, "r:gz") as packed:
        entries = packed.getmembers()
        if odd := [entry.name for entry in entries if not (entry.isfile() or entry.isdir())]:
            raise DemoError(f"The archive holds links or worse, which viam-server does not unpack as meant: {odd[:3]}.")
    module.mkdir()
    subprocess.run(["tar", "-xzf", archive, "-C", module], check=True)
    print(f"  unpacked: {sum(entry.size for entry in entries) / 1e6:.1f} MB in {len(entries)} files")
    program = module / str(json.loads((module / "meta.json").read_text(encoding="utf-8"))["entrypoint"])
    if not os.access(program, os.X_OK):
        raise DemoError(f"The entrypoint {program.relative_to(module)} is not a program in the archive.")
    return program


def make_bare_system(root: Path, suite: str) -> None:
    """Let debootstrap put a minimal Debian into `root`."""
    if shutil.which("debootstrap") is None:
        raise DemoError("debootstrap is missing: install it, or name a bare system with --root, or use --here.")
    print(f"\nMaking a bare Debian ({suite}) with debootstrap; this takes about a minute.", flush=True)
    # In a mount namespace of its own: whatever it mounts is gone with it.
    command = ["unshare", "--mount", "debootstrap", "--variant=minbase", suite, str(root)]
    with tempfile.TemporaryFile() as log:
        done = subprocess.run(command, stdout=log, stderr=log, timeout=DEBOOTSTRAP_TIMEOUT_S, check=False)
        log.seek(0)
        if done.returncode != 0:
            raise DemoError(f"debootstrap failed:\n{log.read()[-2000:].decode(errors='replace')}")


def describe_bare_system(root: Path) -> None:
    """Say what the bare system is. Raises DemoError if it has a Python or an ffmpeg."""
    if found := [str(path) for pattern in FOREIGN for path in root.glob(pattern)]:
        raise DemoError(f"{root} is not bare: {found[:3]}.")
    release = (root / "etc/os-release").read_text(encoding="utf-8")
    system = next((line.partition("=")[2] for line in release.splitlines() if line.startswith("PRETTY_NAME=")), "?")
    libc = subprocess.run(["chroot", root, "getconf", "GNU_LIBC_VERSION"], capture_output=True, text=True, check=True)
    print(f"Running in {system}, {libc.stdout.strip()}: its own root directory, no Python, no ffmpeg, no network.")


def write_starter(path: Path, template: str, **places: Path) -> None:
    """Write the program that `Parent` starts instead of a Python."""
    path.write_text(template.format(**{name: shlex.quote(str(place)) for name, place in places.items()}))
    path.chmod(0o755)


async def measure_starts(parent: Parent, starter: Path, module: Path, count: int) -> None:
    """Start the module some times, and say how long each took until it was ready. Raises DemoError if that is long."""
    print("\nFrom the start of the process until Ready is answered:")
    warm = []
    for number in range(count + 1):
        if number == 0:
            forget_cached(module)
        began = time.monotonic()
        await parent.start_module(command=[str(starter)])
        took_s = time.monotonic() - began
        if number:
            warm.append(took_s)
        else:
            print(f"  files not in memory: {took_s:.2f} s")
    print(f"  after that: {', '.join(f'{took_s:.2f}' for took_s in warm)} s")
    if statistics.median(warm) > READY_WITHIN_S:
        raise DemoError(f"The module takes more than {READY_WITHIN_S:.0f} s to start.")


def forget_cached(module: Path) -> None:
    """Take the archive's files out of the page cache, where the system can do that."""
    if sys.platform != "linux":
        return
    os.sync()
    for path in module.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


async def drive(starter: Path, module: Path, output: Path, *, starts: int, seconds: float) -> None:
    """Start the module, record, save, fetch, check every frame, and end it. Raises DemoError."""
    camera = PaintedCamera("painted", interval=lambda: 1 / FRAMES_PER_SECOND)
    async with Parent([camera]) as parent:
        try:
            await measure_starts(parent, starter, module, starts)
            paths = {"storage_path": str(output / "storage"), "upload_path": str(output / "upload")}
            storage = {"size_gb": 1, "segment_seconds": 5, **paths}
            attributes = {"camera": camera.name, "sync": "data-manager", "framerate": FRAMES_PER_SECOND}
            await parent.add(NAME, {**attributes, "storage": storage})
            client = parent.camera(NAME)
            await record(client, camera, seconds)
            encoders = {child.cmdline()[0] for child in parent.children()}
            print(f"\nEncoding: {', '.join(str(Path(encoder).relative_to(module)) for encoder in sorted(encoders))}")
            await show_clips(client, camera, seconds, output)
            stopped_s = await stop(parent)
            if left := parent.leftovers():
                raise DemoError(f"The module left processes behind: {left}.")
        except (DemoError, GRPCError, ModuleStartError, StreamTerminatedError, asyncio.TimeoutError):
            write_log(parent, output / "module.log")
            print((output / "module.log").read_text(encoding="utf-8"), file=sys.stderr)
            raise
    print(f"\nThe module ended {stopped_s:.1f} s after SIGTERM and left no process behind.")


def run(arguments: argparse.Namespace, work: Path) -> None:
    """The whole check, with `work` for all that it makes."""
    module, output, starter = work / "module", work / "output", work / "start"
    output.mkdir()
    program = unpack(arguments.archive, module)
    if arguments.here:
        print("Running on this machine, with an empty environment. As root, this check runs in a bare system.")
        write_starter(starter, HERE, program=program, module=module, home=output)
    else:
        root = arguments.root.resolve() if arguments.root else work / "root"
        if not arguments.root:
            make_bare_system(root, arguments.suite)
        describe_bare_system(root)
        write_starter(starter, BARE, program=program, module=module, output=output, root=root)
    asyncio.run(drive(starter, module, output, starts=arguments.starts, seconds=arguments.seconds))
    print("\nAll of it was removed." if arguments.root is None else "\nAll but the system of --root was removed.")


def main() -> int:
    """Run the check; the exit code is 0 if everything was right."""
    parser = argparse.ArgumentParser(prog="module-check", description="Prove that the module archive runs by itself.")
    parser.add_argument("--archive", type=Path, default=ROOT / "module.tar.gz", help="what to check (module.tar.gz)")
    parser.add_argument("--here", action="store_true", help="on this machine, as anybody; not in a bare system")
    parser.add_argument("--root", type=Path, help="root directory of a bare system, instead of one by debootstrap")
    parser.add_argument("--suite", default="bookworm", help="the Debian that debootstrap makes (bookworm)")
    parser.add_argument("--starts", type=int, default=5, help="how many times to start it when its files are in memory")
    parser.add_argument("--seconds", type=float, default=12.0, help="how long to record (12, at least 6)")
    arguments = parser.parse_args()
    if arguments.seconds < 6:
        parser.error("--seconds must be at least 6, or there is too little to cut a clip from")
    arguments.here = arguments.here or sys.platform != "linux" or os.geteuid() != 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True, errors="replace")
    try:
        with tempfile.TemporaryDirectory(prefix="videostore-check-") as work:
            run(arguments, Path(work).resolve())
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except (DemoError, LookupError, ModuleStartError, OSError, av.FFmpegError, subprocess.SubprocessError) as error:
        return _failed(str(error))
    except GRPCError as error:
        return _failed(f"The module answered: {error.message}")
    except (StreamTerminatedError, asyncio.TimeoutError) as error:
        return _failed(f"The module broke off the connection or did not answer in time: {error!r}.")
    return 0


def _failed(sentence: str) -> int:
    print(f"\nThe check failed. {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
