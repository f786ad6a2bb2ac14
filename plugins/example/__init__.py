"""The plugin to copy: one field type with its macros, one function, one reader. Not loaded unless it is installed or asked for (docs/plugins.md)."""

from pathlib import Path

from engine.api import Plugin

PLUGIN = Plugin(
    name="example",
    version="1.0.0",
    title={"zh": "示例插件", "en": "Example"},
    modules=("plugins.example.colours",),
    templates=Path(__file__).parent / "templates",
    messages={"example_colour": {"zh": "颜色不正确，例如 #3355d1。", "en": "This is no colour; write it like #3355d1."}},
)
