"""The engine's own readers."""

from engine.readers.base import CellReader
from engine.readers.cells import MomentReader, PersonReader, PhoneReader, TextReader
from engine.readers.choice import ChoiceReader
from engine.readers.people import PeopleReader
from engine.readers.ranges import AmountRangeReader, NumberRangeReader

READERS: tuple[CellReader, ...] = (
    TextReader(),
    PeopleReader(),
    PhoneReader(),
    PersonReader(),
    MomentReader(),
    AmountRangeReader(),
    NumberRangeReader(),
    ChoiceReader(),
)
