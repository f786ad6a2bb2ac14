"""Commands about messages: keys of sources, and letting the outbox of a restored workspace go."""

from __future__ import annotations

from argparse import Namespace

from engine import intake, outbox, publishing
from metadata.text import label_text
from renderer import serving
from renderer.commands import Answer, opened_home


def source_create(given: Namespace) -> Answer:
    """A new key for a source, printed once."""
    with opened_home() as home:
        ctx = publishing.operator(home, given.workspace)
        secret, waiting = intake.make_key(ctx, given.source), len(intake.waiting_rules(ctx.workspace, given.source))
        address = f"{serving.base_url(home.settings, home.settings.host, home.settings.port)}/intake/{given.workspace}/{given.source}"
    lines = [secret, address]
    if not waiting:
        lines.append(label_text({"zh": "注意：还没有规则接收这个来源", "en": "Note: no rule waits for this source yet"}, given.locale))
    return Answer(lines, {"source": given.source, "secret": secret, "url": address, "rules": waiting})


def source_list(given: Namespace) -> Answer:
    """The sources of a workspace."""
    with opened_home() as home:
        found = intake.source_keys(publishing.operator(home, given.workspace))
    revoked = label_text({"zh": "已吊销", "en": "revoked"}, given.locale)
    lines = [f"{key.source} {key.created_at:%Y-%m-%d}{' ' + revoked if key.revoked_at else ''}" for key in found]
    return Answer(lines, [{"source": key.source, "created_at": key.created_at, "revoked_at": key.revoked_at, "rules": key.rules} for key in found])


def source_revoke(given: Namespace) -> Answer:
    """End the key of a source."""
    with opened_home() as home:
        intake.revoke_key(publishing.operator(home, given.workspace), given.source)
    return Answer([given.source], {"source": given.source})


def outbox_release(given: Namespace) -> Answer:
    """Let held messages go."""
    with opened_home() as home:
        count = outbox.release(publishing.operator(home, given.workspace))
    return Answer([f"{count}"], {"released": count})
