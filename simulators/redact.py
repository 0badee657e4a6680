"""Takes names, places and texts out of messages while they are recorded, and leaves what is needed to replay them.

Texts become pseudonyms: a hash under a key that is drawn for every recording and never written, so that equal texts
stay equal within a file, and nobody can try out names. JSON is not parsed and written anew but read token by token, so
that numbers, order, spacing and structure stay as they were, byte for byte.

What this cannot hide is in docs/simulate.md: numbers themselves, JSON keys, sizes, rhythm.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Collection

import msgspec

from simulators.redact_names import is_identifying, is_latitude, is_longitude, is_place, is_time
from simulators.redact_place import SecretOffset

# Pseudonyms that are remembered, to hash each text once; more different ones than this are simply hashed again.
MAX_REMEMBERED = 65_536
# 65 bits: among a million texts, two that become one are a matter of one in seventy million.
PSEUDONYM_CHARACTERS = 13
# One token of JSON: a string, a number (also NaN and the infinities, which some devices send), or punctuation.
# A literal (true, false, null) and white space fall between the matches and stay as they are.
_TOKEN = re.compile(
    r'(?P<string>"(?:[^"\\]|\\.)*+")(?P<colon>\s*+:)?|(?P<number>-?(?:\d[\d.eE+-]*+|Infinity|NaN))|(?P<open>[\[{])|(?P<close>[\]}])|,'
)
_BARE_LITERAL = frozenset({"true", "false", "null"})


class Redactor:
    """Redacts one recording. `keep` are words that stay wherever they are a whole topic level or a whole text."""

    def __init__(self, keep: Collection[str] = (), key: bytes | None = None) -> None:
        self._key = secrets.token_bytes(32) if key is None else key
        self._keep = frozenset(word for word in keep if not is_identifying(word))
        self._remembered: dict[str, str] = {}
        self._offset = SecretOffset()

    def redact(self, topic: str, payload: bytes) -> tuple[str, bytes]:
        """The message as it may be given away."""
        levels = topic.split("/")
        return "/".join(map(self._word, levels)), self._payload(levels[-1], payload)

    def _word(self, text: str) -> str:
        """The pseudonym of a text; the empty text stays empty."""
        if not text or text in self._keep:
            return text
        known = self._remembered.get(text)
        if known is None:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).digest()
            known = "x" + base64.b32encode(digest).decode()[:PSEUDONYM_CHARACTERS].lower()
            self._remembered[text] = known
        return known

    def _payload(self, name: str, payload: bytes) -> bytes:
        if not payload:
            return payload  # this is how a retained message is taken back
        try:
            text = payload.decode()
        except UnicodeDecodeError:
            return secrets.token_bytes(len(payload))
        if _is_json(text):
            return self._json(name, text).encode()
        if not text.isprintable() and not text.replace("\n", "").replace("\r", "").replace("\t", "").isprintable():
            return secrets.token_bytes(len(payload))
        return (text if is_time(text) else self._word(text)).encode()

    def _json(self, name: str, text: str) -> str:
        """`name`: what the whole value is called, for a payload that is one bare value."""
        out: list[str] = []
        # For each open array or object: what it is called, whether it is an array, how many values it had so far.
        enclosing: list[tuple[str, bool, int]] = []
        at, index = 0, 0
        for token in _TOKEN.finditer(text):
            out.append(text[at : token.start()])
            at = token.end()
            kind = token.lastgroup
            if kind == "colon":
                key = _unquote(token["string"])
                name, quoted = key, token["string"]
                if is_identifying(key):
                    quoted = f'"{self._word(key)}"'
                out.append(quoted + token["colon"])
                continue
            if kind == "string":
                out.append(self._string(token[0]))
            elif kind == "number":
                out.append(self._number(name, index if enclosing and enclosing[-1][1] else None, token[0]))
            else:
                out.append(token[0])
                if kind == "open":
                    enclosing.append((name, token[0] == "[", index))
                    index = 0
                elif kind == "close":
                    name, _, index = enclosing.pop()
                else:  # a comma
                    index += 1
                    name = enclosing[-1][0] if enclosing[-1][1] else ""
        out.append(text[at:])
        return "".join(out)

    def _string(self, token: str) -> str:
        value = _unquote(token)
        word = value if is_time(value) else self._word(value)
        return token if word == value else f'"{word}"'

    def _number(self, name: str, index: int | None, token: str) -> str:
        if is_latitude(name):
            return self._offset.latitude(token)
        if is_longitude(name):
            return self._offset.longitude(token)
        if index is not None and is_place(name):
            # Pairs: [latitude, longitude] for most, the other way round in GeoJSON, whose key is "coordinates".
            first_is_latitude = "coordinates" not in name.lower()
            if index == 0:
                return self._offset.latitude(token) if first_is_latitude else self._offset.longitude(token)
            if index == 1:
                return self._offset.longitude(token) if first_is_latitude else self._offset.latitude(token)
        return token


def _is_json(text: str) -> bool:
    """Also with NaN and Infinity, as some devices write it. msgspec first: it is the faster one for the usual case."""
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return False
    return True


def _unquote(token: str) -> str:
    if "\\" not in token:
        return token[1:-1]
    value: str = json.loads(token, strict=False)
    return value
