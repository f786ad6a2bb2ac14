"""The page of people and roles without a browser: adding somebody."""

from __future__ import annotations

from tests.renderer.counter import NAME, post


def test_everything_that_is_missing_of_a_person_is_told_at_its_field(counter_client):
    client = counter_client("dana")
    bare = post(client, "/people", name="", login=" ")
    assert bare.status_code == 422 and 'id="add-name-error"' in bare.text and 'id="add-login-error"' in bare.text
    half = post(client, "/people", name="吴五", login="")
    assert 'id="add-name-error"' not in half.text and 'id="add-login-error"' in half.text and 'value="吴五"' in half.text
    assert post(client, "/people", name="吴五", login="wuwu", roles="nurse").status_code == 200
    assert "吴五" in client.get(f"/w/{NAME}/people").text
