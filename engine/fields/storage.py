"""The column types of field types in one place to import from; what they do is written in engine/storage.py."""

from engine.storage import EPOCH, Instant, JsonList, JsonValue, Key, from_micros, to_micros

__all__ = ["EPOCH", "Instant", "JsonList", "JsonValue", "Key", "from_micros", "to_micros"]
