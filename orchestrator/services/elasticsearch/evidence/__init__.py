"""What Elasticsearch itself shows to checks: the fixture ``elasticsearch``."""

from orchestrator.services.elasticsearch.evidence.reader import Elasticsearch

reader = Elasticsearch
