"""Which faults the soak makes, which frames each may cost, and in what order they come for a seed."""

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass

US = 1_000_000


@dataclass(frozen=True)
class Kind:
    """A kind of fault. Frames are lost by design only from `lost_before_s` before it until recording is on again.

    `lost_before_s` is None where no frame at all may be lost. `hold_s` are the shortest and the longest time that the
    fault lasts, in seconds; recording must be on again `back_s` after its end.
    """

    name: str
    lost_before_s: float | None
    why: str
    hold_s: tuple[float, float] = (0.0, 0.0)
    back_s: float = 15.0
    restarts: bool = False


# The open fragment, one second, is in ffmpeg until its next keyframe; the pipe and the disk hold the rest.
FRAGMENT_S = 2.0
# An orderly end writes all that arrived; a picture may be on the way over the socket just then.
ON_THE_WAY_S = 0.3

KINDS = (
    Kind("camera-error", None, "the camera delivers nothing meanwhile", (1.5, 8)),
    Kind("camera-hang", None, "the camera delivers nothing meanwhile", (3, 12)),
    Kind("camera-empty", None, "the camera delivers nothing meanwhile", (1.5, 6)),
    Kind("camera-garbage", None, "what it delivers is no picture", (1.5, 6)),
    Kind("camera-truncated", None, "what it delivers is no whole picture", (1.5, 6)),
    Kind("camera-frozen", None, "what it delivers was delivered before", (3, 8)),
    Kind("wrong-mime", None, "the bytes are right, and they decide", (3, 8)),
    Kind("size-change", None, "what arrives between two runs waits in the backlog", (3, 8)),
    Kind("gray", None, "the pictures are good, without colour", (3, 8)),
    Kind("slow-camera", None, "each frame counts, however seldom one comes", (8, 14)),
    Kind("fast-camera", None, "the module asks as often as it is told to", (3, 8)),
    Kind("ffmpeg-killed", FRAGMENT_S, "the open fragment was in ffmpeg, and a new one takes its time"),
    Kind("ffmpeg-stopped", FRAGMENT_S, "it is killed after 10 s; the backlog holds 20 frames", back_s=20.0),
    Kind("module-terminated", ON_THE_WAY_S, "pictures on their way at SIGTERM", back_s=30.0, restarts=True),
    Kind("module-killed", FRAGMENT_S, "what was on its way to ffmpeg is gone", back_s=30.0, restarts=True),
    Kind("all-killed", FRAGMENT_S, "the open fragment was in ffmpeg", back_s=30.0, restarts=True),
    Kind("reconfigured", ON_THE_WAY_S, "pictures on their way while the resource is made anew", back_s=20.0),
    Kind("index-deleted", None, "the index is a cache of the files"),
    Kind("index-garbage", None, "the index is a cache of the files"),
    Kind("index-deleted-at-rest", ON_THE_WAY_S, "pictures on their way at SIGTERM", back_s=30.0, restarts=True),
    Kind("index-garbage-at-rest", ON_THE_WAY_S, "pictures on their way at SIGTERM", back_s=30.0, restarts=True),
    Kind("index-locked", None, "segments are taken in when the lock is gone", (2, 9)),
    Kind("foreign-files", None, "what is not the module's is left alone"),
    Kind("segment-truncated", None, "only the frames of that segment, which somebody else destroyed"),
    Kind("segment-removed", None, "only the frames of that segment, which somebody else destroyed"),
    Kind("concurrent-requests", None, "recording comes before cutting"),
    Kind("cancelled-requests", None, "recording comes before cutting"),
    Kind("disk-full", FRAGMENT_S, "there is no room; and what was deleted to make some", (4, 8), back_s=45.0),
)
BY_NAME = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class Fault:
    """One fault: the `calm_s` before it, how long it lasts, and the seed of what is random within it."""

    number: int
    kind: Kind
    calm_s: float
    hold_s: float
    seed: int


@dataclass(frozen=True)
class Excuse:
    """Frames captured in [from_us, to_us), µs since the Unix epoch, may be missing because of `fault`."""

    from_us: int
    to_us: int
    fault: str


def schedule(
    seed: int, seconds: float, names: Collection[str], calm_s: tuple[float, float] = (10.0, 25.0)
) -> Iterator[Fault]:
    """Faults without end for a soak of `seconds`, the same ones for the same arguments.

    Every kind comes up before one comes up again. The first half of the time goes without restarts, so that what
    grows in the module has time to show.
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
        # The time that it will take is a guess: what really went by would make the order depend on the machine.
        at_s += fault.calm_s + fault.hold_s + 3.0
        yield fault
