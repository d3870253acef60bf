"""What the file itself shows to checks: the fixture ``sqlite``."""

from orchestrator.services.sqlite.evidence.reader import Sqlite

reader = Sqlite
