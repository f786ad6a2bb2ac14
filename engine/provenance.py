"""Versions as the database keeps them, content-addressed, and where each definition came from: preset, its version, the text it was then.

Stores and loads; what a new version may be is publishing's business.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import Any

import sqlalchemy as sa

from engine.builtin import DOCUMENTS
from engine.errors import NotFound
from engine.system_tables import document, version, version_document
from metadata.bundle import Bundle

Place = tuple[str, str]
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a definition came from. ``preset`` with its version and ``base_digest`` (of the text it had there) when it began in a preset.

    ``origin`` is "preset" while the text is still that of the base, "workspace" once it was changed or when it was made here.
    """

    origin: str = "workspace"
    preset: str = ""
    preset_version: str = ""
    base_digest: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """One published version as the list of versions shows it."""

    number: int
    at: datetime
    by: int | None
    by_name: str
    note: str
    digest: str
    state: str  # live | preparing | refused
    restores: int | None
    unproven: str = ""  # the reason for which its scenarios were left out


def digest_of(text: str) -> str:
    """The name a document's text is kept under."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@lru_cache(maxsize=4096)
def _parsed(digest: str, text: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(text, object_pairs_hook=_shared)
    return found


def _shared(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a document with the texts it has in common with others kept once: a workspace of a thousand documents is a tenth smaller."""
    return {intern(key): _own(value) for key, value in pairs}


def _own(value: Any) -> Any:
    if value.__class__ is str:
        return intern(value)
    return [_own(one) for one in value] if value.__class__ is list else value


def versions(connection: sa.Connection) -> list[Version]:
    """Every version, newest first."""
    return [Version(**row) for row in connection.execute(sa.select(version).order_by(version.c.number.desc())).mappings()]


def version_of(connection: sa.Connection, number: int) -> Version:
    """One version. Raises NotFound."""
    row = connection.execute(sa.select(version).where(version.c.number == number)).mappings().one_or_none()
    if row is None:
        raise NotFound("unknown_version", version=number)
    return Version(**row)


def last_number(connection: sa.Connection) -> int:
    """The highest number given, 0 before the first publish."""
    return connection.execute(sa.select(sa.func.max(version.c.number))).scalar() or 0


def preparing(connection: sa.Connection) -> Version | None:
    """The version being prepared, if any."""
    row = connection.execute(sa.select(version).where(version.c.state == "preparing")).mappings().first()
    return Version(**row) if row else None


def load_bundle(connection: sa.Connection, number: int) -> Bundle:
    """The definitions of a version; version 0 has none of its own. Raises NotFound for a version that is not there."""
    if number:
        version_of(connection, number)
    rows = connection.execute(
        sa.select(version_document.c.kind, version_document.c.key, document.c.digest, document.c.text)
        .join(document, document.c.digest == version_document.c.digest)
        .where(version_document.c.version == number)
    ).all()
    return Bundle({(kind, key): _parsed(digest, text) for kind, key, digest, text in rows}, DOCUMENTS, texts={(kind, key): text for kind, key, _, text in rows})


def origins(connection: sa.Connection, number: int) -> dict[Place, Origin]:
    """Where each definition of a version came from."""
    columns = version_document.c
    rows = connection.execute(
        sa.select(columns.kind, columns.key, columns.origin, columns.preset, columns.preset_version, columns.base_digest).where(columns.version == number)
    ).all()
    return {(kind, key): Origin(origin, preset or "", at or "", base or "") for kind, key, origin, preset, at, base in rows}


def base_documents(connection: sa.Connection, known: Mapping[Place, Origin]) -> dict[Place, Mapping[str, Any]]:
    """The documents as they were in the preset when the workspace took them: the base of a three-way merge."""
    wanted = sorted({origin.base_digest for origin in known.values() if origin.base_digest})
    texts: dict[str, str] = {}
    for start in range(0, len(wanted), _CHUNK):
        texts |= dict(connection.execute(sa.select(document.c.digest, document.c.text).where(document.c.digest.in_(wanted[start : start + _CHUNK]))).all())
    return {place: _parsed(origin.base_digest, texts[origin.base_digest]) for place, origin in known.items() if origin.base_digest in texts}


def from_preset(bundle: Bundle) -> dict[Place, Origin]:
    """Origins of definitions freshly taken from a preset's folder."""
    preset, at = bundle.preset.key, bundle.preset.version
    return {place: Origin("preset", preset, at, digest_of(bundle.text(*place))) for place in bundle.documents}


def carried(bundle: Bundle, known: Mapping[Place, Origin], taken: Mapping[Place, Origin] | None = None) -> dict[Place, Origin]:
    """Origins of the next version: ``taken`` where a preset was published again, else what was known; changed here when the text is not the base's."""
    found: dict[Place, Origin] = {}
    for place in bundle.documents:
        source = (taken or {}).get(place) or known.get(place) or Origin()
        same = bool(source.base_digest) and digest_of(bundle.text(*place)) == source.base_digest
        found[place] = Origin("preset" if same else "workspace", source.preset, source.preset_version, source.base_digest)
    return found


def store_version(connection: sa.Connection, new: Version, bundle: Bundle, sources: Mapping[Place, Origin], base_texts: Iterable[str] = ()) -> None:
    """Write a version with its documents, inside the publishing transaction; texts already kept are not written again."""
    texts = {place: bundle.text(*place) for place in bundle.documents}
    digests = {place: digest_of(text) for place, text in texts.items()}
    wanted = {digests[place]: text for place, text in texts.items()} | {digest_of(text): text for text in base_texts}
    _store_texts(connection, wanted)
    connection.execute(
        version.insert().values(
            number=new.number,
            at=new.at,
            by=new.by,
            by_name=new.by_name,
            note=new.note,
            digest=new.digest,
            state=new.state,
            restores=new.restores,
            unproven=new.unproven,
        )
    )
    rows = [
        {
            "version": new.number,
            "kind": place[0],
            "key": place[1],
            "digest": digests[place],
            "origin": source.origin,
            "preset": source.preset or None,
            "preset_version": source.preset_version or None,
            "base_digest": source.base_digest or None,
        }
        for place in texts
        for source in (sources.get(place, Origin()),)
    ]
    if rows:
        connection.execute(version_document.insert(), rows)


def _store_texts(connection: sa.Connection, texts: Mapping[str, str]) -> None:
    names = list(texts)
    for start in range(0, len(names), _CHUNK):
        chunk = names[start : start + _CHUNK]
        known = set(connection.execute(sa.select(document.c.digest).where(document.c.digest.in_(chunk))).scalars())
        rows = [{"digest": name, "text": texts[name]} for name in chunk if name not in known]
        if rows:
            connection.execute(document.insert(), rows)
