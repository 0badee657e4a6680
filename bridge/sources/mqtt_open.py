"""Opening the way to a broker: TCP, then TLS where the URL asks for it, without ever blocking the event loop.

paho would connect with blocking calls. Done here by the loop itself, a connect that hangs can be cancelled at once
and leaves no thread behind that would hold up the end of the program.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

from bridge.errors import ConnectFailed
from bridge.settings import MqttSettings
from bridge.sources.mqtt_url import BrokerUrl


async def open_socket(url: BrokerUrl, settings: MqttSettings) -> socket.socket:
    """A connected, non-blocking socket; for mqtts after a handshake that checked certificate and host name.

    Sets no deadline of its own: the caller has one for everything up to the broker's answer.

    Raises:
        ConnectFailed: with a reason for people to read.
    """
    try:
        sock = await _open_tcp(url)
    except OSError as error:
        raise ConnectFailed(url.address, _reason(error)) from None
    if not url.tls:
        return sock
    try:
        # Reads certificate files, which may take tens of milliseconds; and again each time, for they get renewed.
        context = await asyncio.to_thread(_make_tls_context, settings)
        # The TLS socket takes over the descriptor; from here on it is the one to close.
        sock = context.wrap_socket(sock, server_hostname=url.host, do_handshake_on_connect=False)
        await _shake_hands(sock)
    except ssl.SSLCertVerificationError as error:
        sock.close()
        raise ConnectFailed(url.address, f"the broker's certificate is not accepted: {error.verify_message}") from None
    except (OSError, ValueError) as error:
        sock.close()
        raise ConnectFailed(url.address, f"TLS: {_reason(error)}") from None
    except BaseException:
        sock.close()
        raise
    return sock


async def _open_tcp(url: BrokerUrl) -> socket.socket:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    last_error: OSError = OSError("the name has no address")
    for family, kind, protocol, _, target in found:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, target)
            # Commands and acknowledgements are small, and nobody wants to wait for more of them.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            last_error = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise last_error


def _make_tls_context(settings: MqttSettings) -> ssl.SSLContext:
    # The default context demands a valid chain and the right host name, and takes TLS 1.2 or later.
    context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
    if settings.cert_file:
        context.load_cert_chain(str(settings.cert_file), str(settings.key_file) if settings.key_file else None)
    return context


async def _shake_hands(sock: ssl.SSLSocket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            await _wait_ready(sock.fileno(), loop.add_reader, loop.remove_reader)
        except ssl.SSLWantWriteError:
            await _wait_ready(sock.fileno(), loop.add_writer, loop.remove_writer)
        else:
            return


async def _wait_ready(fd: int, add: Callable[..., Any], remove: Callable[[int], Any]) -> None:
    ready = asyncio.Event()
    add(fd, ready.set)
    try:
        await ready.wait()
    finally:
        remove(fd)


def _reason(error: Exception) -> str:
    """The operating system's words, without the Python and errno around them."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "handshake failed").replace("_", " ").lower()
    if isinstance(error, socket.gaierror):
        return f"the name cannot be resolved ({error.strerror})"
    if isinstance(error, OSError) and error.errno:
        return os_reason(error.errno)
    return str(error) or type(error).__name__


def os_reason(errno: int) -> str:
    """`Connection refused` and its like, for an errno; asyncio hides them behind texts of its own."""
    return os.strerror(errno)
