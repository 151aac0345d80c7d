"""Who may see the console: this machine alone, unless a token is set.

A page of any web site can open a WebSocket to this machine, so names and origins are checked as well as the address.
"""

from __future__ import annotations

import hmac
import http
import ipaddress
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

COOKIE = "robot_rl_console"
TOKEN_BYTES = 16
"""A token shorter than this can be guessed."""


@dataclass(frozen=True)
class Address:
    """Where the console listens."""

    host: str = "127.0.0.1"
    """Another address than this machine's own needs a token."""
    port: int = 8080
    """The next free one where it is taken."""
    token: str | None = None
    """What a browser must show, as ?token=..., at least 16 characters."""

    @property
    def url(self) -> str:
        """What to open."""
        return f"http://{self.host}:{self.port}/" + (f"?token={self.token}" if self.token else "")


LOOPBACK = Address()


class Door:
    """Judges each request by its headers."""

    def __init__(self, host: str, token: str | None = None) -> None:
        """Raises ``ValueError`` (one line) for an address other than loopback without a ``token``, or a short one."""
        if not is_loopback(host) and token is None:
            raise ValueError(
                f"the console would listen on '{host}', where others can reach the robot: give --token as well "
                "(python3 -c 'import secrets; print(secrets.token_urlsafe())' makes one), or leave --host out"
            )
        if token is not None and len(token) < TOKEN_BYTES:
            raise ValueError(f"the token has {len(token)} characters: give at least {TOKEN_BYTES}")
        self._token = token

    def refusal(self, path: str, headers: Any) -> str | None:
        """Why a request for ``path`` is turned away; None where it is let in. ``headers``: a mapping."""
        host, origin = headers.get("Host", ""), headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return f"this page was opened from {origin}: open the console itself"
        if self._token is None:
            name = urlsplit(f"//{host}").hostname or ""
            return None if is_loopback(name) else f"'{name}' is not this machine's own name: use localhost"
        shown = self.token_in(path) or _cookie(headers.get("Cookie", ""))
        if hmac.compare_digest(shown.encode(), self._token.encode()):
            return None
        return "the console asks for its token: open the address that it printed, with ?token=..."

    def token_in(self, path: str) -> str:
        """The token in an address; empty where there is none."""
        return parse_qs(urlsplit(path).query).get("token", [""])[0]


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine and reachable from nowhere else."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _cookie(header: str) -> str:
    morsel = SimpleCookie(header).get(COOKIE)
    return morsel.value if morsel is not None else ""


@contextmanager
def guarding(door: Door) -> Iterator[None]:
    """Web servers started meanwhile let in only whom ``door`` does. viser has no hook for its handshake, so the
    function that it serves with is wrapped while it starts."""
    import websockets.asyncio.server as web
    from websockets.datastructures import Headers
    from websockets.http11 import Response

    serve: Callable[..., Any] = web.serve

    def guarded(*args: Any, process_request: Callable[..., Any], **options: Any) -> Any:
        def judge(connection: Any, request: Any) -> Any:
            refusal = door.refusal(request.path, request.headers)
            if refusal is not None:
                body = refusal.encode()
                headers = Headers({"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))})
                return Response(http.HTTPStatus.FORBIDDEN, "Forbidden", headers, body)
            response = process_request(connection, request)
            if response is not None and (token := door.token_in(request.path)):
                response.headers["Set-Cookie"] = f"{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/"
            return response

        return serve(*args, process_request=judge, **options)

    vars(web)["serve"] = guarded
    try:
        yield
    finally:
        vars(web)["serve"] = serve
