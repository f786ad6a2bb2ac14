"""The world of the records room, for questions about who sees what."""

from tests.engine.records.conftest import make_module_world, make_world  # noqa: F401
