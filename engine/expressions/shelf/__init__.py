"""The functions of the language, each with its typing, its Python face and its SQL face side by side."""

from engine.expressions.functions import Function, Functions
from engine.expressions.shelf.lists import LISTS
from engine.expressions.shelf.money import AMOUNTS
from engine.expressions.shelf.spans import SPANS
from engine.expressions.shelf.texts import TEXTS
from engine.expressions.shelf.times import TIMES
from engine.expressions.shelf.values import VALUES

BUILTIN: tuple[Function, ...] = (*VALUES, *TEXTS, *LISTS, *AMOUNTS, *TIMES, *SPANS)
FUNCTIONS: Functions = {function.name: function for function in BUILTIN}
