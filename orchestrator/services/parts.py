"""What a service says of names and texts, as data: ``Names`` in its ``names.py``, ``Sight`` in its ``sight.py``.

Both are optional, and so is everything in them. Who reads them does not know the service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["sql", "key", "field", "collection", "document"]
"""What a text in a check can be.

``sql``       statements in the service's ``dialect``: their tables and columns are names
``key``       a key, perhaps with parts that only a run knows (``hold:{event}``)
``field``     a field of a hash or of a document; a dotted path names all its parts
``collection``
``document``  a mapping: its keys are fields, at every depth; ``$operators`` are not. In a list of stages, which begins
              with ``$match``, only the ``$match``es at its beginning are read: what follows makes fields of its own
"""


@dataclass(frozen=True, slots=True)
class Takes:
    """One argument of a method: its place (from 0) or its keyword, and what is named there.

    Where a ``key``, ``field`` or ``collection`` is a list, tuple or set, each element is one; of a mapping each key.
    """

    kind: Kind
    place: int | None = None
    keyword: str = ""
    rest: bool = False
    """All arguments from ``place`` on."""


@dataclass(frozen=True, slots=True)
class Forbidden:
    """What must not stand in the first argument of a method: a regular expression, without regard to case.

    ``id`` is the rule's for ``labs lint``, ``what`` says what is wrong, ``fix`` what to do instead.
    """

    method: str
    pattern: str
    id: str
    what: str
    fix: str


@dataclass(frozen=True)
class Names:
    """What of a check's code is a name that the lab's ``storage.md`` must have.

    A method is named by its way from the fixture, which is called as the service: ``rows``, ``client.get``. In it,
    ``()`` is a call and ``[]`` a subscript: ``client.pipeline().get``, ``database[].find``. A way that ends with ``[]``
    takes what stands in the brackets.
    """

    methods: Mapping[str, tuple[Takes, ...]] = field(default_factory=dict)
    anywhere: Mapping[str, tuple[Takes, ...]] = field(default_factory=dict)
    """Methods by their last name, of whatever is no other service's fixture: ``execute`` of a connection."""
    dialect: str = ""
    """The SQL that the service understands, as ``sqlglot`` calls it; empty for a service without SQL."""
    schemas: tuple[str, ...] = ()
    """Where the learner's tables are if a statement names a schema; tables of other schemas are not the learner's."""
    reserved: tuple[str, ...] = ()
    """Names that are the service's own, in lower case; patterns as in a shell: ``pg_*``, ``_id``."""
    opaque: tuple[str, ...] = ()
    """Operators of documents whose values are not documents: ``$expr``."""
    hands: tuple[Forbidden, ...] = ()
    """Where a check would let the learner's code run with other rights than the learner's."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """The reason ids that the service's reader itself gives for a failed check, and what each says."""


@dataclass(frozen=True)
class Sight:
    """How the service's own words are read: for the trace, and before anything is given away."""

    entry: str = "record"
    entries: str = "records"
    """What the trace counts: one ``statement``, two ``statements``."""
    legend: str = ""
    """One line below the trace: what the values of ``Record.source`` mean."""
    shape: Callable[[str], str] | None = None
    """A record's text without its values: equal for records that differ in those only. Long texts come cut."""
    secrets: tuple[str, ...] = ()
    """Regular expressions with a group ``secret``: statements and lines of logs in which a password stands.

    Not needed for ``scheme://user:secret@``, ``password=secret`` and the like, which are known everywhere.
    """
    secret_names: tuple[str, ...] = ()
    """Last words of settings, in lower case, whose value is a secret: ``requirepass``."""
