"""HTTP for the Box Office: routes, JSON in and out, errors.

You need not change this file. What a route does is in server.py; what this file gives it:

    @route("GET", "/things/{id}")
    def show_thing(request, id):
        return 200, {"id": id}                          # a status and a body (None for no body)
        raise Problem(404, "not_found", "There is no such thing.")
"""

import json
import sys
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGEST_BODY = 100_000
ROUTES = []  # (method, parts of the path, function)


class Problem(Exception):
    """An answer that is an error: a status, a code from openapi.yaml and a sentence for people."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code = status, code


def route(method, path):
    """Says that the function below it answers this method and path. `{id}` in the path becomes an argument."""

    def remember(function):
        ROUTES.append((method, path.split("/"), function))
        return function

    return remember


def object_of(content):
    """A request's body as a dict."""
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Problem(422, "invalid", "The body is not a JSON object.")
    return found


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # small answers leave at once
    timeout = 60  # seconds after which an idle connection is closed

    def handle_request(self):
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > LARGEST_BODY:
            self.close_connection = True
            self.send(413, {"code": "too_large", "message": f"A body has at most {LARGEST_BODY} bytes."})
            return
        body = self.rfile.read(int(length))
        try:
            function, arguments = self.find_route()
            answer = function(body, **arguments)
        except Problem as problem:
            answer = problem.status, {"code": problem.code, "message": str(problem)}
        except Exception:
            traceback.print_exc()
            answer = 500, {"code": "internal", "message": "The server made a mistake; its log says which."}
        self.send(*answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request

    def find_route(self):
        parts = [unquote(part) for part in urlsplit(self.path).path.split("/")]
        known = False
        for method, pattern, function in ROUTES:
            pairs = list(zip(pattern, parts))
            if len(pattern) == len(parts) and all(p == part or p.startswith("{") for p, part in pairs):
                known = True
                if method == self.command:
                    return function, {p.strip("{}"): part for p, part in pairs if p.startswith("{")}
        if known:
            raise Problem(405, "method_not_allowed", "This page does not know this method.")
        raise Problem(404, "not_found", "There is no such page.")

    def send(self, status, body=None):
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        if body is not None:
            self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class Server(ThreadingHTTPServer):
    request_queue_size = 256  # how many clients may wait to be accepted
    daemon_threads = True

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
