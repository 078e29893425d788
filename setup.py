"""Builds the package; everything about it is in setup.cfg. Before, what the page takes from npm is fetched."""

import runpy
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

FETCH = Path(__file__).resolve().parent / "scripts" / "page" / "fetch.py"


def fetch_page_parts() -> None:
    """Fetch them; what cannot be fetched is left out, with a warning."""
    runpy.run_path(str(FETCH))["main"]()


class BuildWithPage(build_py):
    """Fetches before the files of the package are listed."""

    def run(self) -> None:
        fetch_page_parts()
        super().run()


class DistributeWithPage(sdist):
    """Fetches before the files of the source distribution are listed."""

    def run(self) -> None:
        fetch_page_parts()
        super().run()


setup(cmdclass={"build_py": BuildWithPage, "sdist": DistributeWithPage})
