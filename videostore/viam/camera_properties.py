"""What a recorder says of its images, as a camera."""

from __future__ import annotations

from typing import TYPE_CHECKING

from viam.components.camera import Camera
from viam.media.video import CameraMimeType

from videostore.viam.absent_camera import AbsentCamera
from videostore.viam.poller import FramePoller

if TYPE_CHECKING:
    from videostore.sources.camera_stream import CameraStream


def properties_of(
    source: FramePoller | AbsentCamera | None, stream: CameraStream | None, framerate: int
) -> Camera.Properties:
    """The size and MIME type of what is recorded, once an image or a keyframe has arrived, and the frame rate."""
    properties = Camera.Properties(supports_pcd=False, frame_rate=float(framerate))
    latest = source.latest if source else None
    keyframe = stream.keyframe if stream else None
    if keyframe is not None:
        properties.intrinsic_parameters.width_px = keyframe.format.width
        properties.intrinsic_parameters.height_px = keyframe.format.height
    if latest is not None:
        properties.intrinsic_parameters.width_px = latest.width
        properties.intrinsic_parameters.height_px = latest.height
        properties.mime_types.append(str(latest.image.mime_type))
    else:
        properties.mime_types.append(str(CameraMimeType.JPEG))
    return properties
