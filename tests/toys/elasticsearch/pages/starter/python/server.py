"""Pages, kept in memory."""

import json
import os
import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Problem(Exception):
    """An answer that is an error."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.body = status, {"code": code, "message": message}


pages = {}


def make(body):
    names = ("text", "author")
    if not isinstance(body, dict) or not all(isinstance(body.get(name), str) for name in names):
        raise Problem(422, "invalid", "text or author is missing, or is no string.")
    code = secrets.token_hex(4)
    pages[code] = {name: body[name] for name in names}
    return {"code": code, **pages[code]}


def one(code):
    page = pages.get(code)
    if page is None:
        raise Problem(404, "not_found", "There is no such page.")
    return {"code": code, **page}


def find(word):
    return {"pages": [{"code": code, **page} for code, page in pages.items() if word in page["text"].split()]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        try:
            address = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            status, body = self.route([part for part in address.path.split("/") if part], query)
        except Problem as problem:
            status, body = problem.status, problem.body
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        if body is not None:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = answer

    def route(self, parts, query):
        match self.command, parts:
            case "GET", ["health"]:
                return 204, None
            case "POST", ["pages"]:
                return 201, make(self.body())
            case "GET", ["pages"]:
                return 200, find(query.get("text", ""))
            case "GET", ["pages", code]:
                return 200, one(code)
        raise Problem(404, "not_found", "There is nothing here.")

    def body(self):
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            return json.loads(text)
        except ValueError:
            raise Problem(422, "invalid", "The body is not JSON.") from None

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


if __name__ == "__main__":
    Server(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
