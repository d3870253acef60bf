"""What the checks of this lab share."""

import pytest

from orchestrator.checks import expect


@pytest.fixture
def make_link(server, fresh):
    """`make_link() -> (code, url)`: a link made through the API."""

    def make():
        url = f"https://example.com/{fresh.token()}"
        answer = server.post("/links", json={"url": url})
        expect.status(answer, 201, reason="create-refused")
        return expect.field(answer, "code", str, reason="answer-wrong"), url

    return make
