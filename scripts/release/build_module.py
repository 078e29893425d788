"""`make module`: freezes the program with PyInstaller, and packs it with meta.json into a .tar.gz.

It runs in an environment that holds only the packages of `requirements.lock` (`make module` creates it). The archive
holds the program as a directory: a single file would unpack itself at every start. It has no links and no entries for
directories, which viam-server would not unpack correctly.
"""

import argparse
import importlib
import importlib.metadata
import io
import json
import os
import pkgutil
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "videostore"
ENTRYPOINT = f"{NAME}/{NAME}"
ENTRY = Path(__file__).with_name("module_entry.py")
PAGE = ROOT / "videostore" / "web" / "page"
TOP_FILES = ("meta.json", "README.md", "LICENSE")

# The program never uses these: build tools, graphical interfaces, tests, Python 2.
EXCLUDED_MODULES = (
    "IPython",
    "PIL",
    "_distutils_hack",
    "distutils",
    "future.backports",
    "future.moves",
    "future.standard_library",
    "lib2to3",
    "numpy",
    "pip",
    "pkg_resources",
    "pydoc",
    "setuptools",
    "test",
    "tkinter",
    "turtle",
)
# Rich shows tracebacks in one of the languages that pygments knows.
LEXERS = frozenset({"_mapping", "python", "special"})
# Part of every glibc, and tied to its version.
EXCLUDED_LIBRARIES = ("libmvec.so",)
# In the environment but not in the archive.
BUILD_TOOLS = frozenset({"altgraph", "macholib", "packaging", "pip", "pyinstaller-hooks-contrib", "setuptools"})
# Of what the page has from npm.
PAGE_LICENCES = {"hls.js": PAGE / "vendor" / "hls-LICENSE.txt"}
LICENCE_NAMES = ("AUTHORS", "COPYING", "LICENCE", "LICENSE", "NOTICE")
DEFLATE_LEVEL = 12
# The same files give the same archive, whenever it is built: 1980-01-01.
EPOCH_S = int(os.environ.get("SOURCE_DATE_EPOCH", "315532800"))


class BuildError(Exception):
    """The archive cannot be built. The text is for the terminal."""


def freeze(work: Path) -> Path:
    """Let PyInstaller put the program and everything it needs into a directory below `work`. Returns the directory."""
    import viam

    suffix = "dylib" if sys.platform == "darwin" else "so"
    # The SDK loads it by its path when it connects to a machine.
    native = Path(viam.__file__).parent / "rpc" / f"libviam_rust_utils.{suffix}"
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level=WARN", "--onedir", f"--name={NAME}"]
    command += [f"--paths={ROOT}", f"--collect-submodules={NAME}", f"--add-binary={native}:viam/rpc"]
    command += [f"--add-data={PAGE}:{PAGE.relative_to(ROOT).as_posix()}"]
    command += [f"--exclude-module={module}" for module in (*EXCLUDED_MODULES, *unused_lexers())]
    command += [f"--distpath={work / 'dist'}", f"--workpath={work / 'work'}", f"--specpath={work}"]
    command.append(str(ENTRY))
    environment = {**os.environ, "PYTHONHASHSEED": "0", "SOURCE_DATE_EPOCH": str(EPOCH_S)}
    subprocess.run(command, check=True, env=environment, cwd=ROOT)
    return work / "dist" / NAME


def unused_lexers() -> list[str]:
    """Modules of pygments for languages that the program never shows."""
    lexers = importlib.import_module("pygments.lexers")
    found = pkgutil.iter_modules(lexers.__path__)
    return [f"pygments.lexers.{module.name}" for module in found if module.name not in LEXERS]


def slim(directory: Path) -> None:
    """Remove what the frozen program does not need: links to its own files, symbols, parts of glibc."""
    for path in sorted(directory.rglob("*")):
        if path.is_symlink():
            if not path.resolve().is_relative_to(directory.resolve()):
                raise BuildError(f"The link {path} leads out of the archive.")
            path.unlink()
        elif path.name.startswith(EXCLUDED_LIBRARIES):
            path.unlink()
        elif sys.platform == "linux" and ".so" in path.name:
            strip(path)


def strip(library: Path) -> None:
    """Remove the symbols of a library, if that makes it smaller."""
    stripped = library.with_name(f"{library.name}.stripped")
    subprocess.run(["strip", "--strip-unneeded", "-o", stripped, library], check=True)
    if stripped.stat().st_size < library.stat().st_size:
        stripped.replace(library)
    else:
        stripped.unlink()


