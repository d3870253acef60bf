"""One question to a MongoDB over a plain socket: ``hello``, which is answered to everybody.

A client library would start threads and wait for its own next look at the server; a probe has 0.4 s in all and comes
back every 15 ms.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

from orchestrator.model import Endpoint

OP_MSG = 2013
MOST_BYTES = 1 << 20
"""An answer to ``hello`` has less than 2 KB; whatever claims more is no MongoDB."""
_HEADER = struct.Struct("<iiii")


def hello(endpoint: Endpoint, seconds: float) -> Mapping[str, Any]:
    """What the server says of itself. ``OSError`` if nothing answers within that time, or not in MongoDB's protocol."""
    import bson

    end = time.monotonic() + seconds
    with socket.create_connection((endpoint.host, endpoint.port), seconds) as connection:
        body = struct.pack("<iB", 0, 0) + bson.encode({"hello": 1, "$db": "admin"})
        connection.sendall(_HEADER.pack(_HEADER.size + len(body), 1, 0, OP_MSG) + body)
        length, _, _, kind = _HEADER.unpack(_read(connection, _HEADER.size, end))
        if kind != OP_MSG or not _HEADER.size + 5 < length < MOST_BYTES:
            raise OSError("something else than MongoDB answers")
        answer = _read(connection, length - _HEADER.size, end)
    try:
        return bson.decode(answer[5:])
    except bson.InvalidBSON as error:
        raise OSError(f"an answer that is no BSON: {error}") from error


def _read(connection: socket.socket, count: int, end: float) -> bytes:
    data = b""
    while len(data) < count:
        connection.settimeout(max(0.001, end - time.monotonic()))
        more = connection.recv(count - len(data))
        if not more:
            raise OSError("the connection was closed before there was an answer")
        data += more
    return data
