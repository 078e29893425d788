"""The shipped files agree with the code: meta.json, the wheel, the sdist, requirements.lock, the build systems."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import videostore
from scripts.page import fetch
from scripts.release import build_module
from tests.support.checkout import ROOT
from videostore.cli.invocation import is_module_invocation
from videostore.viam.camera import StorageCamera
from videostore.viam.video_service import VideoStorage

META: dict[str, Any] = json.loads((ROOT / "meta.json").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
SOURCES = sorted(path for path in (ROOT / "videostore").rglob("*") if path.suffix in (".py", ".typed"))
PAGE = ROOT / "videostore" / "web" / "page"
PAGE_FILES = {path for path in PAGE.rglob("*") if path.is_file() and PAGE / "vendor" not in path.parents}
# Files that git does not have: a copy without them is a clean checkout.
MADE = (".*", "__pycache__", "*.egg-info", "*-output", "build", "dist", "module.tar.gz*")


@pytest.fixture(scope="module")
def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], Path]:
    """The names in an sdist of a clean checkout, and a wheel built from that sdist."""
    pytest.importorskip("setuptools", minversion="70.1", reason="the extra 'test' of setup.cfg installs it")
    work = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT, work / "checkout", ignore=shutil.ignore_patterns(*MADE))
    [sdist] = build("sdist", work / "checkout", work)
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    (work / "unpacked").mkdir()
    subprocess.run(["tar", "-xzf", sdist, "-C", work / "unpacked"], check=True)
    [checkout] = (work / "unpacked").iterdir()
    [wheel] = build("wheel", checkout, work)
    return names, wheel


def build(kind: str, checkout: Path, work: Path) -> list[Path]:
    """Let setuptools build an sdist or a wheel, as pip does, but without a network."""
    output = work / kind
    output.mkdir()
    program = f"from setuptools import build_meta; build_meta.build_{kind}({str(output)!r})"
    subprocess.run([sys.executable, "-c", program], cwd=checkout, check=True, capture_output=True, timeout=60)
    return list(output.iterdir())


def requirements(text: str) -> dict[str, Requirement]:
    found = [Requirement(line) for line in text.split("\n") if line and not line.startswith("#")]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def pins() -> list[Requirement]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").split("\n")
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def anchors(markdown: str) -> set[str]:
    """The anchors of the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", markdown, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_meta_json_names_the_models_that_the_module_serves() -> None:
    served = [(str(kind.API), str(kind.MODEL)) for kind in (StorageCamera, VideoStorage)]
    assert [(model["api"], model["model"]) for model in META["models"]] == served


def test_meta_json_has_the_entrypoint_that_the_build_creates() -> None:
    assert META["entrypoint"] == build_module.ENTRYPOINT
    assert "meta.json" in build_module.TOP_FILES


def test_the_build_commands_of_meta_json_exist_and_create_its_path() -> None:
    setup = ROOT / META["build"]["setup"]
    make, target = META["build"]["build"].split()
    archive = re.search(r"^ARCHIVE := (.+)$", MAKEFILE, flags=re.MULTILINE)

    assert os.access(setup, os.X_OK)
    assert (make, bool(re.search(rf"^{target}: \$\(ARCHIVE\)", MAKEFILE, flags=re.MULTILINE))) == ("make", True)
    assert archive is not None and META["build"]["path"] == archive[1]


def test_meta_json_lists_the_platforms_that_are_built() -> None:
    assert META["build"]["arch"] == ["linux/amd64", "linux/arm64", "darwin/arm64"]


def test_the_links_of_meta_json_lead_to_headings_that_exist() -> None:
    for link in (META["markdown_link"], *(model["markdown_link"] for model in META["models"])):
        file, _, anchor = link.partition("#")
        assert not anchor or anchor in anchors((ROOT / file).read_text(encoding="utf-8")), link


def test_meta_json_has_the_address_of_the_package_which_the_publisher_sets(
    setup_cfg: configparser.ConfigParser,
) -> None:
    assert META["url"] == setup_cfg["metadata"].get("url", "")
    assert "set `url` in\n`meta.json`" in (ROOT / "docs/guide/module-archive.md").read_text(encoding="utf-8")


def test_the_version_is_in_one_place(setup_cfg: configparser.ConfigParser) -> None:
    assert str(Version(videostore.__version__)) == videostore.__version__
    assert setup_cfg["metadata"]["version"] == "attr: videostore.__version__"
    assert "version" not in META
    others = [path for path in SOURCES if "__version__ =" in path.read_text(encoding="utf-8")]
    assert others == [ROOT / "videostore" / "__init__.py"]


def distributions_with(package: str) -> set[str]:
    """The names of the installed distributions that have files of a package: of `google`, there are several."""
    return {
        canonicalize_name(one.metadata["Name"])
        for one in importlib.metadata.distributions()
        if any(file.suffix == ".py" and file.parts[0] in (package, f"{package}.py") for file in one.files or ())
    }


