"""Signatures are exactly those of the Standard Webhooks: ours are accepted by theirs, theirs by ours, and nothing else is."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import webhooks
from engine.webhooks import Unsigned, new_secret, signed_headers, verified

#: The example the specification's own libraries are tested with.
SECRET, ID, AT, BODY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
NOW = datetime.fromtimestamp(AT, UTC)


def headers(**changed: str) -> dict[str, str]:
    return {
        "webhook-id": ID,
        "webhook-timestamp": str(AT),
        "webhook-signature": SIGNATURE,
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }


def test_the_signature_is_that_of_the_specifications_example():
    assert signed_headers(SECRET, ID, NOW, BODY) == headers()
    assert verified(SECRET, headers(), BODY, NOW) == ID


def test_one_of_several_signatures_is_enough_so_that_keys_can_be_changed():
    assert verified(SECRET, headers(webhook_signature=f"v1,AAAA v1a,BBBB {SIGNATURE}"), BODY, NOW) == ID


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook_id": "msg_other"},
        {"webhook_timestamp": str(AT + 1)},
        {"webhook_signature": SIGNATURE.replace("g0", "g1")},
        {"webhook_signature": ""},
        {"webhook_signature": "v2" + SIGNATURE[2:]},
        {"webhook_signature": SIGNATURE[3:]},
        {"webhook_timestamp": "soon"},
        {"webhook_timestamp": "-1"},
        {"webhook_timestamp": "٣"},
        {"webhook_timestamp": "9" * 40},
        {"webhook_id": ""},
        {"webhook_id": "x" * 5000},
        {"webhook_id": "a\nb"},
    ],
)
def test_anything_changed_is_refused_without_saying_what(changed):
    with pytest.raises(Unsigned) as caught:
        verified(SECRET, headers(**changed), BODY, NOW)
    assert (caught.value.code, caught.value.params) == ("signature_wrong", {})


def test_another_body_or_secret_is_refused():
    for secret, body in ((SECRET, BODY + b" "), (new_secret(), BODY)):
        with pytest.raises(Unsigned, match="signature_wrong"):
            verified(secret, headers(), body, NOW)


def test_a_signed_message_is_taken_for_five_minutes_either_way():
    for seconds, good in ((300, True), (301, False), (-300, True), (-301, False)):
        moment = NOW + timedelta(seconds=seconds)
        if good:
            assert verified(SECRET, headers(), BODY, moment) == ID
        else:
            with pytest.raises(Unsigned, match="signature_old"):
                verified(SECRET, headers(), BODY, moment)


def test_signatures_are_compared_in_constant_time_and_each_of_them(monkeypatch):
    compared: list[bytes] = []
    real = hmac.compare_digest

    def compare(left: bytes, right: bytes) -> bool:
        compared.append(left)
        return real(left, right)

    monkeypatch.setattr(webhooks.hmac, "compare_digest", compare)
    assert verified(SECRET, headers(webhook_signature=f"{SIGNATURE} v1,AAAA"), BODY, NOW) == ID
    assert compared == [SIGNATURE.encode(), b"v1,AAAA"]


@given(st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text(max_size=60)), st.binary(max_size=80))
def test_whatever_comes_in_is_refused_and_never_an_error(given_headers, body):
    with pytest.raises(Unsigned):
        verified(SECRET, given_headers, body, NOW)
