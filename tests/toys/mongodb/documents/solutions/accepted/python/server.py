"""Notes, kept in MongoDB."""

import json
import os
import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pymongo import MongoClient

notes = MongoClient(os.environ["MONGODB_URL"], appname="notes").get_default_database().notes


class Problem(Exception):
    """An answer that is an error."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.body = status, {"code": code, "message": message}


def make(body):
    if not isinstance(body, dict) or not isinstance(body.get("text"), str):
        raise Problem(422, "invalid", "text is missing, or is no string.")
    code = secrets.token_hex(4)
    notes.insert_one({"code": code, "text": body["text"]})
    return {"code": code, "text": body["text"]}


def find(code):
    note = notes.find_one({"code": code})
    if note is None:
        raise Problem(404, "not_found", "There is no such note.")
    return note["text"]


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
            case "POST", ["notes"]:
                return 201, make(self.body())
            case "GET", ["notes", code]:
                return 200, {"code": code, "text": find(code)}
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
    notes.create_index("code", unique=True)
    Server(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
