"""A small lab without a problem, in which each test breaks one thing."""

from __future__ import annotations

from pathlib import Path

import pytest

TOML = """format = 1
title = "Small"
summary = "A small lab."
step = "databases"
version = "1.0.0"

[services.postgres]
versions = ">=17"

[services.redis]
versions = ">=7.2"

[tracks.shop]
title = "Shop"
summary = "Buyers."

[[milestones]]
id = "shop/buyers"
title = "Buyers are rows"
services = ["postgres", "redis"]
checks = "checks/test_shop_buyers.py"
brief = "briefs/shop-buyers.md"
hints = [
  { text = "Write a row." },
  { reason = "not-stored", text = "PostgreSQL has no such row." },
  { reason = "list-shape", text = "The shared fixture says this." },
  { reason = "schema-missing-table", text = "The framework says this." },
]
"""

CHECKS = '''"""shop/buyers: a buyer is a row."""

from orchestrator.checks import expect

ROW = "SELECT name FROM buyers WHERE id::text = %s"


def test_a_buyer_is_a_row(server, postgres, redis, fresh, listed, evidence):
    """A buyer that is posted is a row in PostgreSQL."""
    name = fresh.name("buyer")
    answer = server.post("/buyers", json={"name": name})
    buyer = expect.field(answer, "id", str, reason="answer-wrong")
    expect.equal([(name,)], postgres.rows(ROW, [buyer]), "the row", reason="not-stored")
    expect.equal("1", redis.get(f"seen:{buyer}"), "the key", reason="not-counted")
    listed()
    evidence("PostgreSQL has the row")
'''

CONFTEST = '''"""What the checks share."""

import pytest

from orchestrator.checks import expect


@pytest.fixture
def listed(server):
    """Reads the list."""

    def read():
        return expect.field(server.get("/buyers"), "items", list, reason="list-shape")

    return read
'''

STORAGE = """# Storage

| table | column |
|---|---|
| `buyers` | `id` |
| | `name` |

`seen:{buyer}` counts.
"""

WORKSPACE = 'format = 1\nlab = "small"\nrun = ["python3", "server.py"]\n'

PATCH = """# milestone: shop/buyers
# reason: not-stored
# story: Buyers are kept in a dict.
diff --git a/server.py b/server.py
--- a/server.py
+++ b/server.py
@@ -1,3 +1,3 @@
 one = 1
-two = 2
+two = {}
 three = 3
"""

FILES = {
    "lab.toml": TOML,
    "checks/test_shop_buyers.py": CHECKS,
    "checks/conftest.py": CONFTEST,
    "briefs/shop-buyers.md": "# Buyers are rows\n\nWrite a row.\n",
    "storage.md": STORAGE,
    "openapi.yaml": "openapi: 3.1.0\npaths:\n  /buyers: {}\n",
    "solutions/accepted/python/workspace.toml": WORKSPACE,
    "solutions/accepted/python/server.py": "one = 1\ntwo = 2\nthree = 3\n",
    "solutions/wrong/shop-buyers-dict.patch": PATCH,
    "starter/python/workspace.toml": WORKSPACE,
}


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """The small lab's folder."""
    folder = tmp_path / "small"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
