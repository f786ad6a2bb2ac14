"""The customers of the benchmark: the same rows for the product and for the hand-written twin, made from a seed."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁于蒋蔡余杜叶程苏魏吕丁任沈姚卢傅钟姜崔谭廖范汪陆金石戴贾韦夏邱方侯邹熊孟秦白江阎薛尹"
GIVEN = "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂文辉玲健红波斌宁云飞鹏华亮建国庆志海燕雪梅欣怡子轩浩宇梓涵诗佳琪思远"
STAGES = ("new", "contacted", "visited", "reserved", "signed", "lost")
SOURCES = ("natural", "call", "online", "agency", "referral")
AREAS = ("城东", "城西", "滨江", "高新", "老城")
FOCUS = ("school", "price", "layout", "traffic", "view")


def phone(number: int) -> str:
    """A mobile number of its own for each row."""
    return f"1{3 + number // 10**9 % 7}{number % 10**9:09}"


def name(chance: random.Random) -> str:
    """A Chinese name of two or three characters."""
    return chance.choice(SURNAMES) + chance.choice(GIVEN) + (chance.choice(GIVEN) if chance.random() < 0.75 else "")


def customer(chance: random.Random, number: int, owners: Sequence[int], team: int | None = None) -> dict[str, Any]:
    """The JSON input of one record with all 25 fields."""
    low = chance.randint(50, 500) * 1_000_000
    owner = chance.choice(owners)
    return {
        "name": name(chance),
        "phone": phone(number),
        "phone2": phone(number + 5 * 10**8) if chance.random() < 0.2 else None,
        "gender": chance.choice("mf"),
        "grade": chance.choice("abcd"),
        "stage": chance.choice(STAGES),
        "source": chance.choice(SOURCES),
        "wechat": f"wx{number}",
        "area": chance.choice(AREAS),
        "work_area": chance.choice(AREAS),
        "address": f"人民路 {number % 999} 号",
        "motive": "改善住房，孩子上学",
        "rival": "城市之光",
        "remark": "喜欢南向，周末到访",
        "budget_min": low,
        "budget_max": low + 100_000_000,
        "birth": f"{chance.randint(1960, 2000)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}",
        "expected_on": f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}",
        "next_at": f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}T{chance.randint(9, 20):02}:30:00+08:00",
        "owner": owner,
        "team": team,
        "helper": chance.choice(owners) if chance.random() < 0.3 else None,
        "focus": chance.sample(FOCUS, chance.randint(1, 3)),
        "visits": chance.randint(0, 9),
        "vip": chance.random() < 0.1,
    }


def customers(rows: int, owners: Sequence[int], seed: int = 1) -> Iterator[dict[str, Any]]:
    """The same ``rows`` records for every call with the same arguments; record ``n`` becomes id ``n + 1``."""
    chance = random.Random(seed)
    return (customer(chance, number, owners) for number in range(rows))
