"""The engine's own field types, in the order the palette shows them."""

from engine.fields.base import FieldType
from engine.fields.boolean import Boolean
from engine.fields.choice import Choice, ChoiceList
from engine.fields.computed import Formula, Lookup, Rollup
from engine.fields.durations import DurationType
from engine.fields.file import File, FileList, Image
from engine.fields.identity import IdNumber
from engine.fields.json_value import JsonType
from engine.fields.link import LinkList, LinkType, People, Person, Team
from engine.fields.lists import Tags
from engine.fields.moment import Date, InstantType
from engine.fields.money import Money
from engine.fields.number import DecimalNumber, Double, Integer, Percent
from engine.fields.phone import Phone
from engine.fields.region import Address, Region
from engine.fields.serial import Serial
from engine.fields.text import Email, LongText, RichText, Text, Url

FIELD_TYPES: tuple[FieldType, ...] = (
    Text(),
    LongText(),
    RichText(),
    Integer(),
    DecimalNumber(),
    Money(),
    Percent(),
    Date(),
    InstantType(),
    DurationType(),
    Boolean(),
    Choice(),
    ChoiceList(),
    Tags(),
    LinkType(),
    LinkList(),
    Person(),
    People(),
    Team(),
    Phone(),
    Email(),
    Url(),
    IdNumber(),
    Region(),
    Address(),
    File(),
    FileList(),
    Image(),
    JsonType(),
    Serial(),
    Formula(),
    Rollup(),
    Lookup(),
    Double(),
)
