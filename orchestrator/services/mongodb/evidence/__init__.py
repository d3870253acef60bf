"""What MongoDB itself shows to checks: the fixture ``mongodb``."""

from orchestrator.services.mongodb.evidence.reader import Mongodb

reader = Mongodb
