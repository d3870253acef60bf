"""``python -m orchestrator`` is ``labs``."""

from __future__ import annotations

from orchestrator.cli.main import main

main()
