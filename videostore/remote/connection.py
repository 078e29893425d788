"""The way to a machine: how it is reached, and in which sentence that fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import socket
import ssl
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from grpclib import GRPCError, Status
from grpclib.client import Channel
from grpclib.events import SendRequest, listen
from grpclib.exceptions import ProtocolError, StreamTerminatedError
from viam import logging as viam_logging
from viam.errors import ViamError
from viam.proto.rpc.auth import AuthenticateRequest, AuthServiceStub, Credentials
from viam.robot.client import RobotClient

from videostore.base.errors import MachineError, RequestError, VideoStoreError, reason_of, shown

LOCAL_PORT = 8080
"""Where viam-server listens if not told otherwise."""
LOST = (StreamTerminatedError, ProtocolError, ConnectionError)
"""What the SDK raises when a connection ends."""

CONNECT_S = 20.0
HANDSHAKE_S = 5.0
_PROXIED = re.compile(r"^(?:rpc error: code = \w+ desc = )+")


@dataclass(frozen=True, slots=True)
class Target:
    """How a machine is to be reached."""

    address: str
    host: str
    port: int
    api_key: str | None
    api_key_id: str | None

    @property
    def direct(self) -> bool:
        """Whether it is asked at its address, and not looked for by its name."""
        return self.api_key is None or self.local

    @property
    def local(self) -> bool:
        """Whether it is this computer: its certificate names another one, and nobody listens in."""
        return self.host == "localhost" or self.host.startswith("127.")

    @property
    def secret(self) -> str | None:
        """What no text may show."""
        return self.api_key


def parse_target(address: str, api_key: str | None, api_key_id: str | None) -> Target:
    found = re.fullmatch(r"(?:[a-z]+://)?([^\s:/@?#]+)(?::(\d{1,5}))?/?", address.strip())
    if found is None or int(found[2] or 1) not in range(1, 1 << 16):
        raise RequestError(f"The machine's address is {shown(address)}: it must be a name, and may have a port.")
    if bool(api_key) != bool(api_key_id):
        raise RequestError("An API key and its id go together, but one of the two is missing.")
    if api_key_id:
        try:
            uuid.UUID(api_key_id)
        except ValueError:  # it may be the key, and is not shown
            raise RequestError(
                "The id of the API key is no UUID: it stands beside the key, and may have been swapped with it."
            ) from None
    return Target(address, found[1], int(found[2] or LOCAL_PORT), api_key or None, api_key_id or None)


@contextlib.asynccontextmanager
async def dial(target: Target) -> AsyncIterator[RobotClient]:
    """A connection to a machine, until the context ends.

    Raises:
        MachineError: none came about.
    """
    async with contextlib.AsyncExitStack() as owned:
        with hidden(target.secret):
            connecting = _dial_directly(target, owned) if target.direct else _dial_by_name(target)
            try:
                robot = await asyncio.wait_for(connecting, CONNECT_S)
            except asyncio.TimeoutError as error:
                raise MachineError(f"The machine at {target.address} does not answer.") from error
            except (GRPCError, ViamError, OSError, *LOST) as error:
                raise _no_connection(target, error) from error
            owned.push_async_callback(robot.close)
            yield robot


async def _dial_by_name(target: Target) -> RobotClient:
    """Find a machine wherever it is; the SDK's own library does it, in threads that cannot be cancelled."""
    assert target.api_key and target.api_key_id
    options = RobotClient.Options.with_api_key(target.api_key, target.api_key_id, **_settings())
    assert options.dial_options is not None
    options.dial_options.timeout = options.dial_options.initial_connection_attempt_timeout = CONNECT_S
    options.dial_options.initial_connection_attempts = 1
    return await RobotClient.at_address(target.address, options)


async def _dial_directly(target: Target, owned: contextlib.AsyncExitStack) -> RobotClient:
    """Connect to an address; the SDK's own way keeps the whole loop waiting, and has no key without encryption."""
    channel = Channel(target.host, target.port, ssl=await _encryption(target))
    owned.callback(channel.close)
    if target.api_key and target.api_key_id:
        credentials = Credentials(type="api-key", payload=target.api_key)
        request = AuthenticateRequest(entity=target.api_key_id, credentials=credentials)
        token = (await AuthServiceStub(channel).Authenticate(request)).access_token

        async def authorize(event: SendRequest) -> None:
            event.metadata["authorization"] = f"Bearer {token}"

        listen(channel, SendRequest, authorize)
    return await RobotClient.with_channel(channel, RobotClient.Options(**_settings()))


def _settings() -> dict[str, Any]:
    return {
        "refresh_interval": 0,
        "check_connection_interval": 0,  # with either of the two the SDK would end the process when it gives up
        "attempt_reconnect_interval": 0,
        "disable_sessions": True,
        "log_level": viam_logging.LOG_LEVEL,
    }


async def _encryption(target: Target) -> ssl.SSLContext | None:
    """How to talk to an address: a machine that is no part of the cloud has no certificate, and does not encrypt."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # asked what it speaks, and told nothing
    context.set_alpn_protocols(["h2"])
    for encrypted in (None, context):
        try:
            connecting = asyncio.open_connection(target.host, target.port, ssl=encrypted)
            _, writer = await asyncio.wait_for(connecting, HANDSHAKE_S)
        except (OSError, asyncio.TimeoutError):
            if encrypted is None:
                raise
            return None
        writer.close()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), HANDSHAKE_S)
    if not target.local:
        context.verify_mode, context.check_hostname = ssl.CERT_REQUIRED, True
    return context


def _no_connection(target: Target, error: Exception) -> MachineError:
    cause = error if isinstance(error, GRPCError) or error.__context__ is None else error.__context__
    if isinstance(cause, GRPCError) and cause.status in (Status.UNAUTHENTICATED, Status.PERMISSION_DENIED):
        if target.api_key is None:
            return MachineError(f"The machine at {target.address} asks for an API key: give one, with its id.")
        return MachineError(
            f"The machine at {target.address} refuses the API key: is it one of this machine's, and its id?"
        )
    if isinstance(cause, ssl.SSLCertVerificationError):
        return MachineError(f"The certificate of the machine at {target.address} is not trusted.")
    if target.direct:
        return MachineError(f"No machine is reached at {target.host}:{target.port}: {_reason(cause)}.")
    return MachineError(
        f"No connection to the machine at {target.address} came about: it is offline, or the address, the API key or "
        "its id is not right."
    )


def _reason(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, OSError) and "Connect call failed" in str(error):  # at one address, or at several
        return "nobody answers there"
    return said(error)


def said(error: BaseException) -> str:
    """What an error says, without what servers on the way have put before it."""
    text = error.message or error.status.name if isinstance(error, GRPCError) else reason_of(error)
    return _PROXIED.sub("", text).rstrip(".")


@contextlib.contextmanager
def hidden(secret: str | None) -> Iterator[None]:
    """Let no error that passes show a secret, whoever put it there."""
    try:
        yield
    except VideoStoreError as error:
        if secret and secret in str(error):
            raise type(error)(str(error).replace(secret, "…")) from None
        raise


@contextlib.contextmanager
def quiet_sdk() -> Iterator[None]:
    """Keep the SDK from printing what an error says anyway, unless our own logger is to tell everything."""
    before, level = viam_logging.LOG_LEVEL, logging.DEBUG
    if not logging.getLogger("videostore").isEnabledFor(logging.DEBUG):
        level = logging.CRITICAL
        os.environ.setdefault("RUST_LOG", "off")  # its own library prints to the standard output
    viam_logging.setLevel(level)
    try:
        yield
    finally:
        viam_logging.setLevel(before)
