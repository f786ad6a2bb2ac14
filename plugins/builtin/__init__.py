"""Words that come with the product but are built like any plugin's, so that the plugin interface is known to suffice."""

from engine.api import Plugin

PLUGIN = Plugin(
    name="builtin",
    version="1.0.0",
    title={"zh": "内置插件", "en": "Built-in"},
    modules=("plugins.builtin.values",),
    messages={
        "builtin_rating": {"zh": "请填写 1 到 {most} 颗星。", "en": "Give 1 to {most} stars."},
        "builtin_yes_no": {"zh": "没有读出“是”或“否”。", "en": "Neither yes nor no was found."},
    },
)
