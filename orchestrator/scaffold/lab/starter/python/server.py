"""Short links, kept in memory."""

import json
import os
import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Problem(Exception):
    """An answer that is an error."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.body = status, {"code": code, "message": message}


links = {}
visits = {}


def make(body):
    if not isinstance(body, dict) or not isinstance(body.get("url"), str):
        raise Problem(422, "invalid", "url is missing, or is no string.")
    code = secrets.token_hex(4)
    links[code] = body["url"]
    return {"code": code, "url": body["url"]}


def find(code):
    if code not in links:
        raise Problem(404, "not_found", "There is no such link.")
    return links[code]


def visit(code):
    visits[code] = visits.get(code, 0) + 1


def visits_of(code):
    return visits.get(code, 0)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        try:
            status, body = self.route([part for part in self.path.split("?")[0].split("/") if part])
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

    def route(self, parts):
        match self.command, parts:
            case "GET", ["health"]:
                return 204, None
            case "POST", ["links"]:
                return 201, make(self.body())
            case "GET", ["links", code]:
                return 200, {"code": code, "url": find(code)}
            case "POST", ["links", code, "visits"]:
                find(code)
                visit(code)
                return 204, None
            case "GET", ["links", code, "visits"]:
                find(code)
                return 200, {"visits": visits_of(code)}
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
