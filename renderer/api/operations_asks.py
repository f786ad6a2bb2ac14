"""The words OpenAPI describes approvals with: the same for everybody, since everybody may ask and be asked."""

from __future__ import annotations

from renderer.api.operations import LINK, Operation, Schema, confirm, object_of, operation, or_null, path_parameter, query_parameter
from renderer.translations import _

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_ANY_OBJECT: Schema = {"type": "object"}


def ask_operations() -> dict[str, Operation]:
    """The calls of approvals; everybody may be asked."""
    tag, whole = _("Approvals"), {"type": "integer", "minimum": 1, "maximum": 2**53 - 1}
    opinion: Schema = {"type": "string", "maxLength": 4000}
    moment: Schema = {"type": ["string", "null"], "format": "date-time"}
    asked = object_of(
        id=_WHOLE,
        name=_TEXT,
        rule=_TEXT,
        title=_TEXT,
        state={"enum": ["open", "approved", "refused", "expired", "withdrawn", "returned"]},
        applicant=LINK,
        about=or_null(object_of(entity=_TEXT, id=_WHOLE, label=_TEXT)),
        opinion={"enum": ["required", "optional", "none"]},
        need=_TEXT,
        fields={"type": "array", "items": _TEXT},
        answers=_ANY_OBJECT,
        at=moment,
        expires_at=moment,
        decided_at=moment,
        people={"type": "array", "items": object_of(person=LINK, state=_TEXT, opinion={"type": ["string", "null"]}, decided_at=moment)},
    )
    found: dict[str, Operation] = {
        "/asks": {
            "get": operation(
                tag=tag,
                summary=_("Approvals that wait for me, that I decided, that I asked for"),
                name="list_asks",
                answers=object_of(items={"type": "array", "items": asked}, next={"type": ["integer", "null"]}),
                parameters=[
                    query_parameter(
                        "state", _("open: waiting for me; done: decided by me; asked: by me"), {"enum": ["open", "done", "asked"], "default": "open"}
                    ),
                    query_parameter("before", _("Where the page before ended"), {"type": "integer", "minimum": 0}),
                    query_parameter("limit", _("Rows of a page"), {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}),
                ],
            )
        },
        "/asks/{ask}": {"parameters": [path_parameter("ask")], "get": operation(tag=tag, summary=_("One approval"), name="get_ask", answers=asked)},
    }
    steps: dict[str, tuple[str, dict[str, Schema], tuple[str, ...]]] = {
        "decide": (_("Approve or refuse"), {"approve": {"type": "boolean"}, "opinion": opinion, "values": _ANY_OBJECT}, ("approve",)),
        "return": (_("Return to whoever asked"), {"opinion": opinion}, ("opinion",)),
        "again": (_("Send a returned one again"), {}, ()),
        "delegate": (_("Hand my turn to somebody else"), {"person": whole}, ("person",)),
        "signer": (_("Ask one more person"), {"person": whole}, ("person",)),
        "withdraw": (_("Take it back"), {}, ()),
    }
    for word, (summary, properties, required) in steps.items():
        body: Schema = {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
        found[f"/asks/{{ask}}/{word}"] = {
            "parameters": [path_parameter("ask")],
            "post": operation(
                tag=tag, summary=summary, name=f"{word}_ask", body=body, answers=asked, refusals=("409",), parameters=[confirm()] if word == "decide" else []
            ),
        }
    return found
