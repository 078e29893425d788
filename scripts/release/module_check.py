"""`make module-check`: checks that module.tar.gz runs on a system without Python, ffmpeg and network.

As root, this is the full check: debootstrap makes a bare Debian (only this needs the network), and the module runs
inside it, with its own root directory and no network interface but loopback. Only the directories of the module, the
socket and the recording are shared with it. Other users, and `--here`, get the small check: the module runs on this
machine, with an empty environment and an empty PATH.

In both cases it is driven over its socket, as by viam-server: it is started several times, records a painted camera,
saves a clip and fetches one, every frame of both clips is checked (as in `make demo`), and `module_answers` asks for
the rest. All files are in one temporary directory, which is removed at the end.
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
from viam.components.camera.client import CameraClient

from scripts.demo import FRAMES_PER_SECOND, NAME, DemoError, record, show_clips, stop, write_log
from scripts.fakes.painted_camera import PaintedCamera
from scripts.fakes.viam_server import ROOT, ModuleStartError, Parent
from scripts.release.module_answers import check_answers
from videostore.base.constants import WEB_CHILD

READY_WITHIN_S = 2.0
WEB_PORT = 8690
PAGE_WITHIN_S = 30.0
DEBOOTSTRAP_TIMEOUT_S = 900.0
# Files that a bare system must not have.
FOREIGN = (
    "usr/bin/python*",
    "usr/local/bin/python*",
    "usr/lib/*/libpython*",
    "usr/bin/ffmpeg*",
    "usr/lib/*/libavcodec*",
)

# The program that `Parent` starts as the module; the socket is its argument. The module gets only the variables that
# viam-server sets. Each step replaces the process, so that signals reach the module itself.
HERE = """#!/bin/sh
exec /usr/bin/env -i PATH=/nonexistent HOME={home} VIAM_MODULE_NAME="$VIAM_MODULE_NAME" VIAM_MODULE_ROOT={module} \\
    VIAM_MODULE_DATA="$VIAM_MODULE_DATA" VIAM_PARENT_SOCKET="$VIAM_PARENT_SOCKET" {program} "$@"
"""
BARE = """#!/bin/sh
set -e
if [ -z "$INSIDE" ]; then exec env INSIDE=1 unshare --mount --net "$0" "$@"; fi
ip link set lo up
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
    """Unpack the archive as viam-server does, and print its sizes. Returns the path of its entrypoint.

    Raises DemoError for an archive that viam-server or `viam module upload` would not accept.
    """
    print(f"{archive.name}: {archive.stat().st_size / 1e6:.1f} MB")
    with tarfile.open(archive, "r:gz") as packed:
        entries = packed.getmembers()
        if odd := [entry.name for entry in entries if not (entry.isfile() or entry.isdir())]:
            raise DemoError(
                f"The archive holds entries that are not files, which viam-server does not unpack correctly: {odd[:3]}."
            )
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
        raise DemoError("debootstrap is missing. Install it, name a bare system with --root, or use --here.")
    print(f"\nMaking a bare Debian ({suite}) with debootstrap; this takes about a minute.", flush=True)
    # In its own mount namespace, so that its mounts end with it.
    command = ["unshare", "--mount", "debootstrap", "--variant=minbase", suite, str(root)]
    with tempfile.TemporaryFile() as log:
        done = subprocess.run(command, stdout=log, stderr=log, timeout=DEBOOTSTRAP_TIMEOUT_S, check=False)
        log.seek(0)
        if done.returncode != 0:
            raise DemoError(f"debootstrap failed:\n{log.read()[-2000:].decode(errors='replace')}")


def describe_bare_system(root: Path) -> None:
    """Print what the bare system is. Raises DemoError if it has a Python or an ffmpeg."""
    if found := [str(path) for pattern in FOREIGN for path in root.glob(pattern)]:
        raise DemoError(f"{root} is not bare: {found[:3]}.")
    release = (root / "etc/os-release").read_text(encoding="utf-8")
    system = next((line.partition("=")[2] for line in release.splitlines() if line.startswith("PRETTY_NAME=")), "?")
    libc = subprocess.run(["chroot", root, "getconf", "GNU_LIBC_VERSION"], capture_output=True, text=True, check=True)
    print(f"Running in {system}, {libc.stdout.strip()}: its own root directory, no Python, no ffmpeg, no network.")


