"""What MySQL itself shows to checks: the fixture ``mysql``."""

from orchestrator.services.mysql.evidence.reader import MySQL

reader = MySQL
