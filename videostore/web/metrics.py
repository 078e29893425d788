"""`/metrics` for Prometheus, and `/healthz` for whatever restarts or alarms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import whole_characters
from videostore.web.figures import Figures, figures_of
from videostore.web.recorders import Recorder, Recorders

_LABEL = "recorder"


@dataclass(frozen=True, slots=True)
class _Described:
    """A metric: what it is called, what it means, and where its value is."""

    name: str
    help: str
    value: Callable[[Figures], float | bool | None]
    counts: bool = False
    """Whether it only grows, until the recorder is configured again."""


METRICS = (
    _Described("recording", "Whether it records: 1 or 0. Absent if nothing is to be recorded.", lambda f: f.recording),
    _Described("readable", "Whether the storage directory can be read: 1 or 0.", lambda f: f.readable),
    _Described("frames", "Frames that were recorded.", lambda f: f.frames, counts=True),
    _Described("dropped_frames", "Frames that ffmpeg was too slow for.", lambda f: f.dropped, counts=True),
    _Described("faulty_frames", "Frames that came damaged and were left out.", lambda f: f.faulty, counts=True),
    _Described("damaged_frames", "Frames that came damaged and were recorded.", lambda f: f.damaged, counts=True),
    _Described("ffmpeg_restarts", "How often ffmpeg failed.", lambda f: f.restarts, counts=True),
    _Described("frames_per_second", "Recorded frames per second, over the last 5 s.", lambda f: f.frames_per_second),
    _Described("pending_saves", "Asynchronous saves that are not done.", lambda f: f.pending_saves),
    _Described("failed_saves", "Saves that failed, of the last ones; at most 5.", lambda f: f.failed_saves),
    _Described("quota_bytes", "How much may be stored.", lambda f: f.quota_bytes),
    _Described("stored_bytes", "How much is stored.", lambda f: f.stored_bytes),
    _Described("segments", "Closed segments that are stored.", lambda f: f.segments),
    _Described("gaps", "Gaps of more than 5 s in what is stored.", lambda f: f.gaps),
    _Described(
        "oldest_timestamp_seconds",
        "When the oldest frame that is stored was captured, in seconds since 1970.",
        lambda f: None if f.oldest_us is None else f.oldest_us / US_PER_SECOND,
    ),
    _Described("newest_age_seconds", "Age of the newest frame that a clip can contain.", lambda f: f.newest_age_s),
)


class _Snapshot(Collector):
    """What is known at one moment."""

    def __init__(self, figures: Mapping[str, Figures]) -> None:
        """By what tells each recorder from the others."""
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for one in METRICS:
            kind = CounterMetricFamily if one.counts else GaugeMetricFamily
            family = kind(f"videostore_{one.name}", one.help, labels=[_LABEL])
            for label, figures in self._figures.items():
                value = one.value(figures)
                if value is not None:
                    family.add_metric([label], float(value))
            yield family


class MetricsRoutes:
    """Answers both, of the recorders that are shown."""

    def __init__(self, recorders: Recorders) -> None:
        self._recorders = recorders

    def routes(self) -> Sequence[web.RouteDef]:
        """What it answers."""
        return [web.get("/metrics", self._metrics), web.get("/healthz", self._health)]

    async def _metrics(self, _: web.Request) -> web.Response:
        registry = CollectorRegistry()
        recorders = list(self._recorders)
        registry.register(_Snapshot(dict(zip(_labels(recorders), await _figures_of(recorders), strict=True))))
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    async def _health(self, _: web.Request) -> web.Response:
        """`ok`, or 503 with how many recorders are not well. It names none: it is told to all who ask."""
        figures = await _figures_of(list(self._recorders))
        unwell = sum(not one.readable or one.recording is False for one in figures)
        if unwell:
            text = f"{unwell} of {len(figures)} recorders cannot be read, or do not record\n"
            return web.Response(text=text, status=503)
        return web.Response(text="ok\n")


async def _figures_of(recorders: Sequence[Recorder]) -> list[Figures]:
    return await asyncio.gather(*map(figures_of, recorders))


def _labels(recorders: Sequence[Recorder]) -> list[str]:
    """Their names, or the ids of those that share one: Prometheus refuses two values of one name. What is no text in
    the name of a directory is replaced."""
    names = [whole_characters(one.name) for one in recorders]
    return [name if names.count(name) == 1 else one.id for name, one in zip(names, recorders, strict=True)]
