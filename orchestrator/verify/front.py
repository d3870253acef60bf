"""The front: a program that runs a server behind itself and changes what passes; the target of a proof.

``python -I -m orchestrator.verify.front CONFIG -- COMMAND ...`` listens on ``PORT`` and gives the command another one.
To the checks it is the learner's server: it listens when the server does, ends when it does and with its status, and
hands signals on. Without a change it changes nothing; a proof begins by showing that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h11

from orchestrator import services
from orchestrator.checks.routes import template_of
from orchestrator.system.ports import answers, free_port
from orchestrator.system.strays import VARIABLE
from orchestrator.verify.changes import Answer, Change, from_data, mutated, varied

CHUNK = 64 * 1024
LOOK = 0.005
MOST_SLOWED = 0.3
"""Seconds by which an answer is made slower at most: a right server may use most of what an outage allows it."""
NO_BODY = frozenset({204, 304})
RECORDED_BODY = 64 * 1024
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Config:
    """What the front does. ``record``: a file that gets a line of JSON for each exchange, as the server answered."""

    templates: tuple[str, ...]
    change: Change | None = None
    variants: tuple[str, ...] = ()
    record: Path | None = None
    effect: Path | None = None
    """A file that is made as soon as the change has changed anything."""

    def text(self) -> str:
        """As the program's argument."""
        from orchestrator.verify.changes import to_data

        return json.dumps({
            "templates": self.templates, "variants": self.variants,
            "change": to_data(self.change) if self.change else None,
            "record": str(self.record) if self.record else None,
            "effect": str(self.effect) if self.effect else None,
        })

    @classmethod
    def read(cls, text: str) -> Config:
        """From ``text()``."""
        data = json.loads(text)
        return cls(tuple(data["templates"]), from_data(data["change"]) if data["change"] else None,
                   tuple(data["variants"]), Path(data["record"]) if data["record"] else None,
                   Path(data["effect"]) if data["effect"] else None)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, wholly read."""

    head: h11.Request
    body: bytes

    @property
    def method(self) -> str:
        return bytes(self.head.method).decode("ascii")

    @property
    def path(self) -> str:
        return bytes(self.head.target).decode("latin-1")


class Front:
    """Carries exchanges between the checks and the server on ``port``."""

    def __init__(self, config: Config, port: int) -> None:
        self._config = config
        self._port = port
        self._kept: dict[str, Answer] = {}
        """First answers that are given again, by route or by path; those from before a restart, too."""
        # The folder is this target's alone and outlives its process: the change goes on after a restart by a check.
        self._memory = Path(os.environ["TMPDIR"]) / ".labs-front" if VARIABLE in os.environ else None
        for line in _lines(self._memory):
            key, status, headers, body = json.loads(line)
            self._kept[key] = Answer(status, tuple((name, value) for name, value in headers), b64decode(body))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client, until either side ends it."""
        try:
            connection = h11.Connection(h11.SERVER)
            while True:
                asked = await _request(connection, reader, writer)
                if asked is None or not await self._exchange(connection, asked, reader, writer):
                    break
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    break
                connection.start_next_cycle()
        except (h11.ProtocolError, OSError, asyncio.IncompleteReadError):
            # What the server did cannot be said in HTTP, or somebody is gone: so the client sees it, too.
            pass
        finally:
            writer.close()

    async def _exchange(self, connection: h11.Connection, asked: Asked, reader: asyncio.StreamReader,
                        writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection may go on."""
        known = self._known(asked)
        if known is None and self._doubled(asked):
            async with _upstream(self._port) as (up, down):
                await _ask(asked, up, down)
            self._took_effect()
        elif known is not None:
            self._took_effect()
        if known is None:
            began = asyncio.get_running_loop().time()
            async with _upstream(self._port) as (up, down):
                head, link = await _head(asked, up, down)
                if head.status_code == 101 or _header(head, b"content-type").startswith(b"text/event-stream"):
                    await self._stream(connection, head, link, up, reader, writer)
                    return False
                known = _answer(head, await _body(link, up))
            if "slow" in self._config.variants:
                await asyncio.sleep(min(2 * (asyncio.get_running_loop().time() - began), MOST_SLOWED))
            self._note(asked, known)
        change = self._config.change
        if change is not None and change.kind == "sabotage" and asked.method in WRITES and known.status < 400:
            await asyncio.to_thread(sabotage_of(change).after_write, os.environ, change.field)
            self._took_effect()
        if change is not None and self._route(asked) == change.route:
            self._keep(asked, known)
            before, known = known, mutated(change, known)
            if known != before:
                self._took_effect()
        return await self._send(connection, asked, varied(self._config.variants, known), writer)

    def _route(self, asked: Asked) -> str:
        return f"{asked.method} {template_of(asked.path, self._config.templates)}"

    def _doubled(self, asked: Asked) -> bool:
        change = self._config.change
        return change is not None and change.kind == "double" and self._route(asked) == change.route

    def _known(self, asked: Asked) -> Answer | None:
        """The answer that is given without asking the server, if this is what is changed."""
        change = self._config.change
        if change is None or change.kind not in ("replay", "swallow") or self._route(asked) != change.route:
            return None
        if change.kind == "swallow" and change.status in NO_BODY:
            return Answer(change.status, ())
        return self._kept.get(asked.path if change.kind == "replay" else change.route)

    def _keep(self, asked: Asked, answer: Answer) -> None:
        change = self._config.change
        if change is None or change.status != answer.status or change.kind not in ("replay", "swallow"):
            return
        key = asked.path if change.kind == "replay" else change.route
        if key not in self._kept:
            self._kept[key] = answer
            if self._memory is not None:
                with self._memory.open("a", encoding="utf-8") as file:
                    body = b64encode(answer.body).decode("ascii")
                    file.write(json.dumps([key, answer.status, answer.headers, body]) + "\n")

    def _took_effect(self) -> None:
        if self._config.effect is not None:
            self._config.effect.touch()

    def _note(self, asked: Asked, answer: Answer) -> None:
        if self._config.record is not None:
            line = {"method": asked.method, "path": asked.path, "status": answer.status, "headers": answer.headers,
                    "body": answer.body[:RECORDED_BODY].decode("utf-8", errors="replace")}
            with self._config.record.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    async def _send(self, connection: h11.Connection, asked: Asked, answer: Answer,
                    writer: asyncio.StreamWriter) -> bool:
        bodiless = answer.status in NO_BODY or asked.method == "HEAD"
        length = answer.header("content-length")
        answer = answer.with_header("transfer-encoding", None).with_header("connection", None)
        if answer.status in NO_BODY:
            answer = answer.with_header("content-length", None)
        elif "chunked" in self._config.variants and not bodiless:
            answer = answer.with_header("content-length", None).with_header("transfer-encoding", "chunked")
        else:
            answer = answer.with_header("content-length", length if bodiless and length else str(len(answer.body)))
        closing = "close" in self._config.variants
        if closing:
            answer = answer.with_header("connection", "close")
        out = connection.send(h11.Response(status_code=answer.status, headers=list(answer.headers)))
        if answer.body and not bodiless:
            middle = len(answer.body) // 2
            for part in (answer.body[:middle], answer.body[middle:]) if "chunked" in self._config.variants else (
                    answer.body,):
                out = (out or b"") + (connection.send(h11.Data(data=part)) or b"")
        out = (out or b"") + (connection.send(h11.EndOfMessage()) or b"")
        writer.write(out)
        await writer.drain()
        return not closing

    async def _stream(self, connection: h11.Connection, head: h11.Response, link: h11.Connection,
                      up: asyncio.StreamReader, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What has no end goes through as it comes, until the client leaves or the server ends it."""
        headers = [(name, value) for name, value in head.headers if name not in (b"content-length", b"connection")]
        writer.write(connection.send(h11.Response(status_code=head.status_code, headers=headers)) or b"")
        await writer.drain()

        async def carry() -> None:
            while True:
                event = await _next(link, up)
                if isinstance(event, h11.Data):
                    writer.write(connection.send(h11.Data(data=event.data)) or b"")
                    await writer.drain()
                elif isinstance(event, h11.EndOfMessage):
                    writer.write(connection.send(h11.EndOfMessage()) or b"")
                    await writer.drain()
                    return
                elif not isinstance(event, h11.InformationalResponse):
                    return

        async def left() -> None:
            while await reader.read(CHUNK):
                pass

        tasks = {asyncio.create_task(carry()), asyncio.create_task(left())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                with contextlib.suppress(OSError, h11.ProtocolError):
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _lines(file: Path | None) -> list[str]:
    """Whole lines; none if there is no file. A front that was killed may have left half of the last one."""
    if file is None or not file.exists():
        return []
    return [line for line in file.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]


@contextlib.asynccontextmanager
async def _upstream(port: int) -> Any:
    up, down = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield up, down
    finally:
        down.close()


async def _next(connection: h11.Connection, reader: asyncio.StreamReader) -> Any:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(CHUNK))
    return event


async def _request(connection: h11.Connection, reader: asyncio.StreamReader,
                   writer: asyncio.StreamWriter) -> Asked | None:
    head: h11.Request | None = None
    body = b""
    while True:
        if connection.they_are_waiting_for_100_continue:
            writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        event = await _next(connection, reader)
        if isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return Asked(head, body)
        else:
            return None


async def _head(asked: Asked, up: asyncio.StreamReader, down: asyncio.StreamWriter
                ) -> tuple[h11.Response, h11.Connection]:
    link = h11.Connection(h11.CLIENT)
    headers = [(name, value) for name, value in asked.head.headers if name != b"expect"]
    out = link.send(h11.Request(method=asked.head.method, target=asked.head.target, headers=headers)) or b""
    if asked.body:
        out += link.send(h11.Data(data=asked.body)) or b""
    down.write(out + (link.send(h11.EndOfMessage()) or b""))
    await down.drain()
    while True:
        event = await _next(link, up)
        if isinstance(event, h11.Response):
            return event, link
        if not isinstance(event, h11.InformationalResponse):
            raise ConnectionResetError("the server ended the connection")


async def _body(link: h11.Connection, up: asyncio.StreamReader) -> bytes:
    body = b""
    while True:
        event = await _next(link, up)
        if isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return body
        else:
            raise ConnectionResetError("the server ended the connection")


async def _ask(asked: Asked, up: asyncio.StreamReader, down: asyncio.StreamWriter) -> Answer:
    head, link = await _head(asked, up, down)
    return _answer(head, await _body(link, up))


def _answer(head: h11.Response, body: bytes) -> Answer:
    return Answer(head.status_code, tuple((bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
                                          for name, value in head.headers), body)


def _header(head: h11.Response, name: bytes) -> bytes:
    return next((bytes(value) for key, value in head.headers if key == name), b"")


def sabotage_of(change: Change) -> Any:
    """The module that spoils the change's service."""
    return services.part(change.service, "sabotage")


async def _run(config: Config, command: list[str]) -> int:
    port, inner = int(os.environ["PORT"]), free_port()
    server = subprocess.Popen(command, env={**os.environ, "PORT": str(inner)})
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.send_signal, number)
    ended = loop.run_in_executor(None, server.wait)
    while not ended.done() and not answers(inner):
        await asyncio.wait({ended}, timeout=LOOK)
    if config.change is not None and config.change.kind == "sabotage" and not ended.done():
        await asyncio.to_thread(sabotage_of(config.change).begin, os.environ, config.change.field)
    if not ended.done():
        async with await asyncio.start_server(Front(config, inner).serve, "127.0.0.1", port, backlog=1024):
            await asyncio.wait({ended})
    return await ended


def main() -> None:
    """The program. Its exit status is the server's; a signal's, as a shell says it."""
    config, separator, *command = sys.argv[1:]
    assert separator == "--"
    status = asyncio.run(_run(Config.read(config), command))
    raise SystemExit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
