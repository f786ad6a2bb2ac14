"""Signatures of messages between programs, in and out, as the Standard Webhooks have them: headers, HMAC-SHA256, tolerance. Sends and stores nothing."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from engine.errors import Refusal

#: What a secret begins with; the rest is base64 of the key.
PREFIX = "whsec_"
#: How far a message's timestamp may be from our clock.
TOLERANCE = timedelta(minutes=5)
ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
_KEY_BYTES = 32
_LONGEST_ID = 150
_MOST_SIGNATURES = 10


class Unsigned(Refusal):
    """A message whose signature or time does not stand (401). Without the right key nothing is told but that."""


def new_secret() -> str:
    """A new secret, to be shown once."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The key of a secret; a text that is no base64 is a key itself, as some receivers have it."""
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return secret.encode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of one message: ``v1,`` and the HMAC of id, timestamp (seconds) and body."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()


def signed_headers(secret: str, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers of an outgoing message."""
    timestamp = int(at.timestamp())
    return {ID: message_id, TIMESTAMP: str(timestamp), SIGNATURE: signature(secret, message_id, timestamp, body)}


def verified(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """The id of a message that was signed with the secret not longer than ``TOLERANCE`` ago. Raises Unsigned.

    Whether the signature stands is found out first and in constant time; only then is anything told of the time.
    """
    message_id, stamp, given = (headers.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE))
    readable = (
        0 < len(message_id) <= _LONGEST_ID and message_id.isascii() and message_id.isprintable() and stamp.isascii() and stamp.isdigit() and len(stamp) < 12
    )
    expected = signature(secret, message_id if readable else "", int(stamp) if readable else 0, body).encode()
    matches = [hmac.compare_digest(one.encode(), expected) for one in given.split(" ")[:_MOST_SIGNATURES]]
    if not readable or not any(matches):
        raise Unsigned("signature_wrong")
    if abs(now - datetime.fromtimestamp(int(stamp), UTC)) > TOLERANCE:
        raise Unsigned("signature_old", minutes=int(TOLERANCE.total_seconds() // 60))
    return message_id
