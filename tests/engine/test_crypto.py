"""Keys, envelopes and blind indexes."""

import stat
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.crypto import SECRET_FILE, Cipher, Keys
from engine.errors import Unavailable

SECRET = "s" * 40


def settings(home: Path, secret: str = "", embedded: bool = True) -> SimpleNamespace:
    return SimpleNamespace(home=home, secret_key=secret, embedded=embedded)


def cipher() -> Cipher:
    keys = Keys(SECRET)
    return keys.cipher(keys.new_ring())


def test_an_envelope_opens_only_where_it_belongs():
    sealed = (one := cipher()).seal("+8613800138000", "client.phone")
    assert "138" not in sealed and sealed.startswith("k1:")
    assert one.open(sealed, "client.phone") == "+8613800138000"
    with pytest.raises(Unavailable, match="envelope_unreadable"):
        one.open(sealed, "client.mobile")


def test_no_two_envelopes_of_one_value_are_equal():
    one = cipher()
    assert one.seal("x", "a.b") != one.seal("x", "a.b")


@pytest.mark.parametrize("broken", ["", "k1", "k1:", "k1:!!!", "k9:AAAA", "k1:" + "A" * 80, "\ud800:x"])
def test_a_damaged_envelope_is_refused_by_name(broken):
    with pytest.raises(Unavailable, match="envelope_unreadable"):
        cipher().open(broken, "a.b")


def test_every_changed_character_of_an_envelope_is_noticed():
    one = cipher()
    sealed = one.seal("33010119900101001X", "a.b")
    for place in range(3, len(sealed) - 1):
        changed = sealed[:place] + ("A" if sealed[place] != "A" else "B") + sealed[place + 1 :]
        with pytest.raises(Unavailable):
            one.open(changed, "a.b")


def test_a_new_key_seals_while_old_envelopes_stay_readable_and_blind_indexes_stay():
    keys = Keys(SECRET)
    ring = keys.new_ring()
    before = keys.cipher(ring)
    sealed, blind = before.seal("x", "a.b"), before.blind("phone", "x")
    after = keys.cipher(keys.with_new_key(ring))
    assert after.open(sealed, "a.b") == "x" and not after.is_current(sealed)
    assert after.seal("x", "a.b").startswith("k2:") and after.blind("phone", "x") == blind


def test_blind_indexes_differ_by_workspace_by_type_and_from_those_of_the_last_four():
    keys = Keys(SECRET)
    one, other = keys.cipher(keys.new_ring()), keys.cipher(keys.new_ring())
    values = {one.blind("phone", "8000"), other.blind("phone", "8000"), one.blind("id_no", "8000"), one.blind4("phone", "8000")}
    assert len(values) == 4 and all(len(value) == 32 for value in values)
    assert one.blind("phone", "8000") == one.blind("phone", "8000")


def test_another_secret_cannot_unwrap_a_ring_but_can_take_it_over():
    mine, theirs = Keys(SECRET), Keys("t" * 40)
    ring = mine.new_ring()
    sealed = mine.cipher(ring).seal("x", "a.b")
    with pytest.raises(Unavailable, match="secret_wrong"):
        theirs.cipher(ring)
    assert theirs.cipher(mine.rewrapped(ring, theirs)).open(sealed, "a.b") == "x"


def test_keys_of_one_ring_do_not_fit_into_another():
    keys = Keys(SECRET)
    one, other = keys.new_ring(), keys.new_ring()
    with pytest.raises(Unavailable, match="secret_wrong"):
        keys.cipher({**one, "keys": other["keys"]})


def test_the_embedded_secret_is_made_once_readable_by_its_owner_only(tmp_path):
    first = Keys.open(settings(tmp_path))
    path = tmp_path / SECRET_FILE
    assert first.made == path and stat.S_IMODE(path.stat().st_mode) == 0o600
    ring = first.new_ring()
    again = Keys.open(settings(tmp_path))
    assert again.made is None and again.cipher(ring) and [file.name for file in tmp_path.iterdir()] == [SECRET_FILE]


def test_two_processes_starting_at_once_agree_on_one_secret(tmp_path):
    opened: list[Keys] = []
    threads = [threading.Thread(target=lambda: opened.append(Keys.open(settings(tmp_path)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ring = opened[0].new_ring()
    assert len(opened) == 8 and sum(keys.made is not None for keys in opened) == 1 and all(keys.cipher(ring) for keys in opened)


def test_without_a_secret_postgresql_does_not_start(tmp_path):
    with pytest.raises(Unavailable, match="secret_missing"):
        Keys.open(settings(tmp_path, embedded=False))


def test_a_short_or_unreadable_secret_is_named(tmp_path):
    with pytest.raises(Unavailable, match="secret_short"):
        Keys.open(settings(tmp_path, secret="short"))
    (tmp_path / SECRET_FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(Unavailable, match="secret_unreadable"):
        Keys.open(settings(tmp_path))


def test_neither_keys_nor_cipher_show_their_secret():
    keys = Keys(SECRET)
    one = keys.cipher(keys.new_ring())
    assert SECRET not in repr(keys) and not any(key.hex() in repr(one) or repr(key) in repr(one) for key in one.keys.values())
