"""Pages, kept in Elasticsearch."""

import json
import os
import secrets
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Problem(Exception):
    """An answer that is an error."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.body = status, {"code": code, "message": message}


def ask(method, path, body=None):
    """The answer of Elasticsearch, and its status."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(os.environ["ELASTICSEARCH_URL"] + path, data, method=method,
                                     headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def make(body):
    names = ("text", "author")
    if not isinstance(body, dict) or not all(isinstance(body.get(name), str) for name in names):
        raise Problem(422, "invalid", "text or author is missing, or is no string.")
    code = secrets.token_hex(4)
    page = {name: body[name] for name in names}
    ask("PUT", f"/pages/_doc/{code}?refresh=true", page)
    return {"code": code, **page}


def one(code):
    status, found = ask("GET", f"/pages/_doc/{code}")
    if status == 404:
        raise Problem(404, "not_found", "There is no such page.")
    return {"code": code, **found["_source"]}


def find(word):
    _, found = ask("POST", "/pages/_search", {"query": {"match": {"text": word}}})
    return {"pages": [{"code": hit["_id"], **hit["_source"]} for hit in found["hits"]["hits"]]}


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
    fields = {"text": {"type": "text"}, "author": {"type": "keyword"}}
    ask("PUT", "/pages", {"mappings": {"properties": fields}})  # the second time it is there already
    Server(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
