"""What the module knows of its kinds of resource before one is configured."""

from __future__ import annotations

import json
import subprocess
import sys

from viam.components.camera import Camera
from viam.proto.app.robot import ComponentConfig

from tests.support.checkout import ROOT
from videostore.viam.camera import StorageCamera
from videostore.viam.kinds import is_service, kind_of, name_of
from videostore.viam.video_api import Video
from videostore.viam.video_service import VideoStorage

RECORDS = {"av", "aiosqlite", "ffmpeg", "videostore.store.store", "videostore.viam.camera", "watchdog"}
"""What only a recorder needs, of its own packages and of others."""


def test_a_config_has_the_kind_and_the_name_of_its_api() -> None:
    camera = ComponentConfig(name="door", api=str(Camera.API))
    assert kind_of(camera) is StorageCamera and not is_service(camera)
    assert name_of(camera) == Camera.get_resource_name("door")
    service = ComponentConfig(name="door", api=str(Video.API))
    assert kind_of(service) is VideoStorage and is_service(service)
    assert name_of(service) == Video.get_resource_name("door")


def test_a_module_without_a_recorder_has_not_imported_one() -> None:
    code = "import json, sys, videostore.viam.module as m; m.kinds.register(); print(json.dumps(sorted(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    imported = set(json.loads(shown))
    assert "videostore.viam.kinds" in imported and not imported & RECORDS


def test_a_recorder_of_a_camera_has_not_imported_what_reads_streams() -> None:
    code = "import sys, videostore.viam.camera; print([one for one in sys.modules if '.sources.' in one])"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
