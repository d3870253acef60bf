"""mysql/schema: a MySQL that takes the connection and says nothing is down, too."""

from orchestrator.checks import expect, promises


@promises("health-asks", "health-mysql", "get-health-503", "silence-is-away")
def test_health_of_a_silent_mysql(server, sales, fault, evidence):
    """While MySQL is silent, GET /health says within two seconds that it is down; afterwards it is up again."""
    expect.status(server.get("/health"), 200, reason="health-wrong")
    try:
        with fault.hold("mysql"):
            what = "GET /health while MySQL is silent: connected, and no word comes"
            answer = expect.within(2.5, lambda: server.get("/health", deadline=4.0), what=what, reason="health-waits")
            expect.status(answer, 503, reason="health-wrong")
            said = expect.field(answer, "mysql", str, reason="health-wrong")
            expect.equal("down", said, "what GET /health says of `mysql` while MySQL is silent", reason="health-wrong")
        expect.eventually(
            lambda: server.get("/health").status, 200, within=3.0, reason="no-recovery",
            what="the answer to GET /health once MySQL speaks again (your server was not restarted)",
        )
    finally:
        server.restart_later()
    evidence("MySQL was silent, and GET /health said in time that it is down; then it was up again")
