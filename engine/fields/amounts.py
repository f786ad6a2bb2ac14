"""Numbers as people write them: full-width digits, thousands separators, 万 and 亿, Chinese numerals, currency signs. Exact; no ranges (readers do those)."""

import re
import unicodedata
from decimal import Decimal

#: Multipliers written after a number.
UNITS = {"十": 10, "百": 100, "千": 1_000, "k": 1_000, "万": 10_000, "w": 10_000, "百万": 1_000_000, "千万": 10_000_000, "亿": 100_000_000, "m": 1_000_000}
_CURRENCY = re.compile(r"^(?:cny|rmb|人民币|usd|hkd|eur|us\$|hk\$|[¥$€£])|(?:元整|元|圆|块钱|块|rmb|cny|usd|hkd|eur)$")
_NUMBER = re.compile(r"([+-]?)(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)(百万|千万|[十百千k万wm亿])?(亿|万)?", re.ASCII)
_DIGITS = {
    "零": 0,
    "〇": 0,
    "○": 0,
    "一": 1,
    "壹": 1,
    "幺": 1,
    "二": 2,
    "贰": 2,
    "两": 2,
    "三": 3,
    "叁": 3,
    "四": 4,
    "肆": 4,
    "五": 5,
    "伍": 5,
    "六": 6,
    "陆": 6,
    "七": 7,
    "柒": 7,
    "八": 8,
    "捌": 8,
    "九": 9,
    "玖": 9,
}
_SMALL = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_LARGE = {"万": 10_000, "萬": 10_000, "亿": 100_000_000, "億": 100_000_000}
CHINESE_NUMERAL = "零〇一壹二贰两三叁四肆五伍六陆七柒八捌九玖十拾百佰千仟万萬亿億点"
_LONGEST = 60


def chinese_number(text: str) -> Decimal | None:
    """The number of a Chinese numeral (``三百五十万``, ``一百五``, ``两百万``, ``三点五``, ``二〇二五``); None when it is none."""
    if not text or len(text) > 30 or any(character not in CHINESE_NUMERAL for character in text):
        return None
    if "点" in text:
        whole, _, rest = text.partition("点")
        tail = "".join(str(_DIGITS[character]) for character in rest if character in _DIGITS)
        unit = rest[len(tail) :]
        base = chinese_number(whole)
        if base is None or not tail or (unit and unit not in _LARGE):
            return None
        return Decimal(f"{base}.{tail}") * _LARGE.get(unit, 1)
    if len(text) > 1 and all(character in _DIGITS for character in text):
        return Decimal("".join(str(_DIGITS[character]) for character in text))
    return _counted(text)


def _counted(text: str) -> Decimal | None:
    """A numeral with its places: sections of up to four digits under 万 and 亿."""
    total, section, digit, last = 0, 0, -1, 0
    for character in text:
        if character in _DIGITS:
            if digit > 0:
                return None
            digit = _DIGITS[character]
            last = 0 if digit == 0 else last
        elif character in _SMALL:
            last = _SMALL[character]
            section += (1 if digit < 0 else digit) * last
            digit = -1
        else:
            unit = _LARGE[character]
            section += max(digit, 0)
            if section == 0 and total == 0:
                return None
            total = (total + section) * unit if unit > 10_000 else total + section * unit
            section, digit, last = 0, -1, unit
    if digit > 0 and last >= 100:  # 三百五 is 350, 一万五 is 15,000
        section += digit * (last // 10)
    elif digit >= 0:
        section += digit
    return Decimal(total + section)


def number_of(text: str) -> Decimal | None:
    """The exact number of one text, currency signs and units included (``¥3,287,654.32``, ``350万``, ``1.2亿``, ``三百万``); None when it is none."""
    if len(text) > _LONGEST:
        return None
    plain = unicodedata.normalize("NFKC", text).casefold().replace("，", ",").replace("−", "-").replace("．", ".")
    plain = "".join(plain.split())
    plain = _CURRENCY.sub("", _CURRENCY.sub("", plain, count=1), count=1)
    found = _NUMBER.fullmatch(plain)
    if found:
        sign, digits, unit, more = found.groups()
        value = Decimal(digits.replace(",", "")) * UNITS.get(unit or "", 1) * UNITS.get(more or "", 1)
        return -value if sign == "-" else value
    sign = plain[:1]
    if sign in ("-", "负"):
        inner = chinese_number(plain[1:])
        return None if inner is None else -inner
    return chinese_number(plain)
