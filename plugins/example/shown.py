"""What record pages show: the panel ``example_age``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.api import PanelContext, Row, page_panel


@page_panel("example_age", title={"zh": "示例：多久了", "en": "Example: how old"}, icon="hourglass")
def age(ctx: PanelContext, record: Mapping[str, Any]) -> Sequence[Row] | None:
    """``record`` holds what the reader may see; ``ctx.find`` reads others under their rights. None: no panel today."""
    if "created_at" not in record:
        return None
    days = (ctx.now - record["created_at"]).days
    return [Row({"zh": "已有", "en": "Old"}, f"{days} {'天' if ctx.locale == 'zh' else 'days'}", "amber" if days > 30 else "")]
