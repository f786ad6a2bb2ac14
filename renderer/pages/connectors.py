"""Connections and sources: how messages leave to services, with options drawn from the connector's schema; and keys of those who may send messages in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from starlette.responses import Response

from engine import connections, delivery, intake
from engine.connections import Connection
from engine.connectors import Connector
from engine.errors import Invalid
from engine.intake import SourceKey
from engine.messages import sentence, told_faults
from metadata.text import label_text
from renderer.requests import Routes, Visit
from renderer.security import Permission
from renderer.translations import _

routes = Routes()
SETTINGS = Permission("member", right="settings")
#: Types of a person's fields that can hold where they are reached.
REACHING: Mapping[str, tuple[str, ...]] = {"phone": ("phone",), "email": ("email",), "account": ("text",)}


@dataclass(frozen=True, slots=True)
class Control:
    """One option of a connection as a form control. ``kind``: text, number, switch, select, lines (NAME=VALUE)."""

    name: str
    label: str
    help: str
    kind: str
    value: str
    required: bool
    options: tuple[tuple[str, str], ...] = ()
    error: str = ""


# --- list ----------------------------------------------------------------------------------------------------------------------------------------


@routes.get("/w/{ws}/connections", SETTINGS)
def show(visit: Visit) -> Response:
    """All connections and sources."""
    return _page(visit)


def _page(visit: Visit, *, secret: str = "", source: str = "", problem: str = "", status: int = 200) -> Response:
    ctx, known = visit.ctx, visit.ctx.workspace.registry.connectors
    titles = {name: label_text(item.title, visit.locale, name) for name, item in known.items()}
    found = connections.connections(ctx)
    keys = intake.source_keys(ctx)
    live = {key.source for key in keys if key.revoked_at is None}
    return visit.page(
        "connections.html",
        status=status,
        found=[(item, titles.get(item.kind, item.kind), known[item.kind].icon if item.kind in known else "alert-triangle") for item in found],
        kinds=[(name, titles[name], label_text(item.help, visit.locale), item.icon) for name, item in known.items()],
        sources=[(key, _source_state(key), f"{key.created_at.astimezone(ctx.workspace.timezone):%Y-%m-%d}") for key in keys],
        awaited=[name for name in intake.awaited(ctx.workspace) if name not in live],
        secret=secret,
        source=source,
        problem=problem,
        address=f"{_root(visit)}/intake/{ctx.workspace.name}/{source or '…'}",
    )


def _source_state(key: SourceKey) -> tuple[str, str]:
    if key.revoked_at is not None:
        return "slate", _("Revoked")
    return ("green", _("Key valid")) if key.rules else ("amber", _("No rule waits for it"))


def _root(visit: Visit) -> str:
    return visit.home.settings.public_url.rstrip("/") or str(visit.request.base_url).rstrip("/")


# --- one connection ------------------------------------------------------------------------------------------------------------------------------


@routes.get("/w/{ws}/connections/new", SETTINGS)
def new(visit: Visit) -> Response:
    """The form of a new connection of a kind."""
    kind = visit.request.query_params.get("kind", "")
    connector = connections.connector_of(visit.ctx, kind)
    taken = {one.name for one in connections.connections(visit.ctx)}
    name = next(name for name in chain((kind,), (f"{kind}_{number}" for number in count(2))) if name not in taken)
    return _form(visit, connector, None, {"name": name, "active": True, "reached": "", "options": _defaults(connector)})


@routes.get("/w/{ws}/connections/{name}", SETTINGS)
def change(visit: Visit) -> Response:
    """The form of a connection."""
    found = connections.find_connection(visit.ctx, str(visit.path["name"]))
    connector = connections.connector_of(visit.ctx, found.kind)
    return _form(visit, connector, found, {"name": found.name, "active": found.active, "reached": found.reached, "options": found.options})


def _defaults(connector: Connector) -> dict[str, Any]:
    return {name: schema["default"] for name, schema in connector.options.items() if "default" in schema}


def _form(visit: Visit, connector: Connector, found: Connection | None, given: Mapping[str, Any], faults: Mapping[str, str] | None = None) -> Response:
    wrong = faults or {}
    controls = [_control(visit, connector, name, schema, given["options"].get(name), wrong) for name, schema in connector.options.items()]
    person = visit.ctx.workspace.entities["person"]
    fits = REACHING.get(connector.reached, ())
    return visit.page(
        "connection.html",
        status=422 if wrong else 200,
        found=found,
        kind=connector.name,
        kind_title=label_text(connector.title, visit.locale, connector.name),
        help=label_text(connector.help, visit.locale),
        icon_name=connector.icon,
        name=given["name"],
        active=given["active"],
        reached=given["reached"],
        fields=[(key, label_text(item.definition.title, visit.locale, key)) for key, item in person.fields.items() if item.type.name in fits],
        needs_address=connector.reached != "fixed",
        controls=controls,
        secret_label=label_text(connector.secret, visit.locale),
        wrong=wrong,
        sandbox=visit.ctx.workspace.sandbox,
    )


def _control(visit: Visit, connector: Connector, name: str, schema: Mapping[str, Any], value: Any, wrong: Mapping[str, str]) -> Control:
    words = schema.get("x-en", {}) if visit.locale == "en" else schema
    kind = "select" if "enum" in schema else {"integer": "number", "boolean": "switch", "object": "lines"}.get(str(schema.get("type")), "text")
    shown = "\n".join(f"{key}={text}" for key, text in value.items()) if isinstance(value, Mapping) else "" if value is None else str(value)
    names = schema.get("x-enum", {})
    options = tuple((str(code), label_text(names.get(code), visit.locale, str(code))) for code in schema.get("enum", ()))
    error = next((text for pointer, text in wrong.items() if pointer == f"/options/{name}" or pointer.startswith(f"/options/{name}/")), "")
    required = name in connector.required_options
    return Control(name, str(words.get("title", name)), str(words.get("description", "")), kind, shown, required, options, error)


@routes.post("/w/{ws}/connections", SETTINGS)
def keep(visit: Visit) -> Response:
    """Set a connection up, or change it."""
    connector, old = connections.connector_of(visit.ctx, visit.text("kind")), visit.text("old")
    name = old or visit.text("name").strip()
    given = {"name": name, "active": visit.text("active") == "true", "reached": visit.text("reached"), "options": _options(visit, connector)}
    secret = visit.text("secret").strip()
    words: dict[str, Any] = {"secret": "" if visit.text("forget") == "true" else secret or None, "reached": given["reached"], "active": given["active"]}
    try:
        made = connections.keep_connection(visit.ctx, name, connector.name, given["options"], new=not old, **words)
    except Invalid as refusal:
        found = connections.find_connection(visit.ctx, old) if old else None
        return _form(visit, connector, found, given, dict(told_faults(refusal, visit.locale)))
    lost = old and connector.secret and not made.has_secret and not secret
    text = _("Saved; the secret was for another host and is forgotten: give it again") if lost else _("Saved")
    return visit.redirect(f"{visit.base}/connections/{made.name}", toast=text, kind="error" if lost else "ok")


def _options(visit: Visit, connector: Connector) -> dict[str, Any]:
    """Options as their schema has them; what cannot be read stays a text, for the schema to refuse."""
    found: dict[str, Any] = {}
    for name, schema in connector.options.items():
        text = visit.text(f"option:{name}").strip()
        if schema.get("type") == "object":
            lines = [line.partition("=") for line in text.splitlines() if line.strip()]
            found[name] = {key.strip(): value.strip() for key, _equals, value in lines} or None
        elif schema.get("type") == "integer" and text.lstrip("-").isdigit() and text.isascii() and len(text) < 16:
            found[name] = int(text)
        elif schema.get("type") == "boolean":
            found[name] = text == "true"
        else:
            found[name] = text
    return found


@routes.post("/w/{ws}/connections/{name}/test", SETTINGS)
def test(visit: Visit) -> Response:
    """Send a test message at once."""
    name = str(visit.path["name"])
    text = visit.text("text").strip() or _("This is a test message.")
    try:
        delivery.try_out(visit.ctx, name, visit.text("address").strip(), text)
    except Invalid as refusal:
        reason = refusal.params.get("reason")
        told = sentence(str(reason[0]), reason[1], visit.locale) if isinstance(reason, tuple) else sentence(refusal.code, refusal.params, visit.locale)
        return visit.redirect(f"{visit.base}/connections/{name}", toast=told, kind="error")
    return visit.redirect(f"{visit.base}/connections/{name}", toast=_("The test message was taken by the service."))


@routes.post("/w/{ws}/connections/{name}/remove", SETTINGS)
def remove(visit: Visit) -> Response:
    """Take a connection away."""
    connections.forget_connection(visit.ctx, str(visit.path["name"]))
    return visit.redirect(f"{visit.base}/connections", toast=_("Removed"))


# --- sources -------------------------------------------------------------------------------------------------------------------------------------


@routes.post("/w/{ws}/sources", SETTINGS)
def make_source(visit: Visit) -> Response:
    """A new key for a source; the page shows it once."""
    name = visit.text("source").strip()
    try:
        secret = intake.make_key(visit.ctx, name)
    except Invalid as refusal:
        return _page(visit, source=name, problem="; ".join(text for _pointer, text in told_faults(refusal, visit.locale)), status=422)
    return _page(visit, secret=secret, source=name)


@routes.post("/w/{ws}/sources/{name}/revoke", SETTINGS)
def revoke_source(visit: Visit) -> Response:
    """End the key of a source."""
    intake.revoke_key(visit.ctx, str(visit.path["name"]))
    return visit.redirect(f"{visit.base}/connections", toast=_("The key is revoked"))
