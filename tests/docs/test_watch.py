"""The guide of watching beside the page: its keys are those that the page has."""

from __future__ import annotations

import re

from tests.support.checkout import ROOT

PAGE = ROOT / "videostore" / "web" / "page"
GUIDE = (ROOT / "docs/guide/watch.md").read_text(encoding="utf-8")
KEY = re.compile(r'\[\[(.+?)\], "(.+?)", "(\w+)"\]')
ROW = re.compile(r"^\| (`.+?) \| (.+?) \|$", re.MULTILINE)


def keys() -> list[tuple[str, str, str]]:
    """The keys of the page, what each does in words, and its method."""
    return KEY.findall((PAGE / "keys.mjs").read_text(encoding="utf-8"))


def test_the_guide_has_the_keys_of_the_page() -> None:
    assert len(keys()) > 25
    assert [words for _, words, _ in keys()] == [words for _, words in ROW.findall(GUIDE)]
    for (names, _, _), (shown, _) in zip(keys(), ROW.findall(GUIDE), strict=True):
        letters = re.findall(r'"([a-z])"', names)
        assert all(f"`{letter.upper()}`" in shown for letter in letters)


def test_every_key_has_its_method() -> None:
    commands = (PAGE / "commands.mjs").read_text(encoding="utf-8")
    assert [name for _, _, name in keys() if not re.search(rf"^  (async )?{name}( =|\()", commands, re.MULTILINE)] == []


def test_the_page_has_no_script_or_style_in_its_markup() -> None:
    page = (PAGE / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", page) == []
    for module in PAGE.glob("*.mjs"):
        text = module.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|insertAdjacentHTML|\beval\(|new Function", text), module.name


def test_every_module_of_the_page_is_imported_by_a_name_that_exists() -> None:
    for module in PAGE.glob("*.mjs"):
        for name in re.findall(r'from "\./([\w.]+)"', module.read_text(encoding="utf-8")):
            assert (PAGE / name).is_file(), f"{module.name} imports {name}"


def test_the_page_asks_for_all_of_its_modules_at_once() -> None:
    page = (PAGE / "index.html").read_text(encoding="utf-8")
    named = re.findall(r'<(?:link rel="modulepreload" href|script type="module" src)="static/([^"]+)"', page)
    assert sorted(named) == sorted([*(module.name for module in PAGE.glob("*.mjs")), "vendor/hls.mjs"])
