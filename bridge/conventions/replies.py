"""Answers of devices to commands, and their words for being connected: the same in the native and in plain form."""

from __future__ import annotations

from typing import Any

import msgspec

from bridge.core.model import Availability, CommandReply, Observation, Reason, Rejection

# Ours are UUIDs; a program may choose its own, and puts them into URLs.
MAX_COMMAND_ID_LENGTH = 64
# An error is a sentence for the operator, not a stack trace.
MAX_ERROR_LENGTH = 500
# Every dashboard gets the value of every reply, and keeps it: results are no way to transfer files.
MAX_REPLY_VALUE_BYTES = 16_384

_SUCCEEDED = frozenset({"succeeded", "success", "ok", "done", "true"})
_FAILED = frozenset({"failed", "failure", "fail", "error", "rejected", "refused", "nok", "false"})
_AVAILABILITY = {"online": Availability.ONLINE, "offline": Availability.OFFLINE}


def availability_from(word: Any) -> Availability | None:
    """What "online" or "offline" says; None for anything else."""
    return _AVAILABILITY.get(word.strip().lower()) if isinstance(word, str) else None


def parse_strict_reply(device: str, data: Any) -> list[Observation]:
    """A native result: `status` is "succeeded" or "failed", nothing else."""
    if not isinstance(data, dict):
        return [_invalid(device, "not an object")]
    status = data.get("status")
    if status not in ("succeeded", "failed"):
        return [_invalid(device, 'status is neither "succeeded" nor "failed"')]
    return _reply(device, data, data.get("id"), status == "succeeded")


def parse_lenient_reply(device: str, data: Any) -> list[Observation]:
    """A plain answer: an id, and in some words how it ended. The id alone is an answer too."""
    if not isinstance(data, dict):
        return [_invalid(device, "not an object")]
    status = data.get("status", data.get("success", not data.get("error")))
    word = str(status).lower() if isinstance(status, str | bool) else ""
    if word not in _SUCCEEDED and word not in _FAILED:
        return [_invalid(device, "the status is no word for success or failure")]
    command_id = data.get("id")
    if type(command_id) is int and abs(command_id) < 2**64:
        command_id = str(command_id)
    return _reply(device, data, command_id, word in _SUCCEEDED)


def _reply(device: str, data: dict[str, Any], command_id: Any, succeeded: bool) -> list[Observation]:
    if not isinstance(command_id, str) or not 0 < len(command_id) <= MAX_COMMAND_ID_LENGTH:
        return [_invalid(device, f"the id is no text of 1 to {MAX_COMMAND_ID_LENGTH} characters")]
    problems: list[Observation] = []
    value = data.get("value")
    if value is not None and len(msgspec.json.encode(value)) > MAX_REPLY_VALUE_BYTES:
        # How the command ended counts even if the device talks too much.
        value = None
        problems.append(Rejection(Reason.TEXT_TOO_LONG, "the value of a reply", device))
    error = data.get("error")
    text = "" if error is None else error if isinstance(error, str) else msgspec.json.encode(error).decode()
    return [CommandReply(device, command_id, succeeded, value, text[:MAX_ERROR_LENGTH]), *problems]


def _invalid(device: str, detail: str) -> Rejection:
    return Rejection(Reason.INVALID_REPLY, detail, device)
