"""People and roles: who belongs to the workspace, adding somebody with a one-time link, roles and team, ending access, and who may do what, for print."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from starlette.responses import Response

from engine import accounts
from engine.access import Clause, Grant, Rows, grant_of
from engine.context import Actor
from engine.errors import Conflict, Fault, Invalid, NotFound
from engine.fields.values import Link
from engine.members import add_member
from engine.messages import told_faults, told_together
from engine.records import service
from engine.records.query import Query, get, page
from engine.records.record import Record
from metadata.text import label_text
from renderer import errors
from renderer.requests import Routes, Visit
from renderer.security import Permission
from renderer.translations import _

routes = Routes()
PEOPLE = Permission("member", right="people")
PAGE = 200


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One person as the page shows them."""

    id: int
    version: int
    name: str
    login: str
    roles: tuple[str, ...]
    team: str
    active: bool
    can_log_in: bool


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """What one role may do with one entity: a word for every verb, and the fields that are hidden, masked or fixed."""

    entity: str
    verbs: tuple[tuple[str, str], ...]
    hidden: str
    masked: str
    fixed: str
    actions: str


@routes.get("/w/{ws}/people", PEOPLE)
def people(visit: Visit) -> Response:
    """Everybody, and the teams."""
    return _page(visit)


def _page(
    visit: Visit, *, problems: dict[str, str] | None = None, given: dict[str, str] | None = None, link: str = "", name: str = "", status: int = 200
) -> Response:
    ctx = visit.ctx
    q = visit.request.query_params.get("q", "").strip()[:60]
    found = page(ctx, Query("person", sort=("name",), limit=PAGE, search=q, cursor=visit.request.query_params.get("cursor") or None))
    teams = page(ctx, Query("team", sort=("name",), limit=PAGE)).items
    titles = {key: label_text(role.title, visit.locale, key) for key, role in ctx.workspace.roles.items()}
    known = {account.login: account for account in accounts.all_accounts(visit.home)}
    rows = [_row(record, titles, known.get(str(record.get("login") or ""))) for record in found.items]
    return visit.page(
        "people.html",
        status=status,
        rows=rows,
        teams=teams,
        roles=titles,
        problems=problems or {},
        given=given or {},
        link=link,
        name=name,
        q=q,
        next=found.next,
        lead=lambda team: _link_text(team.get("lead")),
        parent=lambda team: _link_text(team.get("parent")),
    )


def _row(record: Record, titles: dict[str, str], account: accounts.Account | None) -> PersonRow:
    roles = tuple(titles.get(role, role) for role in record.get("roles") or ())
    return PersonRow(
        record.id,
        record.version,
        str(record.get("name") or ""),
        str(record.get("login") or ""),
        roles,
        _link_text(record.get("team")),
        record.get("active") is not False,
        account is not None and not account.disabled and not account.invited,
    )


def _link_text(value: object) -> str:
    return (value.label or f"#{value.id}") if isinstance(value, Link) else ""


@routes.post("/w/{ws}/people", PEOPLE)
def add(visit: Visit) -> Response:
    """Add a person; the link to set a password is shown once."""
    given = {name: visit.text(name).strip() for name in ("name", "login", "team")}
    roles = visit.texts("roles")
    try:
        if missing := [Fault(f"/{name}", "required") for name in ("name", "login") if not given[name]]:
            raise Invalid("invalid", faults=missing)
        made = add_member(visit.home, visit.ctx.workspace.name, given["login"], roles, name=given["name"], team=given["team"], ctx=visit.ctx)
    except (Invalid, Conflict) as refusal:
        problems = {pointer.strip("/").split("/")[0]: text for pointer, text in told_faults(refusal, visit.locale)}
        return _page(visit, problems=problems or {"login": told_together(refusal, visit.locale)}, given=given, status=errors.status_of(refusal))
    if not made.token:
        return visit.redirect(f"{visit.base}/people", toast=_("%(name)s is added and logs in with the known password.", name=given["name"] or made.login))
    return _page(visit, link=_welcome(visit, made.token), name=given["name"] or made.login)


