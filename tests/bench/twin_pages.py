"""The hand-written twin's pages: what the product shows around and inside its list and its form, written out in Jinja2 for this one table.

The same menus, search, order, bulk bar, kept views, count, masks, token and controls, in one language; without what only the product's own pages do
with them afterwards. Texts that never change stand in the templates as they are; rows are drawn by closures and only looped over.
"""

import hmac
from datetime import date, datetime
from hashlib import sha256
from secrets import token_hex
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import DictLoader, Environment
from markupsafe import Markup, escape

from tests.bench.twin_words import DATES, ENUMS, FIELDS, FOCUS, GRADES, LIST_COLUMNS, MONEYS, PHONES, REFS, REQUIRED, SOURCES, STAGES, TEXTS, TITLES

ZONE = ZoneInfo("Asia/Shanghai")
NUMBERS = ("budget_min", "visits")


def icon(name: str) -> str:
    return f'<svg class="icon" aria-hidden="true"><use href="/static/icons.svg#{name}"></use></svg>'


BASE = f"""<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover"><meta name="csrf" content="{{{{ csrf }}}}">
<title>{{% block title %}}{{% endblock %}} · 客户</title><link rel="icon" href="/static/favicon.svg"><link rel="stylesheet" href="/static/app.css">
<script src="/static/theme.js"></script><script src="/static/htmx.js" defer></script><script src="/static/app.js" defer></script></head>
<body hx-ext="morph"><a class="skip" href="#main">跳到正文</a><div id="progress" aria-hidden="true"></div><div class="shell">
<aside class="side" aria-label="菜单"><a class="brand" href="/"><span class="logo" aria-hidden="true">客</span><span>客户</span></a><nav class="nav" aria-label="菜单">
<a href="/">{icon("layout-dashboard")}<span>工作台</span></a><a href="/customers"{{% if here == "/customers" %}} aria-current="page"{{% endif %}}>{icon("users")}<span>客户</span></a></nav></aside>
<div class="body"><header class="top"><div class="crumbs">{{% block crumbs %}}{{% endblock %}}<h1>{{{{ self.title() }}}}</h1></div>
<form class="search-box" role="search" action="/search" method="get">{icon("search")}<input class="input" id="search-all" type="search" name="q" autocomplete="off" placeholder="姓名、拼音首字母、手机号或后四位" aria-label="全局搜索"></form>
<button class="btn quiet square" type="button" data-open="create" aria-label="新建">{icon("plus")}</button>
<a class="btn quiet square bell" id="bell" href="/inbox" hx-get="/inbox/bell" hx-trigger="every 45s" hx-swap="outerHTML" aria-label="{{{{ "消息，%s 条未读" % unread if unread else "消息" }}}}">{icon("bell")}{{% if unread %}}<span class="badge num">{{{{ "99+" if unread > 99 else unread }}}}</span>{{% endif %}}</a>
<details class="menu" id="person-menu"><summary class="btn quiet square" aria-label="我的菜单"><span class="avatar">{{{{ me.name[:1] }}}}</span></summary><div class="drop">
<p class="caption"><b>{{{{ me.name }}}}</b> · {{{{ "管理员" if me.role == "admin" else "成员" }}}}</p><hr><p class="caption">外观</p>
<div class="segments" role="group" aria-label="外观"><button type="button" data-look="theme:system">{icon("sun-moon")} 系统</button><button type="button" data-look="theme:light">{icon("sun")} 浅色</button><button type="button" data-look="theme:dark">{icon("moon")} 深色</button></div>
<form method="post" action="/preferences" class="row caption"><input type="hidden" name="csrf" value="{{{{ csrf }}}}"><input type="hidden" name="next" value="{{{{ here }}}}"><button type="submit" name="density" value="compact">紧凑</button></form><hr>
<a href="/account">{icon("user-circle")} 我的账号</a><form method="post" action="/logout"><input type="hidden" name="csrf" value="{{{{ csrf }}}}"><button type="submit">{icon("logout")} 退出登录</button></form></div></details></header>
<main id="main" class="page" tabindex="-1">{{% block main %}}{{% endblock %}}</main></div></div>
<nav class="tabbar" aria-label="主要导航"><a href="/">{icon("layout-dashboard")}<span>工作台</span></a><a href="/customers"{{% if here == "/customers" %}} aria-current="page"{{% endif %}}>{icon("users")}<span>客户</span></a><button type="button" data-open="create" aria-label="新建">{icon("plus")}</button><button type="button" data-drawer>{icon("dots")}<span>更多</span></button></nav>
<dialog id="create"><div class="head"><h2>新建</h2><button class="btn quiet square" type="button" data-close aria-label="关闭">{icon("x")}</button></div><ul><li><a class="row" href="/customers/new">{icon("file-text")} 客户</a></li></ul></dialog>
<dialog id="dialog" aria-live="polite"></dialog><div id="toasts" role="status" aria-live="polite" data-msg-undo="撤销" data-msg-close="关闭" data-msg-unsaved="填写的内容还没有保存，确定离开吗？"></div></body></html>"""

