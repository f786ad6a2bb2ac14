"""/_kitchen: every component of the design system in every state, drawn by the same templates. Only on this machine; knows no workspace."""

from __future__ import annotations

from dataclasses import replace

from starlette.responses import Response

from engine.errors import NotFound
from renderer.bound_field import BoundField, LevelView, OptionView
from renderer.requests import Routes, Visit, is_loopback
from renderer.security import PUBLIC
from renderer.shell import Frame, MenuItem, page_view
from renderer.translations import _

routes = Routes()

_COLOURS = (("a", "A", "red"), ("b", "B", "amber"), ("c", "C", "blue"), ("d", "D", "slate"))
_STAGES = (
    ("new", "新线索", "slate"),
    ("contacted", "初步沟通", "blue"),
    ("visited", "已到访", "violet"),
    ("agreed", "已约定", "amber"),
    ("done", "完成", "green"),
    ("lost", "失败", "red"),
)


def _options(rows: tuple[tuple[str, str, str], ...], picked: str = "") -> tuple[OptionView, ...]:
    return tuple(OptionView(code, title, colour, code == picked) for code, title, colour in rows)


def sample_fields() -> list[BoundField]:
    """One field of every widget, filled."""

    def field(key: str, label: str, widget: str, **more: object) -> BoundField:
        return BoundField(**{"key": key, "id": f"k-{key}", "name": key, "label": label, "widget": widget, **more})  # type: ignore[arg-type]

    people = _options((("1", "林晓彤", ""), ("2", "陈思睿", ""), ("3", "吴佳琪", "")), "2")
    tags = _options((("重点", "重点", "red"), ("回访", "回访", "blue")))
    file = (OptionView("1", "协议.pdf", href="#", note="1.2 MB"),)
    return [
        field("name", "姓名", "text", value="张三丰", text="张三丰", required=True),
        field("phone", "手机号", "phone", value="138****8000", text="138****8000", masked=True, help="自动查重"),
        field("remark", "备注", "long_text", value="周末带家人来看\n重点看采光", text="周末带家人来看\n重点看采光", span=2),
        field("rich", "说明", "rich_text", value="<p>请<b>提前</b>联系</p>", text="请提前联系", span=2),
        field("number", "数量", "number", value="12", text="12 件", unit="件", align="end"),
        field("money", "金额", "money", value="3,860,000", text="386 万", unit="元", align="end"),
        field("percent", "比例", "percent", value="12.5", text="12.5%", unit="%", align="end"),
        field("switch", "启用提醒", "boolean", value="true", text="是"),
        field("date", "日期", "date", value="2026-11-23", text="2026-11-23"),
        field("instant", "时间", "instant", value="2026-11-23T10:24", text="2026-11-23 10:24"),
        field("grade", "等级", "choice", value="a", text="A", colour="red", options=_options(_COLOURS, "a"), few=True),
        field("stage", "阶段", "choice", value="visited", text="已到访", colour="violet", options=_options(_STAGES, "visited"), required=True),
        field("focus", "关注点", "choices", value=["b"], text="B", options=_options(_COLOURS, "b"), picked=_options(_COLOURS)[1:3]),
        field("tags", "标签", "tags", value=["重点"], text="重点、回访", picked=tags, options=tags),
        field("owner", "负责人", "person", value="2", text="陈思睿", options=people, picked=people[1:2], href="#"),
        field("link", "关联记录", "link", value="7", text="某公司", picked=(OptionView("7", "某公司", href="#"),), source="#", href="#"),
        field(
            "links", "多个关联", "links", value=["1", "2"], text="甲、乙", picked=(OptionView("1", "甲", href="#"), OptionView("2", "乙", href="#")), source="#"
        ),
        field(
            "region",
            "省市区",
            "region",
            value="330106",
            text="浙江省 杭州市 西湖区",
            source="#",
            levels=(
                LevelView("省", "", (OptionView("33", "浙江省", picked=True),)),
                LevelView("市", "33", (OptionView("3301", "杭州市", picked=True),)),
                LevelView("区县", "3301", (OptionView("330106", "西湖区", picked=True),)),
            ),
        ),
        field("address", "地址", "address", value="文三路 1 号", text="文三路 1 号"),
        field("email", "邮箱", "email", value="a@example.cn", text="a@example.cn"),
        field("url", "网址", "url", value="https://example.cn", text="https://example.cn"),
        field("file", "附件", "files", value=["1"], text="协议.pdf", picked=file, upload="#", multiple=True),
        field("json", "数据", "json", value='{"a": 1}', text='{"a": 1}'),
        field("serial", "编号", "serial", text="KH202611-0001", read_only=True),
        field("sum", "合计", "computed", text="3,860 万", read_only=True),
        field("wrong", "有误的字段", "text", value="12", errors=("至少 4 个字符",), help="不会显示"),
        field("fixed", "只读", "text", value="不能修改", text="不能修改", read_only=True),
    ]


@routes.get("/_kitchen", PUBLIC)
def kitchen(visit: Visit) -> Response:
    """The page itself."""
    if not is_loopback(visit.site, visit.request):
        raise NotFound("no_such_page")
    menus = tuple(
        MenuItem(key, title, name, f"#{key}")
        for key, title, name in (("lists", "列表", "users"), ("forms", "表单", "forms"), ("boards", "看板", "layout-kanban"), ("days", "日历", "calendar"))
    )
    frame = Frame("示例工作区", "设计系统", menus, (MenuItem("people", "人员与角色", "users-group", "#people"),), menus[:3], menus, "#", "", "")
    view = replace(page_view(visit), frame=frame, base="", person="林晓彤", roles="管理员", strip=_("Demo workspace: all people and records here are made up."))
    html = visit.site.pages.render("kitchen.html", page=view, fields=sample_fields(), stages=_STAGES, grades=_COLOURS)
    return Response(html, media_type="text/html")
