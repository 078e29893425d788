"""What the module can ask of every resource of its own."""

from __future__ import annotations

import inspect

import pytest

from videostore.viam.camera import StorageCamera
from videostore.viam.own_resource import SERVICE_MODEL, STORAGE_MODEL, OwnResource
from videostore.viam.video_service import VideoStorage


@pytest.mark.parametrize("kind", [StorageCamera, VideoStorage])
def test_each_kind_does_all_that_is_asked(kind: type[OwnResource]) -> None:
    assert OwnResource in kind.mro() and not inspect.isabstract(kind)


def test_the_models_are_those_that_configs_name() -> None:
    assert (str(STORAGE_MODEL), str(SERVICE_MODEL)) == ("viam:video:storage", "viam:video:service")
    assert (StorageCamera.MODEL, VideoStorage.MODEL) == (STORAGE_MODEL, SERVICE_MODEL)
