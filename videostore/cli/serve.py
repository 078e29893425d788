"""`videostore serve`: runs the Viam module by hand, as viam-server does."""

from __future__ import annotations

from typing import NoReturn


def serve(socket: str, log_level: str, *, tcp_mode: bool) -> NoReturn:
    """Run the module; never returns. Imports what no other command needs."""
    from videostore.viam.module import main

    main([socket, "--log-level", log_level, *(["--tcp-mode"] if tcp_mode else [])])
    raise SystemExit(1)
