"""Elasticsearch over plain HTTP: one request, its answer, and what happens while nobody answers."""

import http.client
import json
import os
import time
from urllib.parse import urlsplit

from patience import cut_after
from web import Problem

PATIENCE = 1.5  # seconds for a request that somebody waits for, answer and all
PATIENCE_FOR_HEALTH = 0.8
BUSY = 429

url = urlsplit(os.environ["ELASTICSEARCH_URL"])


class Refused(Exception):
    """Elasticsearch answered, and did not do it."""

    def __init__(self, status, answer):
        super().__init__(f"{status} {json.dumps(answer)[:500]}")
        self.status = status


def unavailable():
    return Problem(503, "unavailable", "Elasticsearch cannot be reached at the moment.")


def ask(method, path, body=None, patience=PATIENCE):
    """One request with a body of JSON; the answer, from JSON. A list as body is sent a line each."""
    end = time.monotonic() + patience
    line = http.client.HTTPConnection(url.hostname, url.port, timeout=patience)
    try:
        line.connect()
        with cut_after(line.sock, max(0, end - time.monotonic())):
            line.request(method, path, as_text(body), {"Content-Type": "application/json"})
            response = line.getresponse()
            answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise unavailable() from error
    finally:
        line.close()
    if response.status == BUSY or response.status >= 500:
        raise unavailable()
    if response.status >= 400:
        raise Refused(response.status, answer)
    return answer


def as_text(body):
    if isinstance(body, list):
        return "".join(json.dumps(one) + "\n" for one in body)
    return None if body is None else json.dumps(body)


def is_up():
    try:
        return bool(ask("GET", "/", patience=PATIENCE_FOR_HEALTH))
    except (Problem, Refused):
        return False
