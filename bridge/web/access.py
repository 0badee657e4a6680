"""Who may come in: hosts, origins, tokens, and the limit on guesses. Pure: no request object, no clock."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict, deque
from collections.abc import Iterable
from urllib.parse import urlsplit

from bridge.settings import is_loopback
from bridge.web.admission import counted_as

# OWASP's usual limit is five; a page that reloads with an old cookie can fail a few times without a person guessing.
MAX_FAILURES = 10
FAILURE_WINDOW_US = 300_000_000
MAX_ADDRESSES = 10_000  # remembered guessers; the oldest is forgotten first

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Access:
    """The checks of one server."""

    def __init__(
        self, token: str | None, bound_host: str, allowed_hosts: Iterable[str] = (), allowed_origins: Iterable[str] = ()
    ) -> None:
        """`token` None: no authentication (a setting that only a loopback address may have)."""
        self._token = token
        # The name that the browser was told, or a loopback name; anything else is how DNS rebinding looks.
        names = {name.lower() for name in allowed_hosts}
        self._hosts = names | LOOPBACK_NAMES
        self._any_host = not is_loopback(bound_host) and not names
        self._hosts.add(bound_host.lower().strip("[]"))
        self._origins = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)
        self._failures: OrderedDict[str, deque[int]] = OrderedDict()

    @property
    def is_open(self) -> bool:
        return self._token is None

    @property
    def cookie(self) -> str:
        """What the cookie holds: derived from the token, so that a leaked cookie does not tell the token."""
        return hmac.new((self._token or "").encode(), b"fleetwire cookie", hashlib.sha256).hexdigest()

    def host_allowed(self, host_header: str | None) -> bool:
        """Whether a request with this `Host` was meant for us."""
        name = _host_name(host_header or "")
        if name is None:
            return False
        # On a public address without a list of names, numeric addresses are let in: rebinding needs a name.
        return name in self._hosts or (self._any_host and _is_numeric(name))

    def origin_allowed(self, origin: str | None, scheme: str, host_header: str | None) -> bool:
        """Whether a browser page of this origin may talk to us: the very page we served, or a listed one."""
        if origin is None:
            return False
        origin = origin.lower()
        return origin == f"{scheme}://{host_header or ''}".lower() or origin in self._origins

    def token_matches(self, given: str) -> bool:
        """Compared in constant time."""
        if self._token is None:
            return True
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self._token.encode())

    def cookie_matches(self, given: str) -> bool:
        return self._token is not None and hmac.compare_digest(
            given.encode("utf-8", "surrogatepass"), self.cookie.encode()
        )

    def note_failure(self, address: str, now_us: int) -> None:
        address = counted_as(address)
        failures = self._failures.setdefault(address, deque(maxlen=MAX_FAILURES))
        self._failures.move_to_end(address)
        failures.append(now_us)
        while len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)

    def is_blocked(self, address: str, now_us: int) -> bool:
        """Whether this address has guessed wrong too often; a right token does not help it while it lasts."""
        failures = self._failures.get(counted_as(address))
        return failures is not None and len(failures) >= MAX_FAILURES and now_us - failures[0] < FAILURE_WINDOW_US


def bearer(authorization: str | None) -> str | None:
    """The token in an `Authorization` header, or None."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _host_name(host_header: str) -> str | None:
    try:
        parts = urlsplit(f"//{host_header}")
        _ = parts.port  # raises when it is no number
    except ValueError:
        return None
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        return None
    return parts.hostname.lower() if parts.hostname else None


def _is_numeric(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdigit()