SORTS = (
    ("expected_on,id", "默认排序"),
    ("-id", "最新录入"),
    *((f"{sign}{name}", f"{TITLES[name]} {text}") for name in LIST_COLUMNS if name != "phone" for sign, text in (("", "升序"), ("-", "降序"))),
)
HEADS = "".join(
    f'<th scope="col"{" class=end" if name in NUMBERS else ""}{" aria-sort=ascending" if name == "expected_on" else ""}>'
    + (TITLES[name] if name == "phone" else f'<a href="/customers?sort={"-" if name == "expected_on" else ""}{name}">{TITLES[name]}</a>')
    + "</th>"
    for name in LIST_COLUMNS
)
LIST = f"""{{% extends "base.html" %}}{{% block title %}}已到访{{% endblock %}}{{% block main %}}<div class="list-head"><nav class="tabs" aria-label="视图" hx-get="/customers/counts" hx-trigger="load delay:60ms" hx-swap="none">
<a href="/customers"{{% if not view %}} aria-current="page"{{% endif %}}>已到访 <span class="count" id="tab-visited"></span></a>{{% for one in views %}}<a href="/customers?view={{{{ one.id }}}}"{{% if one.id == view %}} aria-current="page"{{% endif %}} title="{{{{ "共享视图" if one.shared else "我的视图" }}}}">{{{{ one.title }}}}</a>{{% endfor %}}</nav>
<details class="menu" id="list-menu"><summary class="btn square" aria-label="更多">{icon("dots")}</summary><div class="drop"><button type="button" hx-get="/customers/save" hx-target="#dialog">{icon("bookmark")} 存为视图</button>{{% if me.role == "admin" %}}<a href="/customers/export" download>{icon("download")} 导出</a><a href="/customers/import">{icon("table-import")} 导入</a>{{% endif %}}<button type="button" data-print>{icon("printer")} 打印</button></div></details>
<a class="btn primary" href="/customers/new">{icon("plus")} 新建客户</a></div>
<form class="filters" id="filters" action="/customers" method="get" hx-get="/customers" hx-target="#list" hx-push-url="true" hx-trigger="submit, change, input changed delay:300ms from:#q" hx-sync="this:replace">
<span class="search-box">{icon("search")}<input class="input" id="q" type="search" name="q" value="{{{{ q }}}}" placeholder="在列表中搜索" aria-label="在列表中搜索" autocomplete="off" maxlength="60"></span><input type="hidden" name="where" id="where" value="{{{{ where }}}}">
<button class="btn quiet" type="button" hx-get="/customers/filter" hx-include="#filters" hx-target="#dialog">{icon("filter")} 筛选</button>
<select class="select" name="sort" aria-label="排序">{{% for word, text in sorts %}}<option value="{{{{ word }}}}"{{% if word == sort %}} selected{{% endif %}}>{{{{ text }}}}</option>{{% endfor %}}</select>
<button class="btn square" type="button" aria-label="选择列" hx-get="/customers/columns" hx-include="#filters" hx-target="#dialog">{icon("columns-3")}</button></form>
<div id="list"><div class="bulk" id="bulk" role="region" aria-label="已选记录" hidden><span>已选 <b id="bulk-count">0</b></span><button class="btn small" type="button" hx-get="/customers/bulk?assign=1" hx-target="#dialog">{icon("user-check")} 分派</button>
<button class="btn small" type="button" hx-get="/customers/bulk" hx-target="#dialog">{icon("edit")} 修改字段</button><button class="btn small quiet" type="button" data-choose-none>取消选择</button></div>
<div class="grid card"><form class="scroller" id="export-chosen" action="/customers/export" method="get"><table class="table"><thead><tr><th class="tick"><label><input class="check" type="checkbox" data-all aria-label="选择已显示的全部"></label></th>{HEADS}<th class="acts"><span class="sr-only">操作</span></th></tr></thead>
<tbody>{{% for row in rows %}}{{{{ row }}}}{{% endfor %}}
{{% if next %}}<tr class="more-row" id="more" hx-get="?after={{{{ next }}}}" hx-trigger="intersect once" hx-target="this" hx-swap="outerHTML"><td colspan="12"><a class="btn small" href="?after={{{{ next }}}}">更多</a> 已显示 {{{{ rows | length }}}} 条</td></tr>{{% endif %}}</tbody></table></form>
<p class="list-foot"><span class="num">{{{{ "1,000+" if count > 1000 else count }}}} 条记录</span>{{% if count > 1000 %}}<a href="?limit=exact">精确计数</a>{{% endif %}}{{% if next %}}<span>向下滚动查看更多</span>{{% endif %}}</p></div></div>{{% endblock %}}"""


