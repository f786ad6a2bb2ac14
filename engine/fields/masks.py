"""Named masks: what is left of a value for somebody who may know only that it is there. Who that is, grants decide."""

from collections.abc import Callable, Mapping

Mask = Callable[[str], str]


def mask_phone(text: str) -> str:
    """138****8000; landlines 0571****1234; numbers from abroad keep their country code and last two digits."""
    number = text.partition(";ext=")[0]
    if number.startswith("+861") and len(number) == 14:
        return f"{number[3:6]}****{number[-4:]}"
    if number.startswith("+86"):
        national = number[3:]
        area = area_length(national)
        return f"0{national[:area]}****{national[-4:]}" if len(national) > area + 4 else "****"
    if number.startswith("+") and len(number) > 8:
        return f"{number[:4]}****{number[-2:]}"
    return f"{number[:3]}****{number[-4:]}" if len(number) >= 11 else "****"


def area_length(national: str) -> int:
    """Digits of the area code of a Chinese landline without its 0: two for 10 and 2x, else three."""
    return 2 if national[:1] == "2" or national[:2] == "10" else 3


def mask_landline(text: str) -> str:
    """0571****1234"""
    return mask_phone(text)


def mask_id(text: str) -> str:
    """3301**********0012"""
    return f"{text[:4]}{'*' * (len(text) - 8)}{text[-4:]}" if len(text) >= 12 else "*" * len(text)


def mask_name(text: str) -> str:
    """张*"""
    return f"{text[0]}*" if text else ""


def mask_tail(text: str) -> str:
    """Only the last four are left: ****1234"""
    return f"****{text[-4:]}" if len(text) > 4 else "****" if text else ""


def mask_all(text: str) -> str:
    """Nothing is left."""
    return "******" if text else ""


MASKS: Mapping[str, Mask] = {"phone": mask_phone, "landline": mask_landline, "id": mask_id, "name": mask_name, "tail": mask_tail, "all": mask_all}


def masked(name: str, text: str) -> str:
    """The text under the mask of that name; under an unknown one nothing is left. Empty stays empty."""
    return MASKS.get(name, mask_all)(text) if text else ""
