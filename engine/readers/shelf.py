"""The engine's own readers."""

from engine.readers.base import CellReader

READERS: tuple[CellReader, ...] = ()
