"""HTTP for the Box Office: routes, JSON in and out, errors, live streams.

You need not change this file. What a route does is in server.py; what this file gives it:

    @route("GET", "/things/{id}")
    def show_thing(request, id):
        return 200, {"id": id}                          # a status and a body (None for no body)
        return 201, {...}, {"Location": "/things/1"}    # ... and headers
        return Stream(messages)                         # server-sent events, from an iterator
        raise Problem(404, "not_found", "There is no such thing.")
"""

import json
import sys
import traceback
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from urllib.parse import parse_qs, unquote, urlsplit

LARGEST_BODY = 1_000_000
ROUTES = []  # (method, parts of the path, function)


class Problem(Exception):
    """An answer that is an error: a status, a code from openapi.yaml and a sentence for people."""

    def __init__(self, status, code, message, headers=None):
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers


def invalid(message):
    return Problem(422, "invalid", message)


class Stream:
    """Server-sent events. `messages` is a generator.

    It yields (name, data), or (name, data, id) where a client can go on from there, or None to say only "still here".
    It yields None first: by then it listens, so that a client who has seen the header misses nothing.
    """

    def __init__(self, messages):
        self.messages = messages


def route(method, path):
    """Says that the function below it answers this method and path. `{id}` in the path becomes an argument."""

    def remember(function):
        ROUTES.append((method, path.split("/"), function))
        return function

    return remember


# --- reading a request -----------------------------------------------------------------------------------------


class Request:
    def __init__(self, query, headers, body):
        self.query, self.headers, self._body = query, headers, body

    def json(self):
        """The body as a dict."""
        try:
            body = json.loads(self._body, parse_constant=lambda word: 1 / 0)  # NaN and Infinity are no JSON
        except (ValueError, ZeroDivisionError, RecursionError):
            raise invalid("The body is not JSON.") from None
        if not isinstance(body, dict):
            raise invalid("The body is not a JSON object.")
        return body

    def limit(self):
        limit = self.query.get("limit", "20")
        if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= 100):
            raise invalid("limit is a number from 1 to 100.")
        return int(limit)


def text_of(body, name, shortest=1, longest=200):
    """The field `name` of a body: text, and not empty unless `shortest` is 0."""
    value = body.get(name)
    if not isinstance(value, str) or not shortest <= len(value) <= longest or not storable(value):
        raise invalid(f"{name} is text of {shortest} to {longest} characters.")
    return value


def storable(text):
    """Whether PostgreSQL can store the text: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def number_of(body, name, smallest, largest):
    value = body.get(name)
    if type(value) is not int or not smallest <= value <= largest:  # isinstance() would let True and False in
        raise invalid(f"{name} is a whole number from {smallest} to {largest}.")
    return value


def time_of(body, name):
    """The field `name` as a datetime in UTC."""
    try:
        value = datetime.fromisoformat(body.get(name))
        if value.tzinfo is None:
            raise ValueError("no time zone")
        return value.astimezone(timezone.utc)
    except (TypeError, ValueError, OverflowError):
        raise invalid(f"{name} is a time such as 2027-05-01T19:30:00Z.") from None


def time_as_text(time):
    """How a datetime looks in an answer."""
    return time.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


# --- the server ------------------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # small answers leave at once
    timeout = 60  # seconds after which an idle connection is closed

    def handle_request(self):
        body = self.read_body()
        if body is None:
            return
        try:
            function, arguments = self.find_route()
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
            answer = function(Request(query, self.headers, body), **arguments)
        except Problem as problem:
            answer = problem.status, {"code": problem.code, "message": str(problem)}, problem.headers
        except Exception:
            traceback.print_exc()
            answer = 500, {"code": "internal", "message": "The server made a mistake; its log says which."}
        if isinstance(answer, Stream):
            self.send_stream(answer.messages)
        else:
            self.send(*answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_request

    def read_body(self):
        """The body, also where nobody looks at it: the next request on this connection comes after it."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdigit():
            refusal = 411, {"code": "length_required", "message": "Send a Content-Length."}
        elif int(length) > LARGEST_BODY:
            refusal = 413, {"code": "too_large", "message": f"A body has at most {LARGEST_BODY} bytes."}
        else:
            return self.rfile.read(int(length))
        self.close_connection = True
        self.send(*refusal)
        return None

    def find_route(self):
        parts = [unquote(part) for part in urlsplit(self.path).path.split("/")]
        found = {}
        for method, pattern, function in ROUTES:
            pairs = list(zip(pattern, parts))
            if len(pattern) == len(parts) and all(p == part or p.startswith("{") for p, part in pairs):
                found[method] = function, {p.strip("{}"): part for p, part in pairs if p.startswith("{")}
        if not found:
            raise Problem(404, "not_found", "There is no such page.")
        if self.command not in found:
            allowed = ", ".join(sorted(found))
            raise Problem(405, "method_not_allowed", f"This page knows {allowed}.", {"Allow": allowed})
        return found[self.command]

    def send(self, status, body=None, headers=None):
        content = b"" if body is None else json.dumps(body, default=time_as_text).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if body is not None:
            self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_stream(self, messages):
        self.close_connection = True  # a stream has no end that could be announced
        try:
            first = next(messages)
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Connection", "close")
            self.end_headers()
            for message in chain([first], messages):
                if message is None:
                    text = ": still here\n\n"
                else:
                    name, data, *last = message
                    text = "".join(f"id: {id}\n" for id in last) + f"event: {name}\ndata: {json.dumps(data)}\n\n"
                self.wfile.write(text.encode())
        finally:
            messages.close()


class Server(ThreadingHTTPServer):
    request_queue_size = 256  # how many clients may wait to be accepted
    daemon_threads = True  # open streams do not keep the program alive

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that went away is no mistake
            traceback.print_exc()


def serve(port):
    """Answers requests on 127.0.0.1 until the program is ended."""
    with Server(("127.0.0.1", port), Handler) as server:
        print(f"The Box Office is open: http://127.0.0.1:{port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("Closed.")
