"""Names and paths: which the config takes, and where it records by them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.parsed_config import attributes, parse, refusal, refused
from videostore.base.errors import ConfigError
from videostore.config import (
    parse_config,
    parse_recording,
)

pytestmark = pytest.mark.usefixtures("home")


def test_a_refusal_of_nested_paths_has_both_of_them() -> None:
    error = refused(attributes({"storage_path": "/srv/video", "upload_path": "/srv/video/upload"}))
    assert (error.code, error.attribute, error.value) == ("paths-nested", "storage.storage_path", "/srv/video")
    assert (error.fields["other"], error.fields["other_value"]) == ("storage.upload_path", "/srv/video/upload")


@pytest.mark.parametrize(
    ("name", "code"), [("a/b", "name-no-directory"), ("", "name-no-directory"), ("x" * 201, "name-too-long")]
)
def test_a_refusal_of_a_component_name_has_the_name(name: str, code: str) -> None:
    error = refused(attributes(), name)
    assert (error.code, error.value, error.attribute) == (code, name, None)


def test_a_tilde_in_a_path_is_the_home_directory(home: Path) -> None:
    storage = parse(attributes({"storage_path": "~/rec", "upload_path": "~/up"})).storage
    assert storage.storage_path == home / "rec"
    assert storage.upload_path == home / "up"


@pytest.mark.parametrize(
    ("storage_path", "upload_path"),
    [
        ("/srv/video", "/srv/video"),
        ("/srv/video", "/srv/video/"),
        ("/srv/video", "/srv/video/upload"),
        ("/srv/video/recording", "/srv/video"),
        ("/srv/other/../video", "/srv/video/upload"),
        ("/", "/srv/video"),
    ],
)
def test_storage_and_upload_paths_must_not_be_nested(storage_path: str, upload_path: str) -> None:
    message = refusal(attributes({"storage_path": storage_path, "upload_path": upload_path}))
    assert "storage.storage_path" in message
    assert "storage.upload_path" in message
    assert "the data manager deletes what it has uploaded" in message


def test_a_symbolic_link_does_not_hide_that_the_paths_are_nested(tmp_path: Path) -> None:
    (tmp_path / "video").mkdir()
    (tmp_path / "link").symlink_to("video")
    message = refusal(attributes({"storage_path": f"{tmp_path}/video", "upload_path": f"{tmp_path}/link/upload"}))
    assert "neither inside the other" in message


def test_paths_with_the_same_beginning_are_accepted() -> None:
    storage = parse(attributes({"storage_path": "/srv/video", "upload_path": "/srv/video-upload"})).storage
    assert storage.upload_path == Path("/srv/video-upload")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a\0b", "\ud800", "x" * 201, "ü" * 101])
def test_a_component_name_that_cannot_be_a_file_name_is_refused(name: str) -> None:
    assert refusal(attributes(), name).startswith("The component name ")


def test_a_name_in_any_script_is_accepted(home: Path) -> None:
    config, _ = parse_config("Kamera Süd 北", attributes())
    assert config.storage.storage_path == home / ".viam/video-storage/Kamera Süd 北"


@pytest.mark.parametrize("path", ["/", "/data/a\nb", "/data/" + "x" * 201])
def test_a_recording_that_cannot_have_the_name_of_its_directory_names_that(path: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_recording(None, storage={"size_gb": 1, "storage_path": path}, video={})
    assert refused.value.attribute == "storage.storage_path"
    assert "a directory whose own name has 1 to 200 bytes" in str(refused.value)
    assert "component" not in str(refused.value)
