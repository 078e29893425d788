"""The resource in this process: its dependencies, its life, and what it refuses."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from grpclib import GRPCError, Status
from grpclib.client import Channel
from viam.components.camera import Camera
from viam.errors import NotSupportedError, ViamGRPCError
from viam.proto.app.robot import ComponentConfig
from viam.proto.common import ResourceName
from viam.resource.base import ResourceBase
from viam.utils import dict_to_struct

from tests.support.recording import SMALL, START_US, until
from tests.support.scripted_camera import ScriptedCamera, answer, hang
from videostore.base.errors import ConfigError
from videostore.viam.camera import StorageCamera
from videostore.viam.data_manager import DataManager, DataManagerClient
from videostore.viam.refusal import Refusal

Attributes = dict[str, Any]
Add = Callable[[Camera], Awaitable[StorageCamera]]


@pytest.fixture
def attributes(tmp_path: Path) -> Attributes:
    """The attributes of a resource that records the camera `cam`."""
    storage = {"size_gb": 1, "storage_path": str(tmp_path / "storage"), "upload_path": str(tmp_path / "upload")}
    return {"camera": "cam", "sync": "data-manager", "storage": storage, "video": {"preset": "ultrafast"}}


@pytest.fixture
async def add(attributes: Attributes) -> AsyncIterator[Add]:
    """Adds a resource that records a camera; it is closed at the end."""
    added: list[StorageCamera] = []

    async def add(camera: Camera) -> StorageCamera:
        resource = StorageCamera.new(config(attributes), dependencies(camera))
        added.append(resource)
        await resource.start()
        return resource

    yield add
    for resource in added:
        await resource.close()


def config(attributes: Attributes) -> ComponentConfig:
    return ComponentConfig(name="store", attributes=dict_to_struct(attributes))


def dependencies(camera: Camera | None = None, prefix: str = "") -> Mapping[ResourceName, ResourceBase]:
    """What viam-server passes to a resource; with a prefix it comes from a remote."""
    manager = DataManagerClient("data-manager", Channel())
    found: dict[ResourceName, ResourceBase] = {DataManager.get_resource_name(prefix + "data-manager"): manager}
    if camera is not None:
        found[Camera.get_resource_name(prefix + camera.name)] = camera
    return found


def test_the_camera_and_the_data_manager_are_optional_and_sync_is_required(attributes: Attributes) -> None:
    assert StorageCamera.validate_config(config(attributes)) == ([], ["cam", "data-manager"])
    del attributes["camera"]
    assert StorageCamera.validate_config(config(attributes)) == ([], ["data-manager"])
    del attributes["sync"]
    with pytest.raises(ConfigError):
        StorageCamera.validate_config(config(attributes))


async def test_resources_of_a_remote_are_found_by_their_short_names(attributes: Attributes) -> None:
    resource = StorageCamera.new(config(attributes), dependencies(ScriptedCamera(), "there:"))
    assert resource.name == "store"


@pytest.mark.parametrize(
    ("changes", "code", "sentence"),
    [
        (
            {"camera": "data-manager"},
            "camera-wrong",
            "The attribute camera is 'data-manager', which is a data_manager. It must be a camera.",
        ),
        ({"sync": "cam"}, "data-manager-wrong", "The attribute sync is 'cam', which is a camera. It must be the data"),
    ],
)
async def test_a_name_of_no_suitable_resource_is_refused(
    attributes: Attributes, changes: Attributes, code: str, sentence: str
) -> None:
    with pytest.raises(Refusal) as refused:
        StorageCamera.new(config(attributes | changes), dependencies(ScriptedCamera()))
    error = refused.value.grpc_error
    assert error.status is Status.INVALID_ARGUMENT
    assert (error.message or "").startswith(sentence)
    assert error.details[0].reason == code


async def test_a_resource_that_is_not_started_or_was_closed_says_so(attributes: Attributes) -> None:
    resource = StorageCamera.new(config(attributes), dependencies(ScriptedCamera()))
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: resource.get_status(),
        lambda: resource.do_command({"command": "get-storage-state"}),
    ]
    for call in calls:
        with pytest.raises(ViamGRPCError, match="not running") as refused:
            await call()
        assert refused.value.grpc_code is Status.UNAVAILABLE
    await resource.start()
    assert (await resource.get_status())["stored_segments"] == 0
    await resource.close()
    with pytest.raises(ViamGRPCError, match="not running"):
        await resource.get_status()
    await resource.close()


async def test_without_its_camera_it_runs_and_says_why_it_records_nothing(attributes: Attributes) -> None:
    resource = StorageCamera.new(config(attributes), dependencies())
    await resource.start()
    try:
        reason = "camera 'cam' is missing or could not be built"
        await until(lambda: resource.store.health().recorder and _reason(resource) == reason)
        assert "upload_trouble" not in await resource.get_status()
        with pytest.raises(ViamGRPCError) as refused:
            await resource.get_images()
        assert refused.value.message == f"No image yet: {reason}."
        assert refused.value.grpc_code is Status.UNAVAILABLE
        assert (await resource.get_properties()).intrinsic_parameters.width_px == 0
    finally:
        await resource.close()


def _reason(resource: StorageCamera) -> str:
    recorder = resource.store.health().recorder
    return recorder.reason if recorder else ""


async def test_a_running_recorder_is_rebuilt_only_if_its_config_or_its_camera_is_another(
    attributes: Attributes,
) -> None:
    cam = ScriptedCamera()
    resource = StorageCamera.new(config(attributes), dependencies(cam))
    assert not resource.adopt(config(attributes), dependencies(cam)), "it does not run"
    await resource.start()
    try:
        assert resource.adopt(config(attributes), dependencies(cam))
        assert not resource.adopt(config(attributes), dependencies())
        assert not resource.adopt(config(attributes), dependencies(ScriptedCamera()))
        assert not resource.adopt(config(attributes | {"framerate": 5}), dependencies(cam))
        assert resource.adopt(config(attributes), {Camera.get_resource_name("cam"): cam})
        assert "data-manager" in (await resource.get_status())["upload_trouble"]
        assert resource.adopt(config(attributes), dependencies(cam))
        assert "upload_trouble" not in await resource.get_status()
    finally:
        await resource.close()


async def test_a_command_that_is_refused_carries_its_code(add: Add) -> None:
    resource = await add(ScriptedCamera())
    with pytest.raises(Refusal) as refused:
        await resource.do_command({"command": "delete"})
    assert refused.value.grpc_error.details[0].reason == "command-unknown"


async def test_a_command_ends_with_its_timeout(add: Add) -> None:
    resource = await add(ScriptedCamera())
    with pytest.raises(ViamGRPCError, match="timeout") as refused:
        await resource.do_command({"command": "get-storage-state"}, timeout=0)
    assert refused.value.grpc_code is Status.DEADLINE_EXCEEDED


async def test_the_latest_image_is_shown_and_its_source_can_be_asked_for(add: Add) -> None:
    images, metadata = answer(START_US)
    resource = await add(ScriptedCamera((images, metadata)))
    await until(lambda: resource._source is not None and resource._source.latest is not None)
    assert await resource.get_images() == ([images[0]], metadata)
    assert await resource.get_images(filter_source_names=["color"]) == ([images[0]], metadata)
    assert await resource.get_images(filter_source_names=["depth"]) == ([], metadata)
    properties = await resource.get_properties()
    size = properties.intrinsic_parameters
    assert ((size.width_px, size.height_px), properties.mime_types) == (SMALL, ["image/jpeg"])


async def test_without_an_image_the_error_says_why(add: Add, attributes: Attributes) -> None:
    resource = await add(ScriptedCamera(hang))
    with pytest.raises(ViamGRPCError) as refused:
        await resource.get_images()
    assert refused.value.message == "No image yet: the camera was just asked for its first."
    await resource.close()
    broken = [GRPCError(Status.UNAVAILABLE, "out of order")] * 1000
    resource = await add(ScriptedCamera(*broken))
    await until(lambda: resource._source is not None and resource._source.fault)
    with pytest.raises(ViamGRPCError) as refused:
        await resource.get_images()
    assert refused.value.message == "No image yet: camera 'cam' returned an error: out of order."
    await resource.close()
    del attributes["camera"]
    resource = await add(ScriptedCamera())
    with pytest.raises(ViamGRPCError, match="No camera is configured"):
        await resource.get_images()


async def test_a_point_cloud_is_not_supported_and_there_is_no_geometry(attributes: Attributes) -> None:
    resource = StorageCamera.new(config(attributes), dependencies(ScriptedCamera()))
    with pytest.raises(NotSupportedError):
        await resource.get_point_cloud()
    assert await resource.get_geometries() == []


async def test_the_log_says_once_for_each_recorder_of_images_that_there_is_source(
    attributes: Attributes, caplog: pytest.LogCaptureFixture
) -> None:
    def lines(words: str) -> int:
        return sum(words in one.getMessage() for one in caplog.records)

    camera = ScriptedCamera(answer(START_US))
    for starts in (1, 2):
        made = ComponentConfig(name="told", attributes=dict_to_struct(attributes))
        resource = StorageCamera.new(made, {Camera.get_resource_name("cam"): camera})
        resource.logger.setLevel(logging.INFO)
        await resource.start()
        await until(lambda starts=starts: lines("Not uploading") == starts)  # type: ignore[misc]
        await resource.close()
    assert lines("set the attribute source to the URL of its stream") == 1
