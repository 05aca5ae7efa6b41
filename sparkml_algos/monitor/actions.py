"""What is done when a monitor raises an alarm: a callback, a line in a log or a file, a request to a web address, an e-mail."""

from __future__ import annotations

import json
import logging
import smtplib
import ssl
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Literal, Protocol

from sparkml_algos.monitor.history import Execution

logger = logging.getLogger("sparkml_algos.monitor")

_LINES, _SECONDS = 20, 30.0
Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True)
class Alert:
    """What an action is told.

    Attributes
    ----------
    execution : Execution
        Which has changed the state of its monitor, or has failed.
    state : {"InAlert", "OK", "Failed"}
        What the monitor is now.
    """

    execution: Execution
    state: str

    @property
    def title(self) -> str:
        """In one line: monitor, state, window and number of violations."""
        one = self.execution
        number = len(one.violations)
        what = one.failure_reason if self.state == "Failed" else f"{number} violation{'' if number == 1 else 's'}"
        return " ".join(f"{one.monitor} is {self.state}, {one.key}: {what}".splitlines())

    @property
    def text(self) -> str:
        """The title, and a line for each violation, of many the first ones."""
        found = self.execution.violations
        lines = [f"{one.subject} ({one.check}): {one.description}" for one in found[:_LINES]]
        more = [f"and {len(found) - _LINES} more"] if len(found) > _LINES else []
        return "\n".join([self.title, *lines, *more])

    def to_dict(self) -> dict[str, Any]:
        """For machines: ``state``, ``title``, and the execution as the history keeps it."""
        return {"state": self.state, "title": self.title, "execution": self.execution.to_dict()}


class Action(Protocol):
    """Whatever is called with an alert: an instance of a class of here, or a function."""

    def __call__(self, alert: Alert) -> Any: ...


@dataclass(frozen=True)
class Callback:
    """Call a function, such as one that trains anew.

    Parameters
    ----------
    function : callable
        Is given the `Alert`.
    states : sequence of str
        States that it is called for.
    """

    function: Callable[[Alert], Any]
    states: Sequence[str] = ("InAlert",)

    def __call__(self, alert: Alert) -> None:
        if alert.state in self.states:
            self.function(alert)


@dataclass(frozen=True)
class Log:
    """Write to Python's log ``sparkml_algos.monitor``: alarms and failures as warnings, that all is well again as information."""

    def __call__(self, alert: Alert) -> None:
        logger.log(logging.INFO if alert.state == "OK" else logging.WARNING, "%s", alert.text)


@dataclass(frozen=True)
class File:
    """Append a line of JSON to a file.

    Parameters
    ----------
    path : str or Path
        Its folder is made where it is not there.
    """

    path: str | Path

    def __call__(self, alert: Alert) -> None:
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(alert.to_dict(), ensure_ascii=False) + "\n")


@dataclass(frozen=True)
class Webhook:
    """Send the alert to a web address, as JSON, by POST.

    Parameters
    ----------
    url : str
        ``http`` or ``https``.
    headers : mapping of str to str
        Such as one with a token, which is not shown.
    body : callable, optional
        Makes what is sent from the `Alert`, where the receiver wants it otherwise, such as ``{"text": …}`` of a chat; `Alert.to_dict` by
        default.
    timeout : float
        Seconds that an answer may take.

    Raises
    ------
    ValueError
        If the address is another kind.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Callable[[Alert], Any] | None = None
    timeout: float = 10.0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"url begins with http:// or https://, not {self.url!r}")

    def __repr__(self) -> str:
        """Without path and query, which are the secret of many chats, for it is logged where an action fails."""
        parts = urllib.parse.urlsplit(self.url)
        return f"Webhook({parts.scheme}://{parts.hostname}/…)"

    def __call__(self, alert: Alert) -> None:
        body = alert.to_dict() if self.body is None else self.body(alert)
        headers = {"Content-Type": "application/json", **self.headers}
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=self.timeout) as answer:
            answer.read()


@dataclass(frozen=True)
class Email:
    """Send an e-mail by SMTP.

    Parameters
    ----------
    to : str or sequence of str
        Addresses.
    sender : str
        Address.
    host : str
    port : int, optional
        587 for ``starttls``, 465 for ``tls``, 25 for ``none``.
    user, password : str, optional
        Where the server asks who it is; not without encryption, but to this machine.
    security : {"starttls", "tls", "none"}
        Encryption from a first plain word on, from the beginning, or none.
    timeout : float
        Seconds.

    Raises
    ------
    ValueError
        If `security` is none of these, or a password would be sent in plain text.
    """

    to: str | Sequence[str]
    sender: str
    host: str
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    security: Security = "starttls"
    timeout: float = _SECONDS

    def __post_init__(self) -> None:
        if self.security not in _PORTS:
            raise ValueError(f"security is one of {', '.join(_PORTS)}, not {self.security!r}")
        if self.password is not None and self.security == "none" and self.host not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError(f"the password would go to {self.host} in plain text; choose security 'starttls' or 'tls'")

    def __call__(self, alert: Alert) -> None:
        message = EmailMessage()
        message["Subject"], message["From"] = alert.title, self.sender
        message["To"] = self.to if isinstance(self.to, str) else ", ".join(self.to)
        message.set_content(alert.text + "\n")
        message.add_attachment(
            json.dumps(alert.to_dict(), indent=1).encode(), maintype="application", subtype="json", filename="alert.json"
        )
        port, context = self.port or _PORTS[self.security], ssl.create_default_context()
        if self.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, port, timeout=self.timeout, context=context)
        else:
            server = smtplib.SMTP(self.host, port, timeout=self.timeout)
        with server:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.user is not None:
                server.login(self.user, self.password or "")
            server.send_message(message)


_PORTS: dict[str, int] = {"starttls": 587, "tls": 465, "none": 25}


def tell(actions: Sequence[Action], alert: Alert) -> list[str]:
    """Take all actions; one that fails is logged and keeps no other from being taken.

    Returns
    -------
    list of str
        What went wrong.
    """
    wrong = []
    for action in actions:
        try:
            action(alert)
        except Exception as error:
            logger.exception("an action of the monitor %r failed: %r", alert.execution.monitor, action)
            wrong.append(f"{type(action).__name__}: {error}")
    return wrong