def add_licences(directory: Path) -> None:
    """Add the licences of everything in the archive."""
    target = directory / "licences"
    python = [Path(sysconfig.get_path("stdlib")) / "LICENSE.txt", Path("/usr/share/doc/python3/copyright")]
    for licence in [path for path in python if path.is_file()][:1]:
        copy(licence, target / "python" / licence.name)
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"].lower()
        for file in [] if name in BUILD_TOOLS else distribution.files or []:
            if file.name.upper().startswith(LICENCE_NAMES):
                copy(Path(str(file.locate())), target / name / file.name)
    import imageio_ffmpeg

    for notice in (Path(imageio_ffmpeg.__file__).parent / "binaries").glob("*.md"):
        copy(notice, target / "ffmpeg" / notice.name)
    for name, licence in PAGE_LICENCES.items():
        if licence.is_file():  # the page goes without what could not be fetched
            copy(licence, target / name / "LICENSE.txt")


def copy(source: Path, target: Path) -> None:
    """Copy a file, and create its directory."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


AS_MODULE = ["/videostore-check.sock", "--log-level=info", "--help"]
AS_COMMAND_LINE = ["--help"]


def check(directory: Path) -> None:
    """Check that the program starts as module and as command line in an empty environment. Raises BuildError."""
    for arguments in (AS_MODULE, AS_COMMAND_LINE):
        result = subprocess.run(
            [directory / NAME, *arguments], env={}, capture_output=True, text=True, timeout=60, check=False
        )
        if result.returncode != 0:
            raise BuildError(f"The frozen program does not start:\n{result.stdout}{result.stderr}")


def pack(directory: Path, output: Path) -> None:
    """Write the archive: meta.json, README and licence at the top, and the program's directory."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, name in [*((ROOT / name, name) for name in TOP_FILES), *files(directory)]:
            entry = tarfile.TarInfo(name)
            entry.size = path.stat().st_size
            entry.mode = 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644
            entry.mtime = EPOCH_S
            with path.open("rb") as content:
                archive.addfile(entry, content)
    unfinished = output.with_name(f"{output.name}.part")
    # 3 % smaller than zlib's best, and a normal gzip file.
    unfinished.write_bytes(importlib.import_module("deflate").gzip_compress(packed.getbuffer(), DEFLATE_LEVEL))
    unfinished.replace(output)


def files(directory: Path) -> Iterator[tuple[Path, str]]:
    """The files below the program's directory with their names in the archive, sorted."""
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            yield path, f"{NAME}/{path.relative_to(directory).as_posix()}"


def needed_glibc(directory: Path) -> str:
    """The oldest glibc version that has every symbol the program uses."""
    versions = {(0, 0)}
    for path, _ in files(directory):
        if ".so" in path.name or os.access(path, os.X_OK):
            symbols = subprocess.run(["objdump", "-T", path], capture_output=True, text=True, check=False).stdout
            versions |= {(int(major), int(minor)) for major, minor in re.findall(r"GLIBC_(\d+)\.(\d+)", symbols)}
    return ".".join(map(str, max(versions)))


def report(directory: Path, output: Path) -> None:
    """Print the size of the archive and of its largest parts."""
    parts: dict[str, list[int]] = {}
    for path, name in files(directory):
        words = name.split("/")
        part = "/".join(words[:3]) if words[1] == "_internal" and len(words) > 3 else name
        plain, compressed = path.stat().st_size, len(zlib.compress(path.read_bytes(), 6))
        sums = parts.setdefault(part, [0, 0])
        sums[0] += plain
        sums[1] += compressed
    total = sum(plain for plain, _ in parts.values())
    print(f"{output.name}: {output.stat().st_size / 1e6:.1f} MB, {total / 1e6:.1f} MB unpacked. Its largest parts:")
    for part, (plain, compressed) in sorted(parts.items(), key=lambda item: -item[1][1])[:12]:
        print(f"  {compressed / 1e6:6.1f} MB  {plain / 1e6:6.1f} MB unpacked  {part}")
    if sys.platform == "linux":
        print(f"It needs glibc {needed_glibc(directory)} or later.")


def main() -> int:
    """Build the archive. The exit code is 0 if it was built and its program starts."""
    parser = argparse.ArgumentParser(prog="build_module", description="Build the module archive.")
    parser.add_argument("--output", type=Path, default=ROOT / "module.tar.gz", help="the archive to write")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "module", help="directory for intermediate files")
    arguments = parser.parse_args()
    try:
        if json.loads((ROOT / "meta.json").read_text(encoding="utf-8"))["entrypoint"] != ENTRYPOINT:
            raise BuildError(f"The entrypoint in meta.json is not {ENTRYPOINT}.")
        directory = freeze(arguments.work.resolve())
        slim(directory)
        add_licences(directory)
        check(directory)
        pack(directory, arguments.output)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"{error.cmd[0]} failed with exit code {error.returncode}.", file=sys.stderr)
        return 1
    report(directory, arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
