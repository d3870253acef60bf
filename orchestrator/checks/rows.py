"""What readers of rows have in common, whichever database they ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Params = Sequence[object] | Mapping[str, object]


class RowReader:
    """Asks for rows; each database has its own way to get them."""

    def rows(self, query: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """All rows."""
        raise NotImplementedError

    def one(self, query: str, params: Params = ()) -> tuple[Any, ...]:
        """The only row; ``LookupError`` if there is none or more than one: ask for ``rows`` where that may be."""
        rows = self.rows(query, params)
        if len(rows) != 1:
            raise LookupError(f"{len(rows)} rows where one was asked for: {query}")
        return rows[0]

    def value(self, query: str, params: Params = ()) -> Any:
        """The first column of the only row."""
        return self.one(query, params)[0]


def insertion(table: str, values: Mapping[str, object]) -> str:
    """A statement that writes one row, with a place for each of its values."""
    names, places = ", ".join(values), ", ".join(["%s"] * len(values))
    return f"INSERT INTO {table} ({names}) VALUES ({places})"  # noqa: S608 - the check's own names