def control(name: str) -> str:
    """One control of the form as a person would have typed it; ``{{ values.X }}`` is filled in."""
    given, value = f'id="f-{name}" name="{name}"' + (' aria-required="true"' if name in REQUIRED else ""), f'value="{{{{ values.{name} or "" }}}}"'
    if name == "stage":
        options = "".join(f'<option value="{code}"{{% if values.stage == "{code}" %}} selected{{% endif %}}>{text}</option>' for code, text in STAGES.items())
        return f'<select class="select" {given}><option value=""></option>{options}</select>'
    if name in ENUMS:
        options = "".join(
            f'<label><input class="radio" type="radio" name="{name}" value="{code}"{{% if values.{name} == "{code}" %}} checked{{% endif %}}> {text}</label>'
            for code, text in ENUMS[name].items()
        )
        none = f'<label class="faint"><input class="radio" type="radio" name="{name}" value=""{{% if not values.{name} %}} checked{{% endif %}}> 无</label>'
        return f'<span class="choices" role="radiogroup" aria-labelledby="f-{name}-label" id="f-{name}">{options}{none}</span>'
    if name == "focus":
        boxes = "".join(
            f'<label><input class="check" type="checkbox" name="focus" value="{code}"{{% if values.focus and "{code}" in values.focus %}} checked{{% endif %}}> {text}</label>'
            for code, text in FOCUS.items()
        )
        return f'<input type="hidden" name="focus" value=""><span class="choices" role="group" aria-labelledby="f-focus-label" id="f-focus">{boxes}</span>'
    if name == "vip":
        return '<input type="hidden" name="vip" value="false"><input class="switch" type="checkbox" role="switch" id="f-vip" name="vip" value="true"{% if values.vip %} checked{% endif %}>'
    if name in REFS:
        return (
            f'<div class="pick" data-pick data-name="{name}"><div class="picked" data-picked><input type="hidden" name="{name}" value="{{{{ values.{name}.id }}}}"></div>'
            f'<span class="search-box">{icon("search")}<input class="input" type="text" id="f-{name}" name="q" form="outside" role="combobox" aria-expanded="false" autocomplete="off" '
            f'placeholder="输入文字查找" value="{{{{ values.{name}.label }}}}" hx-get="/pick/{name}" hx-trigger="input changed delay:200ms, focus once" hx-target="#f-{name}-options"></span>'
            f'<div class="options" id="f-{name}-options" role="listbox" aria-label="{TITLES[name]}"></div></div>'
        )
    if name in MONEYS:
        return f'<span class="with-unit"><input class="input num" type="text" {given} inputmode="text" {value}><span class="unit" aria-hidden="true">元</span></span>'
    kind = "tel" if name in PHONES else "date" if name in DATES else "datetime-local" if name == "next_at" else "text"
    return f'<input class="input" type="{kind}" {given}{f" maxlength={TEXTS[name]}" if name in TEXTS else ""} {value}>'


