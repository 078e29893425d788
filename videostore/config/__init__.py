"""The machine config of one recorder: its attributes, their defaults and limits."""

from videostore.config.attributes import RECORDER, parse_config, parse_recording, parse_video, parse_video_service
from videostore.config.defaults import (
    CAPTURE_PATH,
    DEFAULT_BITRATE,
    DEFAULT_CODEC,
    DEFAULT_FRAMERATE,
    DEFAULT_PRESET,
    DEFAULT_SEGMENT_SECONDS,
    DEFAULT_STORAGE_PATH,
    DEFAULT_UPLOAD_PATH,
    DEFAULT_WEB_HOST,
    DEFAULT_WEB_PORT,
    FORMATS,
    MAX_BITRATE,
    MAX_FRAMERATE,
    MAX_SIZE_GB,
    PRESETS,
    SEGMENT_SECONDS,
)
from videostore.config.model import Config, SourceConfig, StorageConfig, VideoConfig, WebConfig
from videostore.config.section import ATTRIBUTES, WITHOUT_EFFECT, Section
from videostore.config.web import is_loopback, parse_web

__all__ = [
    "ATTRIBUTES",
    "CAPTURE_PATH",
    "DEFAULT_BITRATE",
    "DEFAULT_CODEC",
    "DEFAULT_FRAMERATE",
    "DEFAULT_PRESET",
    "DEFAULT_SEGMENT_SECONDS",
    "DEFAULT_STORAGE_PATH",
    "DEFAULT_UPLOAD_PATH",
    "DEFAULT_WEB_HOST",
    "DEFAULT_WEB_PORT",
    "FORMATS",
    "MAX_BITRATE",
    "MAX_FRAMERATE",
    "MAX_SIZE_GB",
    "PRESETS",
    "RECORDER",
    "SEGMENT_SECONDS",
    "WITHOUT_EFFECT",
    "Config",
    "Section",
    "SourceConfig",
    "StorageConfig",
    "VideoConfig",
    "WebConfig",
    "is_loopback",
    "parse_config",
    "parse_recording",
    "parse_video",
    "parse_video_service",
    "parse_web",
]