def test_the_package_requires_exactly_what_it_imports(setup_cfg: configparser.ConfigParser) -> None:
    imported: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(str(node.module).partition(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"videostore"}
    owners = {name: distributions_with(name) for name in foreign}
    required = set(requirements(setup_cfg["options"]["install_requires"]))

    assert [name for name in foreign if not owners[name] & required] == [], "imported and not required"
    assert required - set().union(*owners.values()) == set(), "required and not imported"


def test_the_lock_pins_every_requirement_of_the_archive(setup_cfg: configparser.ConfigParser) -> None:
    wanted = requirements(setup_cfg["options"]["install_requires"])
    wanted |= requirements(setup_cfg["options.extras_require"]["module"])

    for pin in pins():
        [exact] = pin.specifier
        assert exact.operator == "==", pin
        if requirement := wanted.get(canonicalize_name(pin.name)):
            assert requirement.specifier.contains(exact.version), f"{pin} is not {requirement}"
    assert not set(wanted) - {canonicalize_name(pin.name) for pin in pins()}


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_the_lock_has_one_version_of_each_package_for_every_python(python: str) -> None:
    system = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    chosen = sorted(canonicalize_name(pin.name) for pin in pins() if pin.marker is None or pin.marker.evaluate(system))
    assert chosen == sorted(set(chosen))


def test_canon_and_the_cloud_build_use_the_same_system() -> None:
    dockerfile = (ROOT / "Dockerfile.canon").read_text(encoding="utf-8")
    canon = (ROOT / ".canon.yaml").read_text(encoding="utf-8")
    images = re.findall(r"^#   docker build --platform linux/(\w+) .* -t (\S+) \.$", dockerfile, flags=re.MULTILINE)
    user = re.search(r"^RUN useradd .* (\w+) \\$", dockerfile, flags=re.MULTILINE)

    assert f"FROM debian:{META['build']['distro']}-slim" in dockerfile
    assert META["build"]["setup"] in dockerfile
    assert dict(re.findall(r"^  image_(\w+): (\S+)$", canon, flags=re.MULTILINE)) == dict(images)
    assert user is not None and f"user: {user[1]}\n  group: {user[1]}\n" in canon


def test_the_wheel_holds_only_the_package(built: tuple[set[str], Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        files = {name for name in wheel.namelist() if ".dist-info/" not in name}
    # What npm brings is there only if it could be fetched.
    files = {name for name in files if "/page/vendor/" not in name}
    assert files == {path.relative_to(ROOT).as_posix() for path in [*SOURCES, *PAGE_FILES]}


def test_the_wheel_has_what_the_page_takes_from_npm_as_the_checkout_does(built: tuple[set[str], Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        names = set(wheel.namelist())
    if fetch.is_there():
        assert {f"videostore/web/page/vendor/{name}" for name in fetch.FILES.values()} <= names


def test_the_wheel_has_the_command_the_version_and_the_requirements(
    built: tuple[set[str], Path], setup_cfg: configparser.ConfigParser
) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        about = f"videostore-{videostore.__version__}.dist-info"
        commands = wheel.read(f"{about}/entry_points.txt").decode()
        lines = wheel.read(f"{about}/METADATA").decode().split("\n")
    required = [
        line.partition(": ")[2] for line in lines if line.startswith("Requires-Dist") and "extra ==" not in line
    ]

    assert commands.split() == ["[console_scripts]", "videostore", "=", "videostore.cli:main"]
    assert f"Version: {videostore.__version__}" in lines
    assert set(requirements("\n".join(required))) == set(requirements(setup_cfg["options"]["install_requires"]))


def test_the_sdist_holds_everything_that_tests_and_builds_need(built: tuple[set[str], Path]) -> None:
    wanted = {
        path.relative_to(ROOT).as_posix() for folder in ("scripts", "tests") for path in (ROOT / folder).glob("*.*")
    }
    wanted |= {"LICENSE", "Makefile", "README.md", "meta.json", "pyproject.toml", "requirements.lock", "setup.cfg"}
    wanted |= {path.relative_to(ROOT).as_posix() for path in SOURCES}
    assert not wanted - built[0]


def test_the_archive_is_built_from_files_that_exist() -> None:
    assert build_module.ENTRY.is_file()
    assert all((ROOT / name).is_file() for name in build_module.TOP_FILES)
    named = re.findall(r"scripts/[\w/]+\.\w+", MAKEFILE)
    assert named and all((ROOT / path).is_file() for path in named)


def test_the_archive_is_checked_as_module_and_as_command_line() -> None:
    assert is_module_invocation(build_module.AS_MODULE) and not is_module_invocation(build_module.AS_COMMAND_LINE)
    for arguments in (build_module.AS_MODULE, build_module.AS_COMMAND_LINE):
        done = subprocess.run([sys.executable, "-m", "videostore", *arguments], capture_output=True, cwd=ROOT)
        assert done.returncode == 0 and b"usage" in done.stdout.lower()


@pytest.mark.skipif(not fetch.is_there(), reason="what the page takes from npm is not there")
def test_the_licence_of_the_player_is_in_the_archive(tmp_path: Path) -> None:
    build_module.add_licences(tmp_path)
    licence = (tmp_path / "licences" / "hls.js" / "LICENSE.txt").read_text(encoding="utf-8")
    assert "Apache License, Version 2.0" in licence and "Dailymotion" in licence
