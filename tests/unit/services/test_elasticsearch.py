"""What Elasticsearch's folder decides without a service: requests on a line and on a wire, counts, names, products."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator import resources
from orchestrator.errors import UsageError
from orchestrator.lint.check_files import CheckFile
from orchestrator.lint.texts import texts
from orchestrator.model import Fidelity
from orchestrator.services.elasticsearch import sabotage
from orchestrator.services.elasticsearch.console import MOST_CHARACTERS, parsed, shown
from orchestrator.services.elasticsearch.evidence.faults import schema_fault
from orchestrator.services.elasticsearch.evidence.rest import LONGEST_PATH, Refused, groups, refusal, with_parameters
from orchestrator.services.elasticsearch.names import NAMES
from orchestrator.services.elasticsearch.record import IndexCounts, line, read
from orchestrator.services.elasticsearch.service import product_of
from orchestrator.services.elasticsearch.sight import SIGHT
from orchestrator.services.elasticsearch.wire import HttpEar

SEARCH = b'POST /pages/_search?size=3 HTTP/1.1\r\nHost: h\r\nContent-Length: 26\r\n\r\n{"query": {"match_all":{}}}'[:-1]
GET = b"GET /pages/_doc/17 HTTP/1.1\r\nHost: h\r\nAuthorization: Basic c2VjcmV0\r\n\r\n"
CHUNKED = (b"PUT /pages/_doc/1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
           b'5\r\n{"a":\r\n3;x=y\r\n 1}\r\n0\r\n\r\n')


# --- on the wire -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "text", "kind"), [
    (GET, "GET /pages/_doc/17", "GET /pages/_doc/?"),
    (SEARCH, 'POST /pages/_search?size=3 {"query": {"match_all":{}}', "POST /pages/_search"),
    (CHUNKED, 'PUT /pages/_doc/1 {"a": 1}', "PUT /pages/_doc/?"),
    (GET + SEARCH, 'GET /pages/_doc/17; POST /pages/_search?size=3 {"query": {"match_all":{}}',
     "GET /pages/_doc/?; POST /pages/_search"),
    (b"DELETE / HTTP/1.0\r\n\r\n", "DELETE /", "DELETE /"),
    (b"POST /events-2f6c,events_91/_refresh HTTP/1.1\r\n\r\n", "POST /events-2f6c,events_91/_refresh",
     "POST /events-?,events_?/_refresh"),
], ids=["without a body", "with a length", "in chunks", "two at once", "without a header", "numbered indices"])
def test_a_request_is_heard_wherever_its_bytes_are_cut(data: bytes, text: str, kind: str) -> None:
    """Whole at its last byte and never before; no header is shown, for a login would stand there."""
    for cut in range(1, len(data)):
        ear = HttpEar()
        heard = [ear.hear(data[:cut]), ear.hear(data[cut:])]
        assert "; ".join(one.text for one in heard if one.text) == text
        assert "; ".join(one.kind for one in heard if one.kind) == kind
        assert heard[1].whole
    assert (heard[0].whole, heard[0].text.endswith(text[-5:])) == (False, False)
    assert "c2VjcmV0" not in text


def test_of_a_long_request_the_beginning_is_known() -> None:
    """As soon as its header is there: nobody waits for megabytes before saying what it is."""
    ear = HttpEar()
    head = b"POST /_bulk?refresh=true HTTP/1.1\r\nContent-Length: 90000\r\n"
    assert ear.hear(head).begun == ("", "")
    assert ear.hear(b"\r\n" + b"{}\n" * 100).begun == ("POST /_bulk?refresh=true", "POST /_bulk")
    assert ear.hear(b"a" * 89_700).kind == "POST /_bulk"


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01", b'{"the": "rest of a body"}', b"\r\n\r\n", b"x" * 70_000])
def test_what_is_no_request_is_passed_over(data: bytes) -> None:
    """A handshake, the middle of a body: no text, and the next request is heard."""
    ear = HttpEar()
    heard = ear.hear(data)
    assert (heard.text, heard.whole, heard.asks) == ("", True, True)
    assert ear.hear(GET).kind == "GET /pages/_doc/?"


def test_a_long_body_is_cut_and_a_packed_one_not_shown() -> None:
    """A step's text is one line."""
    body = b'{"index":{}}\n{"text":"' + b"a" * 500 + b'"}\n'
    head = b"POST /_bulk HTTP/1.1\r\nContent-Length: %d\r\n%s\r\n"
    heard = HttpEar().hear(head % (len(body), b"") + body)
    assert len(heard.text) == 120
    assert heard.text.startswith('POST /_bulk {"index":{}} {"text":"aaa')
    packed = HttpEar().hear(head % (len(body), b"Content-Encoding: gzip\r\n") + body)
    assert packed.text == "POST /_bulk (compressed)"


