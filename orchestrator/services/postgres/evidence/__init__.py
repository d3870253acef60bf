"""What PostgreSQL itself shows to checks: the fixture ``postgres``."""

from orchestrator.services.postgres.evidence.reader import Postgres

reader = Postgres