def write_starter(path: Path, template: str, **places: Path) -> None:
    """Write the program that `Parent` starts as the module."""
    path.write_text(template.format(**{name: shlex.quote(str(place)) for name, place in places.items()}))
    path.chmod(0o755)


async def measure_starts(parent: Parent, starter: Path, module: Path, count: int) -> None:
    """Start the module several times, and print how long it took to be ready. Raises DemoError if that is too long."""
    print("\nFrom the start of the process until Ready is answered:")
    warm = []
    for number in range(count + 1):
        if number == 0:
            drop_page_cache(module)
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


def drop_page_cache(module: Path) -> None:
    """Remove the archive's files from the page cache, if the system can do that."""
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
    """Start the module, record, save, fetch, check every frame, and stop the module. Raises DemoError."""
    camera = PaintedCamera("painted", interval=lambda: 1 / FRAMES_PER_SECOND)
    async with Parent([camera]) as parent:
        try:
            await measure_starts(parent, starter, module, starts)
            paths = {"storage_path": str(output / "storage"), "upload_path": str(output / "upload")}
            storage = {"size_gb": 1, "segment_seconds": 5, **paths}
            attributes = {"camera": camera.name, "sync": "data-manager", "framerate": FRAMES_PER_SECOND}
            await parent.add(NAME, {**attributes, "storage": storage, "web": {"port": WEB_PORT}})
            client = parent.camera(NAME)
            await record(client, camera, seconds)
            commands = [child.cmdline() for child in parent.children()]
            encoders = {command[0] for command in commands if command and WEB_CHILD not in command}
            print(f"\nEncoding: {', '.join(str(Path(encoder).relative_to(module)) for encoder in sorted(encoders))}")
            await show_clips(client, camera, seconds, output)
            page = await page_address(client)
            print(f"\nThe page: {page}")
            await check_answers(parent, client, camera, page, output)
            stopped_s = await stop(parent)
            if left := parent.leftovers():
                raise DemoError(f"The module left processes behind: {left}.")
        except (DemoError, GRPCError, ModuleStartError, StreamTerminatedError, asyncio.TimeoutError):
            write_log(parent, output / "module.log")
            print((output / "module.log").read_text(encoding="utf-8"), file=sys.stderr)
            raise
    print(f"\nThe module ended {stopped_s:.1f} s after SIGTERM and left no process behind.")


async def page_address(client: CameraClient) -> str:
    """Where the page is, once it is served. Raises DemoError if it is not."""
    deadline = time.monotonic() + PAGE_WITHIN_S
    while True:
        status = await client.get_status()
        if address := status.get("web_address"):
            return str(address)
        if time.monotonic() > deadline:
            raise DemoError(f"The page is not served: {status.get('web_trouble', 'it says nothing')}")
        await asyncio.sleep(0.2)


def run(arguments: argparse.Namespace, work: Path) -> None:
    """The whole check. All files go into `work`."""
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
    print(
        "\nAll files were removed."
        if arguments.root is None
        else "\nAll files except the system of --root were removed."
    )


def main() -> int:
    """Run the check. The exit code is 0 if everything was right."""
    parser = argparse.ArgumentParser(
        prog="module-check", description="Check that the module archive runs on a bare system."
    )
    parser.add_argument(
        "--archive", type=Path, default=ROOT / "module.tar.gz", help="the archive to check (module.tar.gz)"
    )
    parser.add_argument(
        "--here", action="store_true", help="run on this machine instead of a bare system; needs no root"
    )
    parser.add_argument("--root", type=Path, help="root directory of a bare system, instead of one from debootstrap")
    parser.add_argument("--suite", default="bookworm", help="the Debian that debootstrap makes (bookworm)")
    parser.add_argument("--starts", type=int, default=5, help="how often to start it when its files are in memory")
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
        return _failed(f"The module closed the connection or did not answer in time: {error!r}.")
    return 0


def _failed(sentence: str) -> int:
    print(f"\nThe check failed. {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
