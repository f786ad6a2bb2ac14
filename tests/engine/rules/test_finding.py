"""Finds that would bring more than one find may bring are refused, over records and over the engine's own tables: nothing is silently left out."""

import pytest

from engine.errors import Conflict
from engine.records import finding, finding_system
from engine.records.finding import Finder
from engine.records.work import Work
from engine.rules.effects import Find


@pytest.mark.parametrize("entity", ["customer", "run"])
def test_a_find_of_everything_that_would_be_cut_is_refused(make_site, monkeypatch, entity):
    site = make_site("sqlite")
    for name in ("赵一", "钱二"):
        site.held("s1", name)
    for module in (finding, finding_system):
        monkeypatch.setattr(module, "MOST_FOUND", 2)
    with site.ctx().writing() as ctx:
        work = Work(ctx)
        finder = Finder(work, work.evaluator, lambda term, spaces, row: work.evaluator.value(term, row), ctx.actor)
        with pytest.raises(Conflict, match="rule_found_too_many"):
            finder.find(Find(entity, take="all"))
        assert len(finder.find(Find(entity, take=1 + 1))) == 2