# --- a request on a line -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "method", "path", "body"), [
    ("GET /", "GET", "/", None),
    (" pages/_search ", "GET", "/pages/_search", None),
    ('post /pages/_doc {"a": [1, {"b": "} {"}]}', "POST", "/pages/_doc", {"a": [1, {"b": "} {"}]}),
    ('POST /_bulk?refresh=true {"index": {"_index": "a"}} {"n": 1}\n{"delete": {}}', "POST", "/_bulk?refresh=true",
     [{"index": {"_index": "a"}}, {"n": 1}, {"delete": {}}]),
    ('PUT /pages{"mappings": {}}', "PUT", "/pages", {"mappings": {}}),
], ids=["root", "no method", "body", "lines", "no space"])
def test_a_line_is_a_request(text: str, method: str, path: str, body: Any) -> None:
    assert (method, path, body) == parsed(text)


@pytest.mark.parametrize("text", ["", "FETCH /a", "GET", "GET /a {", 'GET /a {"b": 1} {"c": 2}', "GET /ä", "GET /a b",
                                  "{}", 'DELETE /a {"b"}'])
def test_what_is_no_request_is_said(text: str) -> None:
    """Never a traceback, never something else than was meant."""
    if text == "GET":
        assert parsed(text)[:2] == ("GET", "/GET")  # a name alone is a path
        return
    with pytest.raises(UsageError) as caught:
        parsed(text)
    assert caught.value.code == "statement-refused"


def test_a_very_long_answer_is_cut() -> None:
    """And says how much is left out."""
    assert shown("a table\n") == "a table"
    assert shown({"ä": 1}) == '{\n  "ä": 1\n}'
    assert shown("x" * (MOST_CHARACTERS + 7)).endswith("... 7 characters more")


# --- answers -----------------------------------------------------------------------------------------------------------


def test_a_refusal_says_why() -> None:
    """The root's reason with what it comes from; other forms of errors as they are."""
    error = {"type": "search_phase_execution_exception", "reason": "all shards failed",
             "root_cause": [{"type": "query_shard_exception", "reason": "failed to create query"}],
             "failed_shards": [{"reason": {"caused_by": {"reason": 'For input string: "x"'}}}]}
    found = refusal(400, {"error": error, "status": 400})
    assert (found.kind, found.reason) == ("query_shard_exception", 'failed to create query: For input string: "x"')
    assert refusal(405, {"error": "Incorrect HTTP method", "status": 405}).reason == "Incorrect HTTP method"
    assert refusal(404, {"_id": "1", "result": "not_found"}).reason == "not_found"
    assert str(refusal(502, "<html>")) == "<html>"
    assert str(refusal(502, "")) == "status 502"


def test_names_are_put_into_paths_of_a_length_that_is_taken() -> None:
    """Escaped, all of them, in their order."""
    names = [f"näme-{number}" for number in range(1000)]
    found = groups(names)
    assert max(map(len, found)) <= LONGEST_PATH + 20
    assert len(found) > 1
    assert ",".join(found).split(",")[17] == "n%C3%A4me-17"
    assert len(",".join(found).split(",")) == 1000
    assert groups([]) == []
    assert with_parameters("/a", {"refresh": True, "size": 3, "q": "a b"}) == "/a?refresh=true&size=3&q=a+b"


@pytest.mark.parametrize(("kind", "status", "planting", "reason"), [
    ("index_not_found_exception", 404, False, "schema-missing-index"),
    ("mapper_parsing_exception", 400, True, "schema-plant-refused"),
    ("cluster_block_exception", 403, True, "schema-plant-refused"),
    ("es_rejected_execution_exception", 429, True, None),
    ("parsing_exception", 400, False, None),
    ("illegal_argument_exception", 400, False, None),
], ids=["missing", "mapping", "block", "busy", "mistake", "other"])
def test_whose_fault_a_refusal_is(kind: str, status: int, planting: bool, reason: str | None) -> None:
    """A busy node is nobody's, a mistake in a query is the check's."""
    fault = schema_fault(Refused(status, kind, "why"), "pages", planting=planting)
    assert reason == (None if fault is None else fault.reason)


OSS = {"tagline": "You Know, for Search", "version": {
    "number": "9.2.8", "build_flavor": "default", "build_hash": "747e1cc71def077253878a59143c1f785afa92b9"}}


