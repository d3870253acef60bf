"""What all pages have from their templates: escaped, whole or an error, made only when somebody wants a page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest

import orchestrator.report
from orchestrator.report.page import page

TEMPLATES = [path for path in Path(orchestrator.report.__file__).parent.iterdir() if path.suffix in (".html", ".svg")]


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes a page of a template of the test's own."""
    from orchestrator.report import page as module

    environment = module._environment().overlay(loader=jinja2.FileSystemLoader(tmp_path))
    monkeypatch.setattr(module, "_environment", lambda: environment)

    def make(text: str, **values: object) -> str:
        (tmp_path / "x.html").write_text(text, encoding="utf-8")
        return page("x.html", **values)

    return make


def test_what_is_put_in_is_text_also_in_an_attribute(template) -> None:
    """No mark-up, no end of an attribute."""
    made = template('<p title="{{ one }}">{{ one }}</p>', one="<b>\"'&")

    assert made == '<p title="&lt;b&gt;&#34;&#39;&amp;">&lt;b&gt;&#34;&#39;&amp;</p>'


def test_control_characters_are_written_out(template) -> None:
    """Also within a macro, and once only."""
    made = template("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(one) }} {{ one }}", one="\x1b[1m\t\u202e\\x1b")

    assert made == "\\x1b[1m\t\\x202e\\x1b \\x1b[1m\t\\x202e\\x1b"


def test_a_value_that_is_missing_is_an_error(template) -> None:
    """Not an empty place that nobody notices."""
    for text in ("{{ one }}", "{{ one.two }}", "{% for x in one %}{% endfor %}", "{{ 'a' if false }}"):
        with pytest.raises(jinja2.UndefinedError):
            template(text)


def test_only_our_own_mark_is_put_in_as_it_is() -> None:
    """Every other ``safe`` would be a hole."""
    found = {(path.name, expression) for path in TEMPLATES
             for expression in re.findall(r"{[{%](?:(?![}%]}).)*\b(?:safe|autoescape|Markup)\b.*?[}%]}", path.read_text(encoding="utf-8"))}

    assert {path.name for path in TEMPLATES} == {
        "page.html", "report.html", "lab_proof.html", "trace.html", "shared_proof.html", "badge.svg"}
    assert found == {("badge.svg", "{{ mark|safe }}"), ("shared_proof.html", "{{ mark|safe }}")}


def test_attributes_that_hold_a_value_are_of_our_own_words() -> None:
    """Without quotes a blank would end one: only classes have none, and these are chosen from words of ours."""
    for path in TEMPLATES:
        for name in re.findall(r"([\w-]+)=(?:\{\{|\{%)", path.read_text(encoding="utf-8")):
            assert name == "class", path.name


def test_jinja_is_imported_when_the_first_page_is_made() -> None:
    """`labs check` without a page does not pay for it."""
    code = ("import sys, orchestrator.report.html, orchestrator.report.trace_html, orchestrator.report.lab_proof_html, "
            "orchestrator.report.shared_proof\nprint('jinja2' in sys.modules)")

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
