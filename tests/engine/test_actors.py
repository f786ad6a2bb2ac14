"""Who acts: people with team and rights as they are at this very moment, tokens of one workspace, and nobody who may not enter."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from engine import accounts, actors, api_tokens
from engine.clock import wall
from engine.errors import Conflict, Denied, Invalid, NotFound, NotLoggedIn
from engine.home import Home
from engine.members import add_member
from engine.records import service
from engine.records.query import count
from engine.records.record import ANY
from engine.system_tables import session
from engine.workspace_load import load_workspace
from tests.engine.homes import Place, opened_home, sent, small_place

GUEST = {("role", "guest"): {"title": {"zh": "访客"}, "grants": {"plant": {"read": "owner == me"}}}}


@pytest.fixture
def home(database_kind: str, tmp_path: Path, new_postgres_database: Callable[[], str]) -> Iterator[Home]:
    with opened_home(database_kind, tmp_path, new_postgres_database) as home:
        yield home


@pytest.fixture
def place(home: Home) -> Place:
    return small_place(home, changes=GUEST)


def _team(place: Place, name: str, parent: int | None = None) -> int:
    return service.create(place.ctx, "team", {"name": name, "parent": parent}).id


def _set(place: Place, person: int, **raw: object) -> None:
    service.update(place.ctx, "person", person, raw, ANY)


def test_a_member_gets_a_record_an_account_and_a_link_once(home, place):
    made = add_member(home, place.name, "Li.Na", ["guest"], name="李娜")
    assert accounts.redeem_link(home, made.token, "correct horse battery").login == "li.na"
    with pytest.raises(Conflict, match="person_exists"):
        add_member(home, place.name, "li.na", ["guest"])
    other = small_place(home)
    assert add_member(home, other.name, "li.na", ["admin"]).token == ""
    assert actors.memberships(home, "li.na") == sorted([place.name, other.name])


def test_unknown_roles_and_teams_are_named_before_anything_is_made(home, place):
    for words in ({"roles": ["guest", "king"]}, {"roles": ["guest"], "team": "北组"}):
        with pytest.raises(Invalid) as caught:
            add_member(home, place.name, "new", **words)
        assert caught.value.faults[0].params.get("role", caught.value.faults[0].params.get("team")) in ("king", "北组")
    assert accounts.find_account(home, "new") is None


def test_an_actor_knows_team_teams_below_lead_roles_and_rights(home, place):
    north = _team(place, "北区")
    street = _team(place, "一组", north)
    _team(place, "二组", north)
    boss = add_member(home, place.name, "boss", ["admin", "guest"], team="北区").person
    _set(place, boss, active=True)
    service.update(place.ctx, "team", north, {"lead": boss}, ANY)
    who = add_member(home, place.name, "li.na", ["guest"], team="一组")
    ctx = actors.enter(home, place.name, accounts.get_account(home, who.account))
    assert (ctx.actor.person_id, ctx.actor.team, ctx.actor.teams, ctx.actor.roles, ctx.actor.rights) == (who.person, street, (street,), ("guest",), frozenset())
    above = actors.enter_person(home, place.name, "boss").actor
    assert above.lead == boss and len(above.teams) == 3 and above.roles == ("admin", "guest") and "people" in above.rights
    assert ctx.locale == "zh" and ctx.now == place.ctx.now


def test_a_session_read_with_its_workspace_lasts_as_long_as_by_itself(home, place):
    who = accounts.ensure_account(home, "li.na", "李娜")
    token, now = accounts.start_session(home, who.id), wall()
    home.look(place.name)

    def read(given: str = token) -> tuple[accounts.Session | None, object]:
        alone = accounts.read_session(home, given, used=False)
        beside, looked = accounts.read_session_in(home, place.name, given, used=False)
        assert beside == alone and (looked is not None) == (home.database.dialect == "postgresql"), "one statement where both lie in one database"
        return beside, looked

    def age(**values: object) -> bool:
        with home.database.write() as connection:
            connection.execute(session.update().values(**values))
        return read()[0] is not None

    assert read(token + "x")[0] is None
    found, before = read()
    assert found is not None and found.account == who
    add_member(home, place.name, "li.na", ["guest"])
    _, after = read()
    if before is not None:
        assert after[0] is home.workspace(place.name) and after[1].permission_version > before[1].permission_version
    ctx = actors.enter(home, place.name, who, looked=after)
    assert ctx.actor.roles == ("guest",) and ctx.actor == actors.enter(home, place.name, who).actor
    assert not age(seen_at=now - timedelta(hours=8, seconds=1)) and not age(seen_at=now, expires_at=now - timedelta(seconds=1))
    assert age(expires_at=now + timedelta(days=1))
    accounts.set_disabled(home, who.id, True)
    assert read()[0] is None and accounts.read_session_in(home, "nowhere", token) == (None, None)


def test_a_ring_of_teams_ends(home, place):
    one = _team(place, "甲")
    two = _team(place, "乙", one)
    service.update(place.ctx, "team", one, {"parent": two}, ANY)
    add_member(home, place.name, "li.na", ["guest"], team="甲")
    assert actors.enter_person(home, place.name, "li.na").actor.teams == (one, two)


def test_a_changed_role_counts_from_the_next_request_on_and_inside_the_next_write(home, place):
    person = add_member(home, place.name, "li.na", ["guest"]).person
    before = actors.enter_person(home, place.name, "li.na")
    _set(place, person, roles=["admin"])
    with before.writing() as inner:
        assert inner.actor.roles == ("admin",)
    assert actors.enter_person(home, place.name, "li.na").actor.roles == ("admin",)


def test_who_is_inactive_deleted_or_over_cannot_enter(home, place):
    who = add_member(home, place.name, "li.na", ["guest"])
    account = accounts.get_account(home, who.account)
    before = actors.enter(home, place.name, account)

    def refused() -> None:
        for enter in (lambda: actors.enter(home, place.name, account), lambda: actors.enter_person(home, place.name, "li.na")):
            with pytest.raises(NotFound):
                enter()
        with pytest.raises(NotFound), before.writing():
            pass
        assert actors.memberships(home, "li.na") == []

    _set(place, who.person, active=False)
    refused()
    _set(place, who.person, active=True, ends_at=(place.ctx.now + timedelta(days=1)).isoformat())
    assert actors.enter(home, place.name, account).actor.person_id == who.person
    home.move_clock(place.name, place.ctx.now + timedelta(days=1))
    with pytest.raises(NotFound):
        actors.enter(home, place.name, account)
    _set(place, who.person, ends_at=None)
    service.delete(place.ctx, "person", who.person, ANY)
    refused()


def test_nobody_enters_a_workspace_without_a_person_there(home, place):
    stranger = accounts.ensure_account(home, "stranger", "")
    for name in (place.name, "nowhere"):
        with pytest.raises(NotFound, match="unknown_workspace"):
            actors.enter(home, name, stranger)


def test_a_role_that_is_gone_gives_nothing(home, place):
    add_member(home, place.name, "li.na", ["guest", "admin"])
    place.publish({("role", "guest"): None})
    assert actors.enter_person(home, place.name, "li.na").actor.roles == ("admin",)


def test_a_token_opens_its_own_workspace_until_revoked_over_or_disabled(home, place):
    other = small_place(home)
    who = add_member(home, place.name, "li.na", ["guest"])
    add_member(home, other.name, "li.na", ["guest" if "guest" in other.workspace.roles else "admin"])
    token = api_tokens.create_token(home, place.name, "li.na", "reports")
    ctx = api_tokens.enter_with_token(home, place.name, token)
    assert (ctx.actor.person_id, ctx.cause.kind) == (who.person, "api")
    for name, given in ((other.name, token), (place.name, token + "x"), (place.name, "")):
        with pytest.raises(NotFound):
            api_tokens.enter_with_token(home, name, given)
    accounts.set_disabled(home, who.account, True)
    with pytest.raises(NotFound):
        api_tokens.enter_with_token(home, place.name, token)
    accounts.set_disabled(home, who.account, False)
    (mine,) = api_tokens.tokens_of(ctx, [who.person])
    with pytest.raises(NotFound):
        api_tokens.revoke_token(ctx, mine.id, who.person + 1)
    assert api_tokens.enter_with_token(home, place.name, token)
    api_tokens.revoke_token(ctx, mine.id, who.person)
    with pytest.raises(NotFound):
        api_tokens.enter_with_token(home, place.name, token)
    brief = api_tokens.create_token(home, place.name, "li.na", life=timedelta(microseconds=1))
    with pytest.raises(NotFound):
        api_tokens.enter_with_token(home, place.name, brief)


@pytest.fixture
def elsewhere(home: Home) -> Iterator[Home]:
    """The same installation in another process."""
    other = Home.open(home.settings, home.registry, load_workspace)
    yield other
    other.close()


def test_a_bearer_seen_before_is_looked_for_by_the_transaction_that_acts_and_by_nothing_else(home, place):
    add_member(home, place.name, "li.na", ["admin"])
    token = api_tokens.create_token(home, place.name, "li.na")
    api_tokens.enter_with_token(home, place.name, token)
    with sent() as statements:
        ctx = api_tokens.enter_with_token(home, place.name, token, acts=True)
        assert statements == []
        service.create(ctx, "plant", {"name": "牡丹"})
    assert len([one for one in statements if "api_token" in one]) == 1 and len([one for one in statements if "workspace_state" in one]) == 1


def test_what_another_process_changed_counts_for_a_bearer_seen_before(home, place, elsewhere):
    who = add_member(home, place.name, "li.na", ["admin"])
    token = api_tokens.create_token(home, place.name, "li.na")
    api_tokens.enter_with_token(home, place.name, token)
    operator = actors.enter_as(elsewhere, place.name, "operator")
    service.update(operator, "person", who.person, {"roles": ["guest"]}, ANY)
    Place(elsewhere, place.name).with_fields("plant", scent={"type": "text", "title": {"zh": "香气"}})
    ctx = api_tokens.enter_with_token(home, place.name, token, acts=True)
    with ctx.reading() as seen:
        assert seen.actor.roles == ("guest",) and "scent" in seen.workspace.entities["plant"].fields
    with pytest.raises(Denied, match="may_not_create"):
        service.create(ctx, "plant", {"name": "牡丹"})
    service.update(actors.enter_as(elsewhere, place.name, "operator"), "person", who.person, {"roles": ["admin"]}, ANY)
    saved = service.create(api_tokens.enter_with_token(home, place.name, token, acts=True), "plant", {"name": "牡丹", "scent": "浓"})
    assert saved.record["scent"] == "浓" and saved.workspace is not None and "scent" in saved.workspace.entities["plant"].fields


@pytest.mark.parametrize("way", ["revoked", "disabled", "gone", "renamed and disabled"])
def test_a_bearer_seen_before_who_may_not_enter_any_more_writes_nothing_and_is_a_stranger_from_then_on(home, place, elsewhere, way):
    who = add_member(home, place.name, "li.na", ["admin"])
    token = api_tokens.create_token(home, place.name, "li.na")
    ctx = api_tokens.enter_with_token(home, place.name, token)
    operator = actors.enter_as(elsewhere, place.name, "operator")
    if way == "revoked":
        api_tokens.revoke_token(operator, api_tokens.tokens_of(operator, [who.person])[0].id, who.person)
    elif way == "gone":
        service.update(operator, "person", who.person, {"active": False}, ANY)
    elif way == "disabled":
        accounts.set_disabled(elsewhere, who.account, True)
    else:
        renamed = add_member(elsewhere, place.name, "li.ming", ["guest"])
        service.update(operator, "person", renamed.person, {"login": None}, ANY)
        service.update(operator, "person", who.person, {"login": "li.ming"}, ANY)
        accounts.set_disabled(elsewhere, renamed.account, True)
    before = count(place.ctx, "plant")
    for _ in range(2):
        with pytest.raises((NotLoggedIn, NotFound)):
            service.create(api_tokens.enter_with_token(home, place.name, token, acts=True), "plant", {"name": "牡丹"})
    assert count(place.ctx, "plant") == before and accounts.digest_of(token) not in home.bearers
    with pytest.raises(NotFound), ctx.writing():
        api_tokens.enter_with_token(home, place.name, token, acts=True)


def test_system_principals_are_named_and_listed(home, place):
    for name in actors.SYSTEM_ACTORS:
        assert actors.enter_as(home, place.name, name).actor.kind == "system"
    with pytest.raises(KeyError):
        actors.system_actor("somebody")
