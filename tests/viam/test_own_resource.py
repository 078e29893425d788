"""What the module can ask of every resource of its own."""

from __future__ import annotations

import inspect

import pytest
from viam.proto.app.robot import ComponentConfig
from viam.utils import ValueTypes, dict_to_struct

from videostore.viam.camera import StorageCamera
from videostore.viam.own_resource import SERVICE_MODEL, STORAGE_MODEL, OwnResource
from videostore.viam.refusal import Refusal
from videostore.viam.video_service import VideoStorage


@pytest.mark.parametrize("kind", [StorageCamera, VideoStorage])
def test_each_kind_does_all_that_is_asked(kind: type[OwnResource]) -> None:
    assert OwnResource in kind.mro() and not inspect.isabstract(kind)


def test_the_models_are_those_that_configs_name() -> None:
    assert (str(STORAGE_MODEL), str(SERVICE_MODEL)) == ("viam:video:storage", "viam:video:service")
    assert (StorageCamera.MODEL, VideoStorage.MODEL) == (STORAGE_MODEL, SERVICE_MODEL)


def config(kind: type[OwnResource], **attributes: ValueTypes) -> ComponentConfig:
    return ComponentConfig(name="one", model=str(kind.MODEL), attributes=dict_to_struct(attributes))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        (StorageCamera, {"camera": "cam", "sync": "data", "storage": {"size_gb": 1}}),
        (VideoStorage, {"recorder": "cam"}),
    ],
)
def test_what_was_prepared_is_taken_once_and_can_be_forgotten(
    kind: type[OwnResource], attributes: dict[str, ValueTypes]
) -> None:
    asked = config(kind, **attributes)
    for end in (kind.parsed, kind.forget):
        kind.prepare(asked)
        assert len(OwnResource._prepared) == 1
        end(asked)
        assert not OwnResource._prepared
    assert kind.parsed(asked) == kind.parse(asked)
    with pytest.raises(Refusal):
        kind.prepare(config(kind, recorder=1, camera=1))
    assert not OwnResource._prepared
