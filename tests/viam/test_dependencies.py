"""Which dependency an attribute names, however viam-server writes it."""

from __future__ import annotations

import pytest
from viam.proto.common import ResourceName
from viam.resource.types import resource_name_from_string

from tests.support.attributes import valid_attributes
from videostore.base.errors import ConfigError
from videostore.config import Config, parse_config
from videostore.viam.dependencies import find_camera, find_data_manager, names_like, optional_dependencies

CAM, DOOR, MANAGER = "rdk:component:camera/cam", "rdk:component:camera/door", "rdk:service:data_manager/data-manager"


def config(**changes: object) -> Config:
    return parse_config("store", {**valid_attributes(), **changes})[0]


def names(*full: str) -> list[ResourceName]:
    return [resource_name_from_string(name) for name in full]


def test_viam_server_is_told_of_the_camera_and_the_data_manager() -> None:
    assert optional_dependencies(config()) == ["cam", "data-manager"]
    assert optional_dependencies(config(camera=None)) == ["data-manager"]


@pytest.mark.parametrize(
    ("wanted", "given", "found"),
    [
        ("cam", [DOOR, CAM], [CAM]),
        ("cam", ["rdk:component:camera/there:cam", CAM], [CAM, "rdk:component:camera/there:cam"]),
        ("cam", ["rdk:component:camera/there:cam"], ["rdk:component:camera/there:cam"]),
        ("there:cam", [CAM], [CAM]),
        ("there:cam", [CAM, "rdk:component:camera/there:cam"], ["rdk:component:camera/there:cam", CAM]),
        (CAM, ["rdk:service:vision/cam", CAM], [CAM]),
        ("rdk:component:camera/there:cam", ["rdk:component:camera/there:cam"], ["rdk:component:camera/there:cam"]),
        ("cam", ["rdk:component:camera/camera", DOOR], []),
    ],
)
def test_a_name_stands_for_the_most_similar_resource(wanted: str, given: list[str], found: list[str]) -> None:
    assert names_like(wanted, names(*given)) == names(*found)


def test_the_camera_and_the_data_manager_are_found_or_missing() -> None:
    assert find_camera(config(), names(MANAGER, CAM)) == names(CAM)[0]
    assert find_data_manager(config(), names(CAM, MANAGER)) == names(MANAGER)[0]
    assert find_camera(config(), names(MANAGER)) is None and find_data_manager(config(), names(CAM)) is None
    assert find_camera(config(camera=None), names(CAM)) is None


def test_a_camera_and_a_data_manager_of_one_name_are_told_apart() -> None:
    given = names("rdk:service:data_manager/cam", CAM)
    assert find_camera(config(sync="cam"), given) == given[1]
    assert find_data_manager(config(sync="cam"), given) == given[0]


def test_the_name_of_another_kind_of_resource_is_refused() -> None:
    with pytest.raises(ConfigError, match="camera is 'cam', which is a sensor") as refused:
        find_camera(config(), names("rdk:component:sensor/cam"))
    assert refused.value.code == "camera-wrong"
    with pytest.raises(ConfigError) as refused:
        find_data_manager(config(sync="cam"), names(CAM))
    assert refused.value.code == "data-manager-wrong"
