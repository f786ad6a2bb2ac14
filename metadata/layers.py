"""Where a definition came from and what was changed since: preset at a version below, the workspace's own above. Pure; the engine keeps the origins."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from metadata.bundle import Bundle
from metadata.compare import Difference, compare
from metadata.keyed import identical

State = Literal["untouched", "customised", "own", "removed"]


@dataclass(frozen=True, slots=True)
class Layer:
    """The layer a definition stands on. ``base``: its document there; None for one that was made in the workspace."""

    preset: str = ""
    version: str = ""
    base: Mapping[str, Any] | None = None


def state(layer: Layer, document: Mapping[str, Any] | None) -> State:
    """How a definition relates to the layer it stands on."""
    if layer.base is None:
        return "own"
    if document is None:
        return "removed"
    return "untouched" if identical(layer.base, document) else "customised"


def customised(layer: Layer, kind: str, key: str, document: Mapping[str, Any] | None) -> list[Difference]:
    """What the workspace changed in a definition, each place with the value of its base before and its own after."""
    place = (kind, key)
    below = Bundle({place: layer.base} if layer.base is not None else {})
    above = Bundle({place: document} if document is not None else {})
    return compare(below, above)
