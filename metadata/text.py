"""Labels in several languages: one string, or a mapping from language to string, and the rule by which one is chosen."""

from collections.abc import Mapping

Label = str | Mapping[str, str]

DEFAULT_LOCALE = "zh"


def label_text(label: Label | None, locale: str = DEFAULT_LOCALE, fallback: str = "") -> str:
    """The text of a label for a reader: the exact locale, its language, Chinese, then whatever there is; ``fallback`` when empty."""
    if not label:
        return fallback
    if isinstance(label, str):
        return label
    for key in (locale, locale.split("-")[0].split("_")[0], DEFAULT_LOCALE):
        if label.get(key):
            return label[key]
    return next(iter(label.values()), fallback) or fallback
