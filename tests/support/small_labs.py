"""Small labs of unusual shapes: without any service, and with tracks that need different ones."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

SCAFFOLD = Path(__file__).parents[2] / "orchestrator/scaffold/lab"

SERVER = '''\
"""Keeps words: in no service, in Redis, in PostgreSQL, as the route says."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def rows():
    import psycopg

    connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    connection.execute("CREATE TABLE IF NOT EXISTS words (name text PRIMARY KEY, word text)")
    return connection


def keep(place, name, word):
    if place == "keys":
        from resp import call

        call("SET", f"word:{name}", word)
    else:
        with rows() as connection:
            connection.execute("INSERT INTO words VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET word = %s",
                               (name, word, word))


def find(place, name):
    if place == "keys":
        from resp import call

        return call("GET", f"word:{name}")
    with rows() as connection:
        found = connection.execute("SELECT word FROM words WHERE name = %s", (name,)).fetchone()
    return found[0] if found else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        status, body = self.route([part for part in self.path.split("?")[0].split("/") if part])
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        if body is not None:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = answer

    def route(self, parts):
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        match self.command, parts:
            case "GET", ["health"]:
                return 204, None
            case "GET", ["hello", name]:
                return 200, {"hello": name}
            case "PUT", [("keys" | "rows") as place, name]:
                keep(place, name, json.loads(text)["word"])
                return 204, None
            case "GET", [("keys" | "rows") as place, name]:
                return 200, {"word": find(place, name)}
        return 404, {"code": "not_found", "message": "There is nothing here."}

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


