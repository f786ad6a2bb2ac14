"""What a connector is: a way for messages to leave. Its plugin sends; when, how often and with which secret is engine/delivery.py's business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from metadata.text import Label
from metadata.vocabulary import ConnectorWord

if TYPE_CHECKING:
    from engine.outbound import Outbound

#: By what a receiver is reached: a person's telephone, mail address or account of the service; or an address that stands in the connector's options.
Reached = Literal["phone", "email", "account", "fixed"]


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message, ready to leave: texts filled in for its receiver.

    ``key`` is the same at every try, so that a receiver who knows it drops a repetition. ``template``: the service's own template with ``payload``
    as its values, where services demand one. ``at`` is when the rule asked for it, by the workspace's clock; ``now`` the real time of this try, for
    signatures; ``attempt`` counts from 1.
    """

    key: str
    address: str
    text: str = ""
    title: str = ""
    template: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    locale: str = "zh"
    workspace: str = ""
    at: datetime | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    attempt: int = 1


class SendFailed(Exception):
    """Raised by ``Connector.send``: the message did not leave. ``reason``: a code of the messages with its params, or a text as it is.

    ``again``: worth another try (after ``wait`` seconds where the receiver said so). Any other exception counts as worth another try, too, and is
    logged with the plugin's name.
    """

    def __init__(self, reason: str, /, *, again: bool = True, wait: float | None = None, **params: object) -> None:
        super().__init__(reason, params)
        self.reason = reason
        self.again = again
        self.wait = wait
        self.params = params


class Connector:
    """A way for messages to leave; one subclass per service, one object per process, no state.

    ``options``: what an administrator fills in per workspace, as JSON Schema properties made with ``option``; ``secret``: what its one secret is
    called ('' when it needs none); it is kept encrypted and never shown again. ``reached``: by what a person is reached.
    """

    name: ClassVar[str] = ""
    title: ClassVar[Label] = ""
    help: ClassVar[Label] = ""
    icon: ClassVar[str] = "send"
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    required_options: ClassVar[tuple[str, ...]] = ()
    secret: ClassVar[Label] = ""
    reached: ClassVar[Reached] = "fixed"

    def send(self, message: OutgoingMessage, options: Mapping[str, Any], secret: str, net: Outbound) -> Mapping[str, Any] | None:
        """Hand the message over by ``net``, the one way out, or raise SendFailed. What it gives (an id at the service) is kept with the message.

        Runs outside any transaction.
        """
        raise NotImplementedError

    def word(self) -> ConnectorWord:
        """As definitions and administrators see it."""
        schema = {"type": "object", "properties": dict(self.options), "required": list(self.required_options), "additionalProperties": False}
        return ConnectorWord(self.name, schema, self.title, self.help, self.secret, self.reached)
