"""Who has given the password, in memory: a restart of the server ends all sessions."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass

from videostore.base.clock import Clock
from videostore.base.constants import US_PER_SECOND

MOST_SESSIONS = 256
"""When there are more, the one that was used the longest ago ends."""
IDLE_US = 12 * 3600 * US_PER_SECOND
LONGEST_US = 7 * 24 * 3600 * US_PER_SECOND
_ID_BYTES = 32


@dataclass(slots=True)
class _Session:
    began_us: int
    used_us: int


class Sessions:
    """Sessions by the digests of their ids, the one used last at the end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()

    def begin(self) -> str:
        """A new session. Returns its id, which is stored nowhere here."""
        now_us = self._clock.monotonic_us()
        session_id = secrets.token_urlsafe(_ID_BYTES)
        self._sessions[_key(session_id)] = _Session(now_us, now_us)
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return session_id

    def is_open(self, session_id: str) -> bool:
        """Whether this is the id of a session. It counts as used."""
        key, now_us = _key(session_id), self._clock.monotonic_us()
        session = self._sessions.get(key)
        if session is None:
            return False
        if now_us - session.used_us > IDLE_US or now_us - session.began_us > LONGEST_US:
            del self._sessions[key]
            return False
        session.used_us = now_us
        self._sessions.move_to_end(key)
        return True

    def end(self, session_id: str) -> None:
        """End a session, if this is the id of one."""
        self._sessions.pop(_key(session_id), None)

    def __len__(self) -> int:
        return len(self._sessions)


def _key(session_id: str) -> bytes:
    return hashlib.sha256(session_id.encode(errors="surrogatepass")).digest()