@pytest.mark.parametrize(("said", "name", "fidelity"), [
    (OSS, "Elasticsearch", Fidelity.GENUINE),
    ({"version": {"number": "3.8.0", "distribution": "opensearch", "build_hash": "a" * 40}}, "OpenSearch",
     Fidelity.COMPATIBLE),
    ({**OSS, "version": {"number": "8.0.0"}}, "A look-alike of Elasticsearch", Fidelity.STAND_IN),
    ({**OSS, "tagline": "hello"}, "A look-alike of Elasticsearch", Fidelity.STAND_IN),
    ("<html>", "A look-alike of Elasticsearch", Fidelity.STAND_IN),
], ids=["elasticsearch", "opensearch", "no commit", "other words", "a page"])
def test_the_product_is_told_by_more_than_its_version(said: Any, name: str, fidelity: Fidelity) -> None:
    assert (name, fidelity) == (product_of(said).name, product_of(said).fidelity)


# --- what is recorded, named and kept secret ---------------------------------------------------------------------------


def test_counts_are_lines_that_can_be_read_again() -> None:
    """Numbers agree; an index in which nothing was done has no line; a server that wrote can be spoilt."""
    done = [("my-pages", IndexCounts(1, 2, 1, 1)), ("logs", IndexCounts(12, 0, 3, 0)), ("read", IndexCounts(searches=4))]
    lines = [line(*one) for one in done]
    assert lines[0] == "my-pages: 1 document written, 2 deleted, 1 search, 1 read by id"
    assert lines[1] == "logs: 12 documents written, 3 searches"
    assert line("idle", IndexCounts()) == ""
    assert list(read(iter(lines))) == done
    assert sabotage.possible([*lines, "nonsense"]) == [sabotage.GONE.format(name) for name in ("logs", "my-pages")]
    runs = [line(f"events-{run}", IndexCounts(1)) for run in ("2f6c19", "91a0", "first")]
    assert sabotage.possible(runs) == [sabotage.GONE.format(name) for name in ("events-*", "events-first")]
    with pytest.raises(ValueError, match="not a sabotage"):
        sabotage.after_write({}, "no key expires")
    assert SIGHT.shape is not None
    assert SIGHT.shape(lines[1]) == SIGHT.shape("logs: 1 documents written, 7 searches")
    assert SIGHT.shape(lines[1]) != SIGHT.shape("logs-2: 12 documents written, 3 searches")


def test_names_in_checks_are_seen() -> None:
    """Indices, fields of documents and of queries; not the words of queries."""
    code = '''
def test(elasticsearch):
    elasticsearch.plant("pages", {"title": "a", "author": {"name": "b"}})
    elasticsearch.hits("events", {"bool": {"filter": [{"range": {"at": {"gte": 1}}}]}}, sort=[{"n": "asc"}])
    elasticsearch.mapping("alias")["kind"]
    with elasticsearch.searches() as seen:
        pass
'''
    file = CheckFile("test_a.py", ast.parse(code))
    names = [one.text for one in texts(file, {"elasticsearch": NAMES}) if one.text not in NAMES.reserved]
    assert sorted(names) == ["alias", "at", "author", "events", "kind", "n", "name", "pages", "title"]


def test_the_compose_file_leads_nobody_to_another_machine() -> None:
    """One node on the loopback, without logins and without what asks the internet; its memory is bounded twice."""
    text = (resources.compose_folder() / "elasticsearch.yaml").read_text()
    service = yaml.safe_load(text)["services"]["elasticsearch"]
    assert [port.split(":")[0] for port in service["ports"]] == ["127.0.0.1"]
    assert service["environment"]["ingest.geoip.downloader.enabled"] == "false"
    assert service["mem_limit"] == "1g"
    assert "-Xmx512m" in service["environment"]["ES_JAVA_OPTS"]


def test_the_images_list_is_whole() -> None:
    """Each jar has a digest and a place, no place twice; each module has its class, and its jar."""
    folder = Path(resources.images_folder()) / "elasticsearch"
    jars = [entry.split() for entry in (folder / "jars.txt").read_text().splitlines() if not entry.startswith("#")]
    modules = [entry.split() for entry in (folder / "modules.txt").read_text().splitlines() if not entry.startswith("#")]
    assert {len(digest) for digest, _, _ in jars} == {64}
    places = [place for _, _, place in jars]
    assert len(set(places)) == len(places)
    assert {place.split("/")[1] for place in places if place.startswith("modules/")} == {name for name, *_ in modules}
    assert {path.stem for path in (folder / "policies").iterdir()} <= {name for name, *_ in modules}
    assert json.dumps(modules).count("lang-painless") == 3
