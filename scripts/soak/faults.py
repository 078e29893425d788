"""The faults of the soak, the frames that each may cost, and their order for a seed."""

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass

US = 1_000_000


@dataclass(frozen=True)
class Kind:
    """A kind of fault. It may cost frames from `lost_before_s` before it until recording has resumed.

    `lost_before_s` is None if it may cost no frame. `hold_s` is its shortest and longest duration in seconds. Recording
    must have resumed `back_s` after its end.
    """

    name: str
    lost_before_s: float | None
    why: str
    hold_s: tuple[float, float] = (0.0, 0.0)
    back_s: float = 15.0
    restarts: bool = False


# ffmpeg holds the open fragment, one second, until the next keyframe. The rest is in the pipe and on the disk.
FRAGMENT_S = 2.0
# When the module ends in order, every image that arrived is written. One can be in transit over the socket.
IN_TRANSIT_S = 0.3

KINDS = (
    Kind("camera-error", None, "the camera delivers nothing", (1.5, 8)),
    Kind("camera-hang", None, "the camera delivers nothing", (3, 12)),
    Kind("camera-empty", None, "the camera delivers nothing", (1.5, 6)),
    Kind("camera-garbage", None, "its answers are not images", (1.5, 6)),
    Kind("camera-truncated", None, "its images are incomplete", (1.5, 6)),
    Kind("camera-frozen", None, "it repeats an image", (3, 8)),
    Kind("wrong-mime", None, "the bytes decide, and they are right", (3, 8)),
    Kind("size-change", None, "images between two runs wait in the backlog", (3, 8)),
    Kind("gray", None, "the images are good, only without colour", (3, 8)),
    Kind("slow-camera", None, "every frame is recorded, however rare", (8, 14)),
    Kind("fast-camera", None, "the module asks at its configured rate", (3, 8)),
    Kind("ffmpeg-killed", FRAGMENT_S, "the open fragment was in ffmpeg, and a new ffmpeg needs time to start"),
    Kind("ffmpeg-stopped", FRAGMENT_S, "it is killed after 10 s, and the backlog holds 20 frames", back_s=20.0),
    Kind("module-terminated", IN_TRANSIT_S, "images in transit at SIGTERM", back_s=30.0, restarts=True),
    Kind("module-killed", FRAGMENT_S, "images in transit to ffmpeg are lost", back_s=30.0, restarts=True),
    Kind("all-killed", FRAGMENT_S, "the open fragment was in ffmpeg", back_s=30.0, restarts=True),
    Kind("reconfigured", IN_TRANSIT_S, "images in transit while the resource is recreated", back_s=20.0),
    Kind("index-deleted", None, "the index is a cache of the files"),
    Kind("index-garbage", None, "the index is a cache of the files"),
    Kind("index-deleted-at-rest", IN_TRANSIT_S, "images in transit at SIGTERM", back_s=30.0, restarts=True),
    Kind("index-garbage-at-rest", IN_TRANSIT_S, "images in transit at SIGTERM", back_s=30.0, restarts=True),
    Kind("index-locked", None, "segments are indexed when the lock is released", (2, 9)),
    Kind("foreign-files", None, "foreign files are left alone"),
    Kind("segment-truncated", None, "only the frames of the destroyed segment"),
    Kind("segment-removed", None, "only the frames of the destroyed segment"),
    Kind("concurrent-requests", None, "recording has priority over cutting"),
    Kind("cancelled-requests", None, "recording has priority over cutting"),
    Kind("disk-full", FRAGMENT_S, "there is no space, and segments are deleted to make some", (4, 8), back_s=45.0),
)
BY_NAME = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class Fault:
    """One fault: the calm before it, its duration, and the seed for everything random in it."""

    number: int
    kind: Kind
    calm_s: float
    hold_s: float
    seed: int


@dataclass(frozen=True)
class Excuse:
    """Frames captured in [from_us, to_us), microseconds since 1970, may be missing because of `fault`."""

    from_us: int
    to_us: int
    fault: str


def schedule(
    seed: int, seconds: float, names: Collection[str], calm_s: tuple[float, float] = (10.0, 25.0)
) -> Iterator[Fault]:
    """An endless order of faults for a soak of `seconds`. The same arguments give the same order.

    Every kind occurs before one occurs again. The first half of the time is without restarts, so that a leak in the
    module has time to show.
    """
    dice = random.Random(seed)
    bag: list[Kind] = []
    at_s, number = 0.0, 0
    while True:
        may_restart = at_s >= seconds / 2
        fitting = [kind for kind in bag if may_restart or not kind.restarts]
        if not fitting:
            fresh = [kind for kind in KINDS if kind.name in names]
            if not any(may_restart or not kind.restarts for kind in fresh):
                may_restart = True
            bag += fresh
            fitting = [kind for kind in bag if may_restart or not kind.restarts]
        kind = dice.choice(fitting)
        bag.remove(kind)
        number += 1
        fault = Fault(number, kind, dice.uniform(*calm_s), dice.uniform(*kind.hold_s), dice.getrandbits(32))
        # An estimate of its time: with the real time the order would depend on the machine.
        at_s += fault.calm_s + fault.hold_s + 3.0
        yield fault
