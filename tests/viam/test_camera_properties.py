"""What a recorder says of its images: of what it has seen, or as little as that."""

from __future__ import annotations

from viam.media.video import CameraMimeType

from videostore.viam.absent_camera import AbsentCamera
from videostore.viam.camera_properties import properties_of


def test_before_the_first_image_only_the_frame_rate_is_known() -> None:
    for source in (None, AbsentCamera("cam")):
        found = properties_of(source, None, 15)
        assert (found.frame_rate, found.supports_pcd, list(found.mime_types)) == (15.0, False, [CameraMimeType.JPEG])
        assert found.intrinsic_parameters.width_px == 0
