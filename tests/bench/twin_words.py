"""What the hand-written twin calls things: choices, fields and their Chinese titles."""

GRADES = {"a": "A", "b": "B", "c": "C", "d": "D"}
STAGES = {"new": "新线索", "contacted": "初步沟通", "visited": "已到访", "reserved": "认筹", "signed": "签约", "lost": "战败"}
SOURCES = {"natural": "自然到访", "call": "来电", "online": "线上", "agency": "中介", "referral": "老带新"}
GENDERS = {"m": "男", "f": "女"}
FOCUS = {"school": "学区", "price": "价格", "layout": "户型", "traffic": "交通", "view": "景观"}
TEXTS = {"name": 60, "wechat": 60, "area": 60, "work_area": 60, "address": 200, "motive": 200, "rival": 60, "remark": 500}
ENUMS = {"grade": GRADES, "stage": STAGES, "source": SOURCES, "gender": GENDERS}
MONEYS = ("budget_min", "budget_max")
DATES = ("birth", "expected_on")
PHONES = ("phone", "phone2")
REFS = ("owner", "team", "helper")
FIELDS = (
    "name",
    "phone",
    "phone2",
    "gender",
    "grade",
    "stage",
    "source",
    "wechat",
    "area",
    "work_area",
    "address",
    "motive",
    "rival",
    "remark",
    "budget_min",
    "budget_max",
    "birth",
    "expected_on",
    "next_at",
    "owner",
    "team",
    "helper",
    "focus",
    "visits",
    "vip",
)
REQUIRED = ("name", "phone", "stage")
LINKS = {"owner": "person", "helper": "person", "team": "team"}
LIST_COLUMNS = ("name", "phone", "grade", "stage", "source", "budget_min", "owner", "expected_on", "next_at", "visits")
TITLES = {
    "name": "姓名",
    "phone": "电话",
    "phone2": "备用电话",
    "gender": "性别",
    "grade": "意向等级",
    "stage": "阶段",
    "source": "来源",
    "wechat": "微信",
    "area": "居住区域",
    "work_area": "工作区域",
    "address": "地址",
    "motive": "动机",
    "rival": "竞品",
    "remark": "备注",
    "budget_min": "预算下限",
    "budget_max": "预算上限",
    "birth": "出生",
    "expected_on": "预计到访",
    "next_at": "下次联系",
    "owner": "顾问",
    "team": "团队",
    "helper": "协助",
    "focus": "关注点",
    "visits": "到访次数",
    "vip": "重点",
}