Server(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
'''

HELLO = '''\
"""A greeting: nothing is kept."""

from orchestrator.checks import expect


def test_it_greets(server, fresh, evidence):
    """GET /hello/NAME greets by name."""
    name = fresh.name("ada").replace(" ", "-")
    answer = server.get(f"/hello/{name}")
    expect.status(answer, 200, reason="no-greeting")
    expect.equal(name, expect.field(answer, "hello", str, reason="no-greeting"), "who is greeted",
                 reason="wrong-name")
    evidence(f"{name} was greeted")
'''

KEYS = '''\
"""A word is a key in Redis."""

from orchestrator.checks import expect


def test_a_word_is_a_key(server, redis, fresh, evidence):
    """A word that is kept is in Redis."""
    name, word = fresh.token(), fresh.token()
    expect.status(server.put(f"/keys/{name}", json={"word": word}), 204, reason="not-kept")
    expect.equal(word, redis.get(f"word:{name}"), f"the key word:{name} in Redis", reason="not-in-redis")
    evidence("Redis had the word")
'''

ROWS = '''\
"""A word is a row in PostgreSQL."""

from orchestrator.checks import expect


def test_a_word_is_a_row(server, postgres, fresh, evidence):
    """A word that is kept is in PostgreSQL."""
    name, word = fresh.token(), fresh.token()
    expect.status(server.put(f"/rows/{name}", json={"word": word}), 204, reason="not-kept")
    expect.equal(word, postgres.value("SELECT word FROM words WHERE name = %s", [name]),
                 f"the row of {name} in the table words", reason="not-in-postgres")
    evidence("PostgreSQL had the word")
'''

CONTRACT = '''\
openapi: 3.1.0
info: {title: Words, version: "1"}
paths:
  /health:
    get: {summary: Whether the server runs, responses: {"204": {description: It does}}}
'''
PATHS = {
    "hello": '''\
  /hello/{name}:
    parameters: [{name: name, in: path, required: true, schema: {type: string}}]
    get:
      summary: A greeting
      responses:
        "200": {description: OK, content: {application/json: {schema: {type: object, required: [hello], properties: {hello: {type: string}}}}}}
''',
    **{place: f'''\
  /{place}/{{name}}:
    parameters: [{{name: name, in: path, required: true, schema: {{type: string}}}}]
    put:
      summary: Keep a word
      requestBody:
        required: true
        content: {{application/json: {{schema: {{type: object, required: [word], properties: {{word: {{type: string}}}}}}}}}}
      responses:
        "204": {{description: Kept}}
    get:
      summary: The word
      responses:
        "200": {{description: OK, content: {{application/json: {{schema: {{type: object, required: [word], properties: {{word: {{type: string}}}}}}}}}}}}
''' for place in ("keys", "rows")},
}
TRACKS = {
    # track: (step, services, checks, what a wrong server changes, reason)
    "http": ("hello", (), HELLO, ('return 200, {"hello": name}', 'return 200, {"hello": "you"}'), "wrong-name"),
    "keys": ("keep", ("redis",), KEYS, ('call("SET", f"word:{name}", word)', 'call("SET", f"other:{name}", word)'),
             "not-in-redis"),
    "rows": ("keep", ("postgres",), ROWS, ("(name, word, word))", '(name, "other", "other"))'), "not-in-postgres"),
}
VERSIONS = {"redis": ">=7.2,<10", "postgres": ">=15,<19"}
STORAGE = "# Storage contract\n\n| what | is |\n|---|---|\n| `word:{name}` | a key |\n| `words` | a table with `name` and `word` |\n"


def make_lab(root: Path, name: str, tracks: tuple[str, ...]) -> Path:
    """A lab of these tracks in ``root/name``, complete: checks, starter, an accepted and wrong solutions."""
    folder = root / name
    services = list(dict.fromkeys(service for track in tracks for service in TRACKS[track][1]))
    for part in ("briefs", "checks", "starter/python", "solutions/accepted/python", "solutions/wrong"):
        (folder / part).mkdir(parents=True)
    manifest = ["format = 1", f'title = "{name.title()}"', 'summary = "Words."', 'step = "words"', 'version = "1.0.0"']
    manifest += [f'\n[services.{service}]\nversions = "{VERSIONS[service]}"' for service in services]
    manifest += [f'\n[tracks.{track}]\ntitle = "{track.title()}"\nsummary = "Words in {track}."' for track in tracks]
    for track in tracks:
        step, needs, checks, (right, wrong), reason = TRACKS[track]
        test = f"test_{track}_{step}.py"
        manifest.append(f'\n[[milestones]]\nid = "{track}/{step}"\ntitle = "Words of {track}"\n'
                        f"services = [{', '.join(f'{chr(34)}{one}{chr(34)}' for one in needs)}]\n"
                        f'checks = "checks/{test}"\nbrief = "briefs/{track}.md"\nbudget = 60\n'
                        'hints = [{ text = "Read the contract." }]')
        (folder / "briefs" / f"{track}.md").write_text(f"# Words of {track}\n\nKeep them.\n")
        (folder / "checks" / test).write_text(checks)
        _patch(folder / "solutions/wrong" / f"{track}-{step}-wrong.patch", right, wrong, f"{track}/{step}", reason)
    (folder / "lab.toml").write_text("\n".join(manifest) + "\n")
    (folder / "README.md").write_text(f"# {name}\n\nWords.\n")
    (folder / "storage.md").write_text(STORAGE if services else "# Storage contract\n\nNothing is stored.\n")
    (folder / "openapi.yaml").write_text(CONTRACT + "".join(PATHS["hello" if one == "http" else one] for one in tracks))
    for server in ("starter/python", "solutions/accepted/python"):
        (folder / server / "workspace.toml").write_text(
            f'format = 1\nlab = "{name}"\nrun = ["{sys.executable}", "server.py"]\n')
        shutil.copy(SCAFFOLD / "solutions/accepted/python/resp.py", folder / server)
    (folder / "solutions/accepted/python/server.py").write_text(SERVER)
    (folder / "solutions/proof.toml").write_text("format = 1\n" + "".join(
        f'\n[[equivalent]]\nmilestone = "*"\nmutant = "{mutant}"\nreason = "it says the same each time"\n'
        for mutant in ("GET /health 204: an old answer again", "GET /hello/{name} 200: an old answer again")))
    (folder / "starter/python/server.py").write_text(_without(SERVER))
    (folder / "starter/python/README.md").write_text("# Start here\n")
    return folder


def _without(server: str) -> str:
    """A server that knows /health and nothing else."""
    start = server.index('            case "GET", ["hello"')
    return server[:start] + server[server.index("        return 404"):]


def _patch(path: Path, right: str, wrong: str, milestone: str, reason: str) -> None:
    lines = SERVER.splitlines()
    number = next(index for index, line in enumerate(lines) if right in line)
    before, after = lines[number - 3:number], lines[number + 1:number + 4]
    path.write_text("\n".join([
        f"# milestone: {milestone}", f"# reason: {reason}", "# story: It keeps something else.", "",
        "--- a/server.py", "+++ b/server.py", f"@@ -{number - 2},7 +{number - 2},7 @@",
        *(f" {line}" for line in before), f"-{lines[number]}", f"+{lines[number].replace(right, wrong)}",
        *(f" {line}" for line in after)]) + "\n")