def _welcome(visit: Visit, token: str) -> str:
    root = visit.home.settings.public_url.rstrip("/") or str(visit.request.base_url).rstrip("/")
    return f"{root}/welcome/{token}"


@routes.get("/w/{ws}/people/{id:int}", PEOPLE)
def person(visit: Visit) -> Response:
    """Roles, team and access of one person, in a dialog."""
    record = get(visit.ctx, "person", visit.number("id"), lines=False)
    teams = page(visit.ctx, Query("team", sort=("name",), limit=PAGE)).items
    titles = {key: label_text(role.title, visit.locale, key) for key, role in visit.ctx.workspace.roles.items()}
    team = record.get("team")
    return visit.part(
        "_person_edit.html", person=record, roles=titles, chosen=set(record.get("roles") or ()), teams=teams, team=team.id if isinstance(team, Link) else 0
    )


@routes.post("/w/{ws}/people/{id:int}", PEOPLE)
def change(visit: Visit) -> Response:
    """Set roles and team, end or renew access. Holds from the person's next request."""
    number = visit.number("id")
    raw = {"roles": [role for role in visit.texts("roles") if role], "team": visit.text("team") or None, "active": visit.text("active") == "true"}
    version = visit.text("version")
    service.update(visit.ctx, "person", number, raw, int(version) if version.isdigit() else 0)
    return visit.redirect(f"{visit.base}/people", toast=_("Saved"))


@routes.post("/w/{ws}/people/{id:int}/link", PEOPLE)
def link(visit: Visit) -> Response:
    """A new one-time link to set a password; earlier links end."""
    record = get(visit.ctx, "person", visit.number("id"), lines=False)
    login = str(record.get("login") or "")
    if not login:
        raise Invalid("login_needed_for_link")
    account = accounts.ensure_account(visit.home, login, str(record.get("name") or login))
    return visit.part(
        "_person_link.html", link=_welcome(visit, accounts.issue_link(visit.home, account.id, life=accounts.INVITATION_LIFE)), name=record.get("name")
    )


# --- who may do what -----------------------------------------------------------------------------------------------------------------------


@routes.get("/w/{ws}/people/rights", PEOPLE)
def rights(visit: Visit) -> Response:
    """The matrix of one role, or of all, to read and to print."""
    workspace, wanted = visit.ctx.workspace, visit.request.query_params.get("role", "")
    if wanted and wanted not in workspace.roles:
        raise NotFound("no_such_page")
    titles = {key: label_text(role.title, visit.locale, key) for key, role in workspace.roles.items()}
    tables = [(titles[key], ", ".join(role.can), _matrix(visit, key)) for key, role in workspace.roles.items() if not wanted or key == wanted]
    return visit.page("rights.html", tables=tables, roles=titles, wanted=wanted)


def _matrix(visit: Visit, role: str) -> list[MatrixRow]:
    workspace = visit.ctx.workspace
    actor = Actor(0, role, (role,))
    rows = []
    for key, entity in workspace.entities.items():
        grant = grant_of(workspace, actor, entity)
        if not grant.clauses:
            continue
        clause = grant.clauses[0]
        names = {name: label_text(item.definition.title, visit.locale, name) for name, item in entity.fields.items()}
        verbs = tuple((verb, _words(clause.rows[verb])) for verb in ("read", "create", "update", "delete", "export"))
        rows.append(
            MatrixRow(
                label_text(entity.title, visit.locale, key),
                verbs,
                _listed(names, clause.unread),
                _listed(names, clause.masks),
                _listed(names, _fixed(grant, clause)),
                ", ".join(sorted(name for name, given in clause.actions.items() if given is not False)),
            )
        )
    return rows


def _fixed(grant: Grant, clause: Clause) -> set[str]:
    writes = clause.rows["create"] is not False or clause.rows["update"] is not False
    return set(clause.unwritten - clause.unread) if writes else set()


def _listed(names: dict[str, str], keys: Collection[str]) -> str:
    return "、".join(names[key] for key in names if key in keys)


def _words(rows: Rows) -> str:
    """A row condition for people: all, none, or the condition itself."""
    return _("all") if rows is True else "—" if rows is False else rows.source
