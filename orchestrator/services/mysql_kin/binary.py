"""The values that a client of MySQL sends in binary form: those of a prepared statement, and a query's attributes."""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

Value = None | int | float | str | bytes | datetime | timedelta
UNSIGNED = 0x8000
MOST_LETTERS = 200
CUT = "…"
_INTEGERS = {0x01: 1, 0x02: 2, 0x03: 4, 0x08: 8, 0x09: 4, 0x0D: 2}
_FLOAT, _DOUBLE, _NULL, _TIME = 0x04, 0x05, 0x06, 0x0B
_DATES = frozenset({0x07, 0x0A, 0x0C})
_TEXTS = frozenset({0x00, 0x0F, 0x10, *range(0xF2, 0x100)})


@dataclass(frozen=True, slots=True)
class Parameters:
    """``types`` are sent once and hold for later runs of the statement. ``size``: bytes that all of it takes."""

    types: tuple[int, ...]
    values: tuple[Value, ...]
    size: int


def parameters_of(data: bytes, count: int, before: Parameters | None, long: Collection[int], *,
                  named: bool = False, exact: bool = True) -> Parameters | None:
    """What stands behind a statement's id, flags and count of runs; ``None`` where it cannot be read.

    ``before``: of its last run. ``long``: places whose values were sent ahead. Clients that know of attributes say the
    count and names; whether this one does, an ear may not have heard: right is the reading that ends with the data.
    """
    readings = [(data, count, True)] if named else [(data, count, False)]
    if not named and data:
        said, size = _length(data, 0)
        if count <= said <= 0xFFFF:
            readings.append((data[size:], said, True))
    for rest, number, names in readings:
        try:
            found = _read(rest, number, before, long, names=names)
        except (IndexError, ValueError, OverflowError, struct.error):
            continue
        if not exact or found.size == len(rest):
            return Parameters(found.types[:count], found.values[:count], found.size)
    return None


def text_of(value: Value) -> str:
    """As it would stand in a statement; long ones cut."""
    match value:
        case None:
            return "NULL"
        case bytes():
            cut = CUT if len(value) > MOST_LETTERS // 2 else ""
            return f"x'{value[:MOST_LETTERS // 2].hex()}{cut}'"
        case str():
            quoted = value[:MOST_LETTERS].replace("'", "''")
            return value if value == CUT else f"'{quoted}{CUT if len(value) > MOST_LETTERS else ''}'"
        case datetime() | timedelta():
            return f"'{value}'"
        case _:
            return str(value)


def _read(data: bytes, count: int, before: Parameters | None, long: Collection[int], *, names: bool) -> Parameters:
    bitmap = (count + 7) // 8
    nulls, place = int.from_bytes(data[:bitmap], "little"), bitmap + 1
    types: list[int] = []
    if data[bitmap] == 1:
        for _ in range(count):
            types.append(int.from_bytes(data[place:place + 2], "little"))
            place += 2
            if names:
                length, size = _length(data, place)
                place += size + length
    elif before is not None and data[bitmap] == 0:
        types = list(before.types)
    values: list[Value] = []
    for number, kind in zip(range(count), types, strict=True):
        if number in long:
            values.append(CUT)
        elif nulls >> number & 1:
            values.append(None)
        else:
            value, place = _value(data, place, kind)
            values.append(value)
    if place > len(data):
        raise ValueError("it ends within a value")
    return Parameters(tuple(types), tuple(values), place)


def _value(data: bytes, place: int, kind: int) -> tuple[Value, int]:
    """A value and where it ends."""
    code = kind & 0xFF
    if size := _INTEGERS.get(code):
        return int.from_bytes(data[place:place + size], "little", signed=not kind & UNSIGNED), place + size
    if code in (_FLOAT, _DOUBLE):
        form, size = ("<f", 4) if code == _FLOAT else ("<d", 8)
        return struct.unpack_from(form, data, place)[0], place + size
    if code == _NULL:
        return None, place
    if code in _DATES or code == _TIME:
        end = place + 1 + data[place]
        part = data[place + 1:end]
        return (_span(part) if code == _TIME else _moment(part)), end
    if code in _TEXTS:
        length, size = _length(data, place)
        end = place + size + length
        text = data[place + size:end]
        try:
            return text.decode(), end
        except UnicodeDecodeError:
            return text, end
    raise ValueError("a type that the protocol does not know")


def _length(data: bytes, place: int) -> tuple[int, int]:
    """A number whose own size is in its first byte, and that size."""
    size = {0xFC: 3, 0xFD: 4, 0xFE: 9}.get(data[place])
    if size is None:
        return data[place], 1
    return int.from_bytes(data[place + 1:place + size], "little"), size


def _moment(part: bytes) -> Value:
    if not part:
        return "0000-00-00"
    year, month, day, hour, minute, second, micro = struct.unpack("<HBBBBBI", part.ljust(11, b"\0"))
    try:
        return datetime(year, month, day, hour, minute, second, micro)
    except ValueError:
        return f"{year:04}-{month:02}-{day:02}"


def _span(part: bytes) -> timedelta:
    negative, days, hours, minutes, seconds, micro = struct.unpack("<BIBBBI", part.ljust(12, b"\0"))
    span = timedelta(days, seconds, micro, 0, minutes, hours)
    return -span if negative else span
