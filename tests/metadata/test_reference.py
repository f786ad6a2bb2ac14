"""docs/reference.md is what the schemas and the engine's words say now, and names all of them."""

from metadata.definitions import KINDS
from metadata.messages import catalogue
from metadata.reference import reference
from metadata.schemas import SHARED, schema_document
from metadata.step_words import VERBS
from renderer.serving import all_words
from tests.metadata.samples import HERE

FILE = HERE.parents[1] / "docs" / "reference.md"


def test_the_committed_reference_is_current() -> None:
    assert FILE.read_text("utf-8") == reference(all_words().vocabulary()), "run 'tangram reference' and commit docs/reference.md"


def test_the_reference_names_every_word() -> None:
    text, vocabulary = FILE.read_text("utf-8"), all_words().vocabulary()
    words = [
        *vocabulary.field_types,
        *vocabulary.functions,
        *vocabulary.actions,
        *vocabulary.readers,
        *vocabulary.connectors,
        *vocabulary.panels,
        *VERBS,
        *catalogue(),
    ]
    for kind in (*KINDS, SHARED):
        words += [word for word in schema_document(kind).get("properties", {}) if word not in ("$schema", "note")]
    for word in vocabulary.field_types.values():
        words += list(word.options)
    for action in vocabulary.actions.values():
        words += [*action.params["properties"], *action.writes, *action.does]
    for connector in vocabulary.connectors.values():
        words += list(connector.options["properties"])
    assert [word for word in words if f"`{word}`" not in text] == []
    assert [shared for shared in schema_document(SHARED)["$defs"] if f"### {shared}\n" not in text] == []
