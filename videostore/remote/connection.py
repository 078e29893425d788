"""The connection to a machine: how it is reached, and why that fails."""

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
from pathlib import Path
from typing import Any

from grpclib import GRPCError, Status
from grpclib.client import Channel
from grpclib.events import SendRequest, listen
from viam import logging as viam_logging
from viam.errors import ViamError
from viam.proto.rpc.auth import AuthenticateRequest, AuthServiceStub, Credentials
from viam.robot.client import RobotClient

from videostore.base.errors import MachineError, RequestError, VideoStoreError
from videostore.base.tasks import off_loop
from videostore.remote.call_errors import LOST, message_of, status_of

LOCAL_PORT = 8080
"""Where viam-server listens by default."""

CONNECT_S = 20.0
HANDSHAKE_S = 5.0


@dataclass(frozen=True, slots=True)
class Target:
    """How to reach a machine."""

    address: str
    host: str
    port: int
    api_key: str | None
    api_key_id: str | None

    @property
    def direct(self) -> bool:
        """Whether to connect to the address itself, instead of finding the machine by its name."""
        return self.api_key is None or self.local

    @property
    def local(self) -> bool:
        """Whether it is this computer. Its certificate has another name, but no one else can listen."""
        return self.host == "localhost" or self.host.startswith("127.")


def parse_target(address: str, api_key: str | None, api_key_id: str | None) -> Target:
    """Check how to reach a machine.

    Raises:
        RequestError: the address or the key's id is invalid, or one of key and id is missing.
    """
    found = re.fullmatch(r"(?:[a-z]+://)?([^\s:/@?#]+)(?::(\d{1,5}))?/?", address.strip())
    if found is None or int(found[2] or 1) not in range(1, 1 << 16):
        raise RequestError("address-wrong", value=address)
    if bool(api_key) != bool(api_key_id):
        raise RequestError("key-incomplete")
    if api_key_id:
        try:
            uuid.UUID(api_key_id)
        except ValueError:  # it may be the key, and must not be shown
            raise RequestError("key-id-wrong") from None
    return Target(address, found[1], int(found[2] or LOCAL_PORT), api_key or None, api_key_id or None)


@contextlib.asynccontextmanager
async def dial(target: Target) -> AsyncIterator[RobotClient]:
    """Connect to a machine, until the context ends.

    Raises:
        MachineError: the machine cannot be reached, or refuses the key.
    """
    async with contextlib.AsyncExitStack() as owned:
        with redacted(target.api_key):
            connecting = _dial_directly(target, owned) if target.direct else _dial_by_name(target)
            try:
                robot = await asyncio.wait_for(connecting, CONNECT_S)
            except asyncio.TimeoutError as error:
                raise MachineError("machine-silent", address=target.address) from error
            except (GRPCError, ViamError, OSError, *LOST) as error:
                raise _no_connection(target, error) from error
            owned.push_async_callback(robot.close)
            yield robot


async def _dial_by_name(target: Target) -> RobotClient:
    """Find a machine by its name. The SDK's library does that, in threads that cannot be cancelled."""
    assert target.api_key and target.api_key_id
    options = RobotClient.Options.with_api_key(target.api_key, target.api_key_id, **_settings())
    assert options.dial_options is not None
    options.dial_options.timeout = options.dial_options.initial_connection_attempt_timeout = CONNECT_S
    options.dial_options.initial_connection_attempts = 1
    return await RobotClient.at_address(target.address, options)


async def _dial_directly(target: Target, owned: contextlib.AsyncExitStack) -> RobotClient:
    """Connect to an address. The SDK's function would block the event loop, and sends no key without encryption."""
    channel = Channel(target.host, target.port, ssl=await _tls_context(target))
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
        "check_connection_interval": 0,  # with either of the two the SDK ends the process when it gives up
        "attempt_reconnect_interval": 0,
        "disable_sessions": True,
        "log_level": viam_logging.LOG_LEVEL,
    }


async def _tls_context(target: Target) -> ssl.SSLContext | None:
    """The TLS settings for an address; None if it does not encrypt: machines outside the cloud have no certificate."""
    # First only to see whether it encrypts: nothing is sent.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
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
    return context if target.local else await off_loop(_checking_context)


def _checking_context() -> ssl.SSLContext:
    """TLS settings that check certificates. Reading those of the system takes 20 ms. Blocking."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2"])
    return context


def _no_connection(target: Target, error: Exception) -> MachineError:
    cause = error if isinstance(error, GRPCError) or error.__context__ is None else error.__context__
    if isinstance(cause, GRPCError) and status_of(cause) in (Status.UNAUTHENTICATED, Status.PERMISSION_DENIED):
        if target.api_key is None:
            return MachineError("machine-wants-key", address=target.address)
        return MachineError("machine-refuses-key", address=target.address)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return MachineError("certificate-untrusted", address=target.address)
    if target.direct:
        return MachineError("machine-unreachable", address=f"{target.host}:{target.port}", reason=_reason(cause))
    return MachineError("no-connection", address=target.address)


def _reason(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, OSError) and "Connect call failed" in str(error):  # asyncio's text, for one address or several
        return "nothing answers there"
    return message_of(error)


@contextlib.contextmanager
def redacted(secret: str | None) -> Iterator[None]:
    """Replace a secret in the fields of every error that passes, whichever program put it there."""
    try:
        yield
    except VideoStoreError as error:
        fields = {name: _without(secret, value) for name, value in error.fields.items()} if secret else error.fields
        if fields != error.fields:
            raise type(error)(error.code, **fields) from None
        raise


def _without(secret: str, value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(secret, "…")
    if isinstance(value, Path):
        return Path(str(value).replace(secret, "…"))
    if isinstance(value, (list, tuple)):
        return type(value)(_without(secret, one) for one in value)
    if isinstance(value, dict):
        return {_without(secret, name): _without(secret, one) for name, one in value.items()}
    return value


@contextlib.contextmanager
def quiet_sdk() -> Iterator[None]:
    """Keep the SDK from printing what our errors say anyway, unless our own logger shows debug messages."""
    before, level = viam_logging.LOG_LEVEL, logging.DEBUG
    if not logging.getLogger("videostore").isEnabledFor(logging.DEBUG):
        level = logging.CRITICAL
        os.environ.setdefault("RUST_LOG", "off")  # the SDK's library prints to the standard output
    viam_logging.setLevel(level)
    try:
        yield
    finally:
        viam_logging.setLevel(before)
