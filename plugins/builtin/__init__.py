"""Words that come with the product but are built like any plugin's, so that the plugin interface is known to suffice."""

from engine.api import Plugin

PLUGIN = Plugin(
    name="builtin",
    version="1.0.0",
    title={"zh": "内置插件", "en": "Built-in"},
    modules=(
        "plugins.builtin.values",
        "plugins.builtin.amounts",
        "plugins.builtin.turns",
        "plugins.builtin.mail",
        "plugins.builtin.gateways",
        "plugins.builtin.robots",
        "plugins.builtin.ledgers",
        "plugins.builtin.records",
        "plugins.builtin.outside",
        "plugins.builtin.tiers",
    ),
    description={
        "zh": "语言自带的动作、评分字段、年龄函数和常用的发送连接",
        "en": "The actions of the language, stars, ages, and the usual ways for messages to leave",
    },
    capabilities={
        "reads": ("given",),
        "writes": ("given", "person"),
        "does": ("send", "emit", "ask", "engine ledger.balances", "engine stored", "engine merge", "engine merge.undo", "engine person.disable"),
        "network": ("*",),
    },
    messages={
        "builtin_rating": {"zh": "请填写 1 到 {most} 颗星。", "en": "Give 1 to {most} stars."},
        "builtin_one_amount": {"zh": "分摊需要一个金额或一列金额，二者给一个。", "en": "Give one amount or a list of amounts to share out, not both."},
        "builtin_no_weight": {"zh": "份额的权重合计为零，无法分摊。", "en": "The weights are all zero: there is nobody to share it out to."},
        "builtin_tiers_none": {"zh": "没有档位。", "en": "There are no tiers."},
        "builtin_tiers_gap": {"zh": "档位在 {at} 处有空缺。", "en": "The tiers leave a gap at {at}."},
        "builtin_tiers_overlap": {"zh": "档位在 {at} 处重叠。", "en": "The tiers overlap at {at}."},
        "builtin_tier_rate": {
            "zh": "从 {at} 起的档位要么写费率，要么写每单位金额，二者只写其一。",
            "en": "The tier from {at} needs either a rate or an amount per unit.",
        },
        "builtin_tier_fixed": {"zh": "按金额分段时每档只能写费率。", "en": "By brackets of amount every tier needs a rate, not an amount per unit."},
        "builtin_mail_address": {"zh": "收件地址不是一个邮箱地址。", "en": "The receiver's address is no mail address."},
        "builtin_status": {"zh": "对方答复 {status}：{said}", "en": "The receiver answered {status}: {said}"},
        "builtin_gateway_said": {"zh": "网关没有表示成功：{said}", "en": "The gateway did not say that it succeeded: {said}"},
        "builtin_errcode": {"zh": "对方拒绝（{number}）：{said}", "en": "The service refused it ({number}): {said}"},
        "builtin_no_account": {
            "zh": "企业微信里没有账号 {account}，或不在应用的可见范围内。",
            "en": "WeCom has no account {account}, or the application may not see it.",
        },
        "builtin_no_ledger": {"zh": "“{name}”不是台账。", "en": "{name} is no ledger."},
        "builtin_ledger_values": {"zh": "{fields} 由台账自己填写，不能另外给值。", "en": "{fields} are filled in by the ledger itself."},
        "builtin_yes_no": {"zh": "没有读出“是”或“否”。", "en": "Neither yes nor no was found."},
    },
)
