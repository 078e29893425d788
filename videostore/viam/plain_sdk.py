"""Makes plain what the SDK itself says: the errors that it answers with, and what it prints in viam-server's log.

The SDK answers an exception with its class, file and line, which tell a user of the machine nothing. Until the module
is connected to viam-server, its log goes to standard output in colours, which viam-server shows as escape sequences.
"""

from __future__ import annotations

import asyncio
import logging as python_logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import viam.logging
import viam.rpc.server
from grpclib import GRPCError, Status
from h2.exceptions import StreamClosedError
from viam.errors import DuplicateResourceError, ViamGRPCError

from videostore.base.errors import reason_of

_LOGGER = viam.logging.getLogger(__name__)
_SERVER = "viam.rpc.server"
_ADDRESS = "Serving on "


def make_plain() -> Callable[[], None]:
    """Make it plain from now on, before the SDK's server is made. Returns a function that undoes it."""
    wrapper, formatter = viam.rpc.server._grpc_error_wrapper, viam.logging._ColorFormatter
    server = viam.logging.getLogger(_SERVER)
    viam.rpc.server._grpc_error_wrapper = _with_plain_errors  # type: ignore[assignment]
    if not sys.stdout.isatty():  # otherwise a person started the module, and looks for its address
        viam.logging._ColorFormatter = python_logging.Formatter  # type: ignore[misc,assignment]
        server.addFilter(_is_news)
        viam.logging._addHandlers(viam.logging.LOGGERS.values())

    def undo() -> None:
        viam.rpc.server._grpc_error_wrapper = wrapper
        viam.logging._ColorFormatter = formatter  # type: ignore[misc]
        server.removeFilter(_is_news)
        viam.logging._addHandlers(viam.logging.LOGGERS.values())

    return undo


def _is_news(record: python_logging.LogRecord) -> bool:
    """Whether viam-server does not know it already: it has chosen the address itself."""
    return not record.getMessage().startswith(_ADDRESS)


def _with_plain_errors(answer: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def answer_plainly(*arguments: Any, **named: Any) -> Any:
        try:
            return await answer(*arguments, **named)
        except GRPCError:
            raise
        except ViamGRPCError as error:
            raise error.grpc_error from error
        except DuplicateResourceError as error:
            raise GRPCError(Status.ALREADY_EXISTS, f"{reason_of(error)}.") from error
        except NotImplementedError as error:
            raise GRPCError(Status.UNIMPLEMENTED, "This component does not support that.") from error
        except StreamClosedError as error:  # the client has left while it was answered, which is no fault
            raise asyncio.CancelledError from error
        except Exception as error:
            _LOGGER.exception("A request failed unexpectedly.")
            raise GRPCError(Status.INTERNAL, f"The request failed: {reason_of(error).rstrip('.')}.") from error

    return answer_plainly
