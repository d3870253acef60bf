"""Puts labs, Compose files and images into the wheel; the labs' solutions stay in the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class DataFolders(BuildHookInterface):  # type: ignore[type-arg]
    """A hook, because a static force-include cannot leave anything out."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Runs before the wheel is put together; an editable install reads the checkout itself."""
        if version == "editable":
            return
        for folder in ("labs", "images", "compose"):
            for path in sorted((Path(self.root) / folder).rglob("*")):
                inside = path.relative_to(self.root)
                if path.is_file() and "solutions" not in inside.parts and "__pycache__" not in inside.parts:
                    build_data["force_include"][str(path)] = f"orchestrator/_data/{inside.as_posix()}"