FORM = f"""{{% extends "base.html" %}}{{% block title %}}客户{{% endblock %}}{{% block crumbs %}}<a href="/customers">客户</a> {
    icon("chevron-right")
}{{% endblock %}}{{% block main %}}
<div class="paper"><form class="card form" id="record-form" method="post" action="/customers/new" data-guard data-check="/customers/check" hx-post="/customers/new" hx-target="#record-form" hx-swap="morph:outerHTML" hx-sync="this:drop" novalidate>
<input type="hidden" name="csrf" value="{{{{ csrf }}}}"><input type="hidden" name="once" value="{{{{ once }}}}"><input type="hidden" name="touched" value="">
<div class="content"><fieldset class="form-section"><legend>资料</legend><div class="fields c2">
{
    "".join(
        f'<div class="field" id="f-{name}-field"><label class="label{" required" if name in REQUIRED else ""}" id="f-{name}-label" for="f-{name}">{TITLES[name]}</label>{control(name)}</div>'
        for name in FIELDS
    )
}
</div></fieldset></div><div class="savebar"><a class="btn quiet" href="/customers" data-close>取消</a><button class="btn" type="submit" name="again" value="1">保存并继续新建</button>
<button class="btn primary" type="submit" title="Ctrl+Enter">{icon("check")} 保存</button></div></form></div>{{% endblock %}}"""

TEMPLATES = Environment(autoescape=True, auto_reload=False, loader=DictLoader({"base.html": BASE, "list.html": LIST, "form.html": FORM}))
LIST_PAGE, FORM_PAGE = TEMPLATES.get_template("list.html"), TEMPLATES.get_template("form.html")
EMPTY = {**dict.fromkeys(FIELDS), **{name: {"id": "", "label": ""} for name in REFS}}


def csrf_of(session: str) -> str:
    """A token of a session for the forms of one page."""
    salt = token_hex(8)
    return f"{salt}.{hmac.new(session.encode(), salt.encode(), sha256).hexdigest()[:40]}"


def draw_list(me: Any, session: str, unread: int, records: list[dict[str, Any]], following: str | None, views: list[Any], count: int) -> str:
    """The page of a list: the first, or a further one."""
    given = {"q": "", "where": "", "view": None, "sort": "expected_on,id", "sorts": SORTS, "here": "/customers"}
    return LIST_PAGE.render(
        me=me, unread=unread, csrf=csrf_of(session), rows=[row(record) for record in records], next=following, views=views, count=count, **given
    )


def draw_form(me: Any, session: str, unread: int) -> str:
    """An empty form; its owner is who asks."""
    values = {**EMPTY, "owner": {"id": me.id, "label": me.name}}
    return FORM_PAGE.render(me=me, unread=unread, csrf=csrf_of(session), once=token_hex(16), values=values, here="/customers/new")


def row(record: dict[str, Any]) -> Markup:
    """One row as HTML; everything that people have typed is escaped."""
    key, name, phone, owner = record["id"], escape(record["name"]), record["phone"], record["owner"]
    budget, on, at = record["budget_min"], record["expected_on"], record["next_at"]
    return Markup(
        f'<tr id="row-{key}"><td class="tick"><label><input class="check" type="checkbox" name="ids" value="{key}" aria-label="选择 {name}"></label></td>'
        f'<td class="title"><a href="/customers/{key}">{name}</a></td><td><span class="num muted">{phone or ""}</span></td><td>{GRADES.get(record["grade"], "")}</td>'
        f'<td>{STAGES.get(record["stage"], "")}</td><td>{SOURCES.get(record["source"], "")}</td><td class="end">{f"{budget / 1_000_000:,.0f} 万" if budget else ""}</td>'
        f"<td>{escape(owner['label']) if owner and owner['label'] else ''}</td><td>{day(on) if on else ''}</td><td>{moment(at) if at else ''}</td>"
        f'<td class="end">{record["visits"] or 0}</td><td class="acts"><button class="btn small quiet square" type="button" aria-label="更多" hx-get="/customers/row/{key}" hx-target="#dialog">⋯</button></td></tr>'
    )


def day(on: date) -> str:
    return f'<span class="num" title="{on.isoformat()}">{on:%m-%d}</span>'


def moment(at: datetime) -> str:
    local = at.astimezone(ZONE)
    return f'<span class="num" title="{local:%Y-%m-%d %H:%M}">{local:%m-%d %H:%M}</span>'
