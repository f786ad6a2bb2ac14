"""What a panel on a record's page is: small rows, or data for a template of its plugin. Drawing it is the renderer's business."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from metadata.text import Label


class FindRecords(Protocol):
    """Reads records as the reader of the page may see them."""

    def __call__(self, entity: str, where: str = "", *, sort: Sequence[str] = (), limit: int = 20) -> Sequence[Mapping[str, Any]]:
        """At most 200 records of an entity; [] when the reader may see none. ``sort``: field keys, '-' in front for descending."""


@dataclass(frozen=True, slots=True)
class PanelContext:
    """Who looks, and when. ``find`` reads under the reader's rights, as the record itself was read."""

    entity: str
    now: datetime
    timezone: ZoneInfo
    locale: str
    find: FindRecords


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a panel: a caption and a text, with a colour name or a link within the application where one helps."""

    label: Label
    text: str
    colour: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class PagePanel:
    """A panel on the pages of ``entity``'s records ('*': of all). ``show(ctx, record)`` gives rows, data for ``template``, or None for no panel today.

    ``record`` holds what the reader may see of it: fields they may not read are not there. ``template`` stands in the plugin's folder.
    """

    name: str
    entity: str
    title: Label
    show: Callable[[PanelContext, Mapping[str, Any]], Sequence[Row] | Mapping[str, Any] | None]
    template: str = ""
    icon: str = "puzzle"
    order: int = field(default=100)
