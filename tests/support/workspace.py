"""A learner's folder in small: a server that needs no build, listens, and stores nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

SERVER = '''
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_): pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
'''


def make_workspace(folder: Path) -> Path:
    """The folder, made; its server fails the first milestone with ``schema-missing-table``."""
    folder.mkdir(parents=True)
    (folder / "server.py").write_text(SERVER)
    (folder / "workspace.toml").write_text('format = 1\nlab = "databases"\nrun = ["python3", "server.py"]\n')
    return folder


def patch(folder: Path, file: Path) -> None:
    """Apply one of the lab's patches to a copy of the solution that it is for."""
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    subprocess.run(["git", "apply", "-p1", str(file)], cwd=folder, check=True)
