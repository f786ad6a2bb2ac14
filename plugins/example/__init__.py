"""The plugin to copy: each kind of word once, in the fewest lines. Not loaded unless it is installed or asked for (docs/plugins.md)."""

from pathlib import Path

from engine.api import Plugin

PLUGIN = Plugin(
    name="example",
    version="1.0.0",
    title={"zh": "示例插件", "en": "Example"},
    description={"zh": "每种词各一个", "en": "Each kind of word once"},
    modules=("plugins.example.colours", "plugins.example.effects", "plugins.example.shown"),
    templates=Path(__file__).parent / "templates",
    capabilities={"writes": ("given",), "does": ("notify",), "network": ("*",), "pages": ("*",)},
    messages={"example_colour": {"zh": "颜色不正确，例如 #3355d1。", "en": "This is no colour; write it like #3355d1."}},
)
