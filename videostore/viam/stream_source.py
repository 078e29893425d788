"""The attribute `source`: its check, and the stream that it makes. What reads streams is imported for the first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from grpclib.exceptions import GRPCError, StreamTerminatedError
from viam.components.camera import Camera
from viam.errors import ViamGRPCError
from viam.media.video import CameraMimeType, NamedImage
from viam.proto.common import ResponseMetadata

from videostore.base.clock import Clock
from videostore.base.constants import CAMERA_SILENCE_S
from videostore.base.errors import ConfigError, RequestError
from videostore.base.tasks import off_loop
from videostore.config import Config, SourceConfig
from videostore.config.source import EXPECTED, NAME_EXPECTED
from videostore.ffmpeg.encoder import Encoder, choose_encoder, preferred_encoder
from videostore.ffmpeg.known_options import OptionFault, option_fault
from videostore.ffmpeg.process import check_version, find_ffmpeg, list_encoders
from videostore.viam.poller import LatestImage

if TYPE_CHECKING:
    from videostore.sources.camera_stream import CameraStream

CAMERA_ERRORS = (GRPCError, StreamTerminatedError, ViamGRPCError, OSError, asyncio.TimeoutError)

_FORMAT = "f"
_DEVICES = "/dev/"
_FILE_FORMATS = ("lavfi", "concat", "image2", "hls", "dash")
_FILE_NAMES = (".m3u8", ".m3u", ".mpd", ".mp4", ".mov", ".mkv", ".webm", ".avi")
"""How the path of a URL ends that is a file or a playlist over HTTP, unless a format is named."""
_NO_FILE = (
    "the URL of a stream, such as rtsp://host/path: files and playlists (HLS, DASH) do not tell when their frames were "
    "captured"
)


def check_source(source: SourceConfig) -> None:
    """Check that a source is a stream or a device, as far as can be seen. Blocking, briefly.

    Raises:
        ConfigError: it is not. The error shows no password.
    """
    from videostore.sources.hidden_input import SCHEMES_OF_STREAMS
    from videostore.sources.input_url import Address

    options = dict(source.options)
    format = options.pop(_FORMAT, None)
    try:
        address = Address(source.url, options, format)
    except RequestError as error:
        if error.code == "input-option":
            raise ConfigError(
                "attribute-entry-wrong", attribute="source_options", value=error.value, expected=NAME_EXPECTED
            ) from error
        raise ConfigError("attribute-wrong", attribute="source", value=error.input, expected=EXPECTED) from error
    if format in _FILE_FORMATS:
        expected = "the format of a stream or a device"
        raise ConfigError("attribute-wrong", attribute="source_options.f", value=format, expected=expected)
    known = address.scheme in SCHEMES_OF_STREAMS if address.scheme else source.url.startswith(_DEVICES) or format
    path = urlsplit(source.url).path if address.scheme in ("http", "https") else ""
    if path.lower().endswith(_FILE_NAMES) and not format:
        raise ConfigError("attribute-wrong", attribute="source", value=str(address), expected=_NO_FILE)
    if address.is_file or not known:
        raise ConfigError("attribute-wrong", attribute="source", value=str(address), expected=EXPECTED)


async def open_source(config: Config, source: SourceConfig, clock: Clock, logger: logging.Logger) -> CameraStream:
    """The stream of a source that was checked. It is not opened before it is recorded.

    Raises:
        ConfigError: this ffmpeg does not have an option, or the encoder, if everything has to be encoded.
        FFmpegError: there is no ffmpeg that can be used.
    """
    binary = await off_loop(find_ffmpeg)
    await check_version(binary)
    if fault := await option_fault(binary, {name: value for name, value in source.options if name != _FORMAT}):
        raise _option_error(fault)
    video = config.video
    choose = choose_encoder if source.reencode else preferred_encoder
    encoder = Encoder(choose(video.codec, await list_encoders(binary)), video.bitrate, video.preset, config.framerate)
    options = dict(source.options)
    format = options.pop(_FORMAT, None)

    def make() -> CameraStream:
        from videostore.sources.camera_stream import CameraStream
        from videostore.sources.ffmpeg_input import FFmpegInput

        input = FFmpegInput(
            source.url,
            binary=binary,
            encoder=encoder,
            clock=clock,
            logger=logger,
            options=options,
            format=format,
            reencode=source.reencode,
            streams_only=True,
            sound=config.audio,
        )
        return CameraStream(input, binary)

    return await off_loop(make)


def _option_error(fault: OptionFault) -> ConfigError:
    if fault.value is None:
        similar = f", such as {fault.expected}" if fault.expected else ""
        expected = f"an option that this ffmpeg has for an input{similar}"
        return ConfigError("attribute-entry-wrong", attribute="source_options", value=fault.name, expected=expected)
    attribute = f"source_options.{fault.name}"
    return ConfigError("attribute-wrong", attribute=attribute, value=fault.value, expected=fault.expected)


async def newest_image(stream: CameraStream) -> LatestImage | None:
    """The newest keyframe of a stream; None before the first.

    Raises:
        FFmpegError: it cannot be decoded.
    """
    found = await stream.still()
    if found is None:
        return None
    keyframe, picture = found
    metadata = ResponseMetadata()
    metadata.captured_at.FromMicroseconds(keyframe.captured_us)
    size = keyframe.format.width, keyframe.format.height
    return LatestImage(NamedImage("", picture, CameraMimeType.JPEG), metadata, keyframe.captured_us, *size)


async def camera_images(
    camera: Camera, source_name: str | None, filter_source_names: Sequence[str] | None, timeout_s: float | None
) -> tuple[Sequence[NamedImage], ResponseMetadata]:
    """What a camera that stands beside the stream answers; of several images, the one that the config names.

    Raises:
        CAMERA_ERRORS: it does not answer in time, or not with images.
    """
    within_s = CAMERA_SILENCE_S if timeout_s is None else min(timeout_s, CAMERA_SILENCE_S)
    images, metadata = await asyncio.wait_for(camera.get_images(), within_s)
    wanted = [image for image in images if source_name in (None, image.name)]
    if filter_source_names:
        wanted = [image for image in wanted if image.name in filter_source_names]
    return wanted, metadata
