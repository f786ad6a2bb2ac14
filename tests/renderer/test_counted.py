"""A figure that counts records leads to just these records, for whoever may look behind it."""

from __future__ import annotations

import re
from html import unescape

from tests.renderer.counter import NAME


def _figures(html: str) -> list[tuple[str, int]]:
    return [(unescape(href), int(text)) for href, text in re.findall(r'<a class="(?:counts|link)" href="([^"]*nurse=[^"]*)">(\d+)</a>', html)]


def test_each_count_of_a_list_leads_to_as_many_records_and_says_in_words_which(counter_client):
    client = counter_client("rosa")
    figures = _figures(client.get(f"/w/{NAME}/l/nurses").text)
    assert len(figures) >= 2
    for href, many in figures:
        shown = client.get(href).text
        assert len(re.findall(r'<tr id="row-', shown)) == many
        told = re.findall(r'<span class="faint">条件</span> <span class="ellipsis">(.*?)</span>', shown)
        assert len(told) == ("where=" in href) and all("护理" in text and "level" not in text for text in told)


def test_the_figures_of_a_record_lead_there_too(counter_client):
    client = counter_client("rosa")
    (href, _many), *_rest = _figures(client.get(f"/w/{NAME}/l/nurses").text)
    person = href.rpartition("=")[2]
    assert href in [one for one, _count in _figures(client.get(f"/w/{NAME}/r/person/{person}").text)]


def test_a_count_of_what_its_reader_may_not_ask_for_leads_nowhere(counter_client):
    assert not any("debt" in href for href, _many in _figures(counter_client("rosa").get(f"/w/{NAME}/l/nurses").text))


def test_conditions_that_are_none_stay_on_the_page_as_they_are(counter_client):
    assert counter_client("rosa").get(f"/w/{NAME}/l/guests?where=garbage((").status_code in (200, 422)
