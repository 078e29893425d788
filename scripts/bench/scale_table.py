"""The table of `scale`: a line for each cost, a value for each size, and the targets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scripts.bench.segments import (
    CLIP_S,
    FRAMES_PER_SECOND,
)
from videostore.storage.maintenance import RESCAN_INTERVAL_S

TARGET_GROWTH, TARGET_REBUILD, TARGET_START_S, TARGET_STATE_S, TARGET_IDLE = 2.0, 200.0, 3.0, 0.1, 0.01


TARGET_ANSWER_S, TARGET_BLOCKED_S, TARGET_INTERVAL_S = 1.0, 1 / FRAMES_PER_SECOND, 2.5 / FRAMES_PER_SECOND
"""Answers come from the first second on. The event loop is never blocked for longer than the interval of two frames, so
that no request to a camera is a whole frame late."""


_NEGLIGIBLE = {"ms": 0.0005, "%": 0.002}
"""A smaller growth is noise, whatever its ratio."""


@dataclass
class Disturbance:
    """How other work disturbed the recording, in seconds and frames."""

    blocked: float = 0.0
    """The longest time for which the event loop was blocked."""
    lost: int = 0
    """Frames that are in no segment, although a later frame is."""
    interval: float = 0.0
    """The longest interval between two recorded frames."""


@dataclass
class Figures:
    """The measured values for one size, in seconds unless it says otherwise."""

    rebuilt_per_s: float = 0.0
    rebuild_first_fetch: float = 0.0
    rebuild_states: list[float] = field(default_factory=list)
    rebuild_fetches: list[float] = field(default_factory=list)
    rebuild: Disturbance = field(default_factory=Disturbance)
    start: float = 0.0
    walk: float = 0.0
    walk_cpu: float = 0.0
    walk_blocked: float = 0.0
    idle: float = 0.0
    """Share of a core."""
    new: list[float] = field(default_factory=list)
    new_cpu: float = 0.0
    states: list[float] = field(default_factory=list)
    plans: list[float] = field(default_factory=list)
    fetches: list[float] = field(default_factory=list)
    deleting: float = 0.0
    """Per segment."""
    quota: Disturbance = field(default_factory=Disturbance)


@dataclass(frozen=True)
class Line:
    """One line of the table: a value for each size, and the target."""

    name: str
    unit: str
    values: tuple[float, ...]
    limit: float | None = None
    at_least: bool = False
    """Whether the limit is a minimum."""
    steady: bool = False
    """Whether the value must not grow by more than `TARGET_GROWTH`."""

    @property
    def growth(self) -> float | None:
        """The value of the last size divided by that of the first."""
        return self.values[-1] / self.values[0] if self.values[0] else None

    @property
    def ok(self) -> bool | None:
        """Whether the target is met; None for a line without a target."""
        held = []
        if self.limit is not None:
            held.append(min(self.values) >= self.limit if self.at_least else max(self.values) <= self.limit)
        if self.steady:
            slight = self.values[-1] - self.values[0] <= _NEGLIGIBLE.get(self.unit, 0)
            held.append(slight or (self.growth or 0) <= TARGET_GROWTH)
        return all(held) if held else None

    @property
    def cells(self) -> list[str]:
        """Name, values, growth, target, and whether it is met."""
        targets = []
        if self.limit is not None:
            targets.append(f"{'≥' if self.at_least else '≤'} {_shown(self.limit, self.unit)}")
        if self.steady:
            targets.append(f"growth ≤ {TARGET_GROWTH:g} x")
        growth = "-" if self.growth is None else f"{self.growth:.2f}"
        ok = {True: "yes", False: "NO", None: "-"}[self.ok]
        return [self.name, *(_shown(v, self.unit) for v in self.values), growth, ", ".join(targets) or "-", ok]


def describe(found: Sequence[Figures]) -> list[Line]:
    """The lines of the table, from the values for each size."""

    def each(value: Callable[[Figures], float]) -> tuple[float, ...]:
        return tuple(map(value, found))

    def best(values: Callable[[Figures], Sequence[float]]) -> tuple[float, ...]:
        # Other programs on the machine can only add to it, and not equally for each size.
        return tuple(min(values(one)) for one in found)

    def worst(values: Callable[[Figures], Sequence[float]]) -> tuple[float, ...]:
        return tuple(max(values(one), default=0.0) for one in found)

    return [
        Line("rebuild", "/s", each(lambda f: f.rebuilt_per_s), TARGET_REBUILD, at_least=True),
        Line(
            "rebuild: newest minute can be fetched after", "s", each(lambda f: f.rebuild_first_fetch), TARGET_ANSWER_S
        ),
        Line("rebuild: slowest fetch of it", "ms", worst(lambda f: f.rebuild_fetches), TARGET_ANSWER_S),
        Line("rebuild: slowest state", "ms", worst(lambda f: f.rebuild_states), TARGET_STATE_S),
        Line("rebuild: event loop blocked for", "ms", each(lambda f: f.rebuild.blocked), TARGET_BLOCKED_S),
        Line("rebuild: frames lost", "", each(lambda f: f.rebuild.lost), 0),
        Line("rebuild: longest interval recorded", "ms", each(lambda f: f.rebuild.interval), TARGET_INTERVAL_S),
        Line("start with an intact index", "s", each(lambda f: f.start), TARGET_START_S),
        Line("walk: duration", "s", each(lambda f: f.walk)),
        Line("walk: CPU", "s", each(lambda f: f.walk_cpu)),
        Line("walk: event loop blocked for", "ms", each(lambda f: f.walk_blocked), TARGET_BLOCKED_S),
        Line("idle CPU", "%", each(lambda f: f.idle), TARGET_IDLE, steady=True),
        Line(
            f"idle CPU, with a walk each {RESCAN_INTERVAL_S:g} s",
            "%",
            each(lambda f: f.idle + f.walk_cpu / RESCAN_INTERVAL_S),
            TARGET_IDLE,
        ),
        Line("new segment: until it is indexed, best", "ms", best(lambda f: f.new), steady=True),
        Line("new segment: CPU", "ms", each(lambda f: f.new_cpu), steady=True),
        Line("state: best", "ms", best(lambda f: f.states), steady=True),
        Line("state: slowest", "ms", worst(lambda f: f.states), TARGET_STATE_S),
        Line(f"select for {CLIP_S} s: best", "ms", best(lambda f: f.plans), steady=True),
        Line(f"fetch of {CLIP_S} s: best", "ms", best(lambda f: f.fetches), steady=True),
        Line("quota: per deleted segment", "µs", each(lambda f: f.deleting), steady=True),
        Line("quota: event loop blocked for", "ms", each(lambda f: f.quota.blocked), TARGET_BLOCKED_S),
        Line("quota: frames lost", "", each(lambda f: f.quota.lost), 0),
        Line("quota: longest interval recorded", "ms", each(lambda f: f.quota.interval), TARGET_INTERVAL_S),
    ]


def format_lines(headings: Sequence[str], found: Sequence[Line]) -> str:
    """The lines in columns, below their headings."""
    lines = [list(headings), *(line.cells for line in found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    written = [" | ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "\n".join([written[0], "-+-".join("-" * width for width in widths), *written[1:]])


def _shown(value: float, unit: str) -> str:
    if unit == "ms":
        return f"{value * 1000:.1f} ms"
    if unit == "µs":
        return f"{value * 1e6:.0f} µs"
    if unit == "%":
        return f"{value * 100:.2f} %"
    if unit == "s":
        return f"{value:.2f} s"
    return f"{value:,.0f}{unit}"
