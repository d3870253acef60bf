"""Our pages in a real browser: hostile text stays text, nothing is asked of the network, a phone can read them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.reports import failed, report

from orchestrator.catalog.labs import find_lab
from orchestrator.model import Record, Verdict
from orchestrator.report import html, lab_proof_html, shared_proof, trace_html
from orchestrator.report.lab_proof import CaseResult, Proof, Seen
from orchestrator.report.timeline import Request, Timeline

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), "")
ATTACK = ('<script>document.title="taken"</script><img src=x onerror="document.title=\'taken\'">'
          '"><svg onload="document.title=\'taken\'">')
PAGES: dict[str, Callable[[], str]] = {
    "report": lambda: html.render(report(failed(what=ATTACK, seen=ATTACK))),
    "proof": lambda: shared_proof.page(shared_proof.shared_proof(report(failed(what=ATTACK, seen=ATTACK)), find_lab("databases").milestones)),
    "lab proof": lambda: lab_proof_html.render(Proof(
        ATTACK, ATTACK, "", "1", "c", False, 7, "now", 1.0, ATTACK, {"redis": ATTACK}, ("t/s",),
        (CaseResult(ATTACK, "mutant", "t/s", ATTACK, {"t/s": Seen("fail", ATTACK, ATTACK, ATTACK, ATTACK, "x" * 900)}),
         CaseResult(ATTACK, "accepted", "", ATTACK, {"t/s": Seen("fail", ATTACK, "c", ATTACK)}, ATTACK)),
        {ATTACK: ATTACK})),
    "trace": lambda: trace_html.render(Timeline(
        "m", ATTACK, Verdict.FAIL, ATTACK, 7, {"m/a": ATTACK}, ("m/a",),
        (Request(1.0, 0.1, "m/a", "GET", ATTACK, ATTACK, 200, ATTACK),),
        (Record("postgres", 1.01, ATTACK, "log", note=ATTACK), Record("redis", 1.02, "SET k " + "x" * 900, "monitor")),
        products={"postgres": ATTACK})),
}

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine")


def browse(page: Path, *arguments: str) -> str:
    done = subprocess.run([CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={page.parent}/u",
                           *arguments, page.as_uri()], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout


@pytest.mark.parametrize("name", PAGES)
def test_a_browser_runs_nothing_of_the_servers(tmp_path: Path, name: str) -> None:
    """The attack is there as text, the title is ours; a page without our care would be called `taken`."""
    page = tmp_path / f"{name}.html"
    page.write_text(PAGES[name](), encoding="utf-8")
    seen = browse(page, "--dump-dom")

    assert "<title>taken</title>" not in seen
    assert "document.title=" in seen
    assert "<script" not in seen
    assert "onerror=" not in seen.replace("onerror=\"document.title='taken'\"&gt;", "")

    page.write_text(f"<html><head><title>ours</title></head><body>{ATTACK}</body></html>", encoding="utf-8")
    assert "<title>taken</title>" in browse(page, "--dump-dom")


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [500, 1280])
def test_a_page_is_no_wider_than_the_screen(tmp_path: Path, name: str, width: int) -> None:
    """Measured by a script of the test's own beside the page; long words break."""
    page = tmp_path / f"{name}.html"
    text = PAGES[name]().replace("default-src 'none'", "script-src 'unsafe-inline'")
    page.write_text(text.replace("</main>", "</main><script>document.title = document.documentElement.scrollWidth"
                                 "</script>"), encoding="utf-8")
    seen = browse(page, f"--window-size={width},900", "--dump-dom")

    measured = int(seen.split("<title>")[1].split("</title>")[0])
    assert 0 < measured <= width
