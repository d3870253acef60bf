"""What a check, or what it uses, raises: the type alone says whose fault it was (``docs/checks-api.md``).

Each type is raised where the cause was seen, never guessed later from a message::

    Failed, TargetWrong, SchemaWrong     fail(reason)        the learner's server is wrong
    TargetTimeout                        timeout(reason)     the learner's server is too slow
    Unjudged                             unjudged            this engine or machine cannot offer what is needed
    MachineSlow, ServiceLost             error               ours
    anything else                        error               our bug
"""

from __future__ import annotations


class Judged(Exception):
    """Says something about the learner's server. ``what`` completes "I looked at ...".

    ``exchange`` is the HTTP exchange that it is about, in the form of the protocol, where there is one.
    """

    exchange: dict[str, object] | None = None

    def __init__(self, reason: str, what: str, expected: str = "", seen: str = "") -> None:
        super().__init__(reason, what, expected, seen)
        self.reason = reason
        self.what = what
        self.expected = expected
        self.seen = seen

    def at(self, where: str) -> Judged:
        """The same, and where the server was."""
        self.what = f"{self.what}; {where}"
        self.args = (self.reason, self.what, self.expected, self.seen)
        return self

    def __str__(self) -> str:
        parts = [f"{self.reason}: {self.what}"]
        parts += [f"expected {self.expected}"] if self.expected else []
        parts += [f"seen {self.seen}"] if self.seen else []
        return "; ".join(parts)


class Failed(Judged):
    """``expect`` saw something else than it should."""


class TargetWrong(Judged):
    """The server did not answer, or not in HTTP and JSON."""


class TargetTimeout(Judged):
    """The server did not answer in time."""


class SchemaWrong(Judged):
    """What the service holds is not as the storage contract says: a table, column, key or type."""


class Unjudged(Exception):
    """What the check needs is not to be had here; ``remedy`` says where it is."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"


class MachineSlow(Exception):
    """A control in the same window was late, too: the machine is too slow to judge by the clock."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class ServiceLost(Exception):
    """A service is gone, or does not give the checker what it must: never the learner's fault."""

    def __init__(self, service: str, what: str) -> None:
        super().__init__(service, what)
        self.service = service
        self.what = what

    def __str__(self) -> str:
        return f"{self.service}: {self.what}"


class Late(Exception):
    """A condition of a check's own preparation did not come true in time (``wait.until``): our bug, if not caught."""

    def __init__(self, what: str, last: object) -> None:
        super().__init__(what, last)
        self.what = what
        self.last = last

    def __str__(self) -> str:
        return f"waited in vain for {self.what}; the last answer was {self.last!r}"


KINDS: dict[type[BaseException], str] = {
    MachineSlow: "machine",
    ServiceLost: "lost",
    Unjudged: "unjudged",
    SchemaWrong: "schema",
    TargetWrong: "wrong",
    TargetTimeout: "timeout",
    Failed: "failed",
}
"""The protocol's kind of failure for each type. What is not here is a ``bug``; of ``assert``, see ``failures``."""


def kind_of(error: BaseException) -> str:
    """The protocol's kind of failure for an exception, by its type and the types that this is derived from."""
    return next((KINDS[base] for base in type(error).__mro__ if base in KINDS), "bug")
