"""Our pages, from the templates beside this file: each one file that needs nothing else, no script, light and dark.

All share ``page.html``. What is put into a template is text, never HTML: jinja2 escapes it, and control characters are
written out.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.system.text import escape

if TYPE_CHECKING:
    from jinja2 import Environment


def page(template: str, **values: Any) -> str:
    """The template of this name with these values. One that it wants and is not given is an error."""
    return _environment().get_template(template).render(values)


@functools.cache
def _environment() -> Environment:
    """Made when the first page is: most commands make none."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    def shown(value: object) -> object:
        return value if hasattr(value, "__html__") else escape(str(value))  # what a macro gives is escaped already

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, finalize=shown,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, auto_reload=False,
    )
