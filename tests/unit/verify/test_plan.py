"""What a proof tries: mutants from what was observed, samples, equivalents; and how it judges what it saw."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest

from orchestrator.catalog.labs import find_lab
from orchestrator.checks.routes import read_openapi, template_of, templates_of
from orchestrator.judge.child import EXCHANGE_LIMIT
from orchestrator.model import Record, Verdict
from orchestrator.report.lab_proof import Kind, Seen
from orchestrator.report.timeline import Request, Timeline
from orchestrator.verify import plan
from orchestrator.verify.case import Case, Observed, judged
from orchestrator.verify.changes import Change
from orchestrator.verify.mutants import TRIES, changes
from orchestrator.verify.observe import read_recording
from orchestrator.verify.solutions import Equivalent, Solutions, read_solutions

LAB = find_lab("databases")
SOLUTIONS = read_solutions(LAB.folder / "solutions")
ALL = tuple(one.id for one in LAB.milestones)
JSON = (("content-type", "application/json"), ("date", "today"))
CREATED = ("POST /buyers", 201, (*JSON, ("location", "/buyers/1")), '{"id": "1", "tags": ["a"]}')


def scope(**more: object) -> plan.Scope:
    return dataclasses.replace(plan.Scope(ALL, quick=False, repeats=2, seed=1), **more)


def test_a_change_of_everything_that_was_answered() -> None:
    """Status, headers that mean something, every field in every way, the write itself."""
    found = changes({"a/one": Observed((CREATED, ("POST /buyers", 422, JSON, '{"code": "x"}')))}, {})

    ids = {change.id for change in found}
    assert {one.removeprefix("POST /buyers ") for one in ids} == {
        "201: answered with 500", "201: the write does not reach the server", "201: the write is done twice",
        "201: header content-type absent", "201: header location absent",
        "201: header content-type has another value", "201: header location has another value",
        "422: header content-type has another value", "201: id absent", "201: id is null",
        "201: id has another value", "201: id has another type", "201: tags absent", "201: tags is empty",
        "201: tags without its first", "201: tags in reverse order", "422: answered with 201",
        "422: header content-type absent", "422: code absent", "422: code has another value"}


def test_a_redirect_is_a_good_answer_too() -> None:
    """It becomes a 500, its address another one, an old one is given again; what is refused beside it becomes one."""
    moved = ("GET /links/{code}", 302, (("location", "https://a"),), "")
    found = changes({"a/one": Observed((moved, ("GET /links/{code}", 404, JSON, "{}")))}, {})

    assert {change.id.removeprefix("GET /links/{code} ") for change in found} == {
        "302: answered with 500", "302: an old answer again", "302: header location absent",
        "302: header location has another value", "404: answered with 302", "404: header content-type absent",
        "404: header content-type has another value"}


def test_a_change_belongs_to_the_first_milestone_that_sees_it() -> None:
    """That one brings the route in; the others follow in the lab's order, a few of them."""
    seen = {"a/0": Observed(()), **{f"a/{number}": Observed((CREATED,)) for number in range(1, 9)}}

    assert set(changes(seen, {}).values()) == {tuple(f"a/{number}" for number in range(1, 1 + TRIES))}


def test_only_what_the_checks_asked_for_is_changed(tmp_path: Path) -> None:
    """Whoever waits until the server is ready asks it, too; of each answer the one with the most fields is kept."""
    lines = [("GET", "/health", 200, "{}"), ("GET", "/events?limit=2", 200, '{"items": []}'),
             ("GET", "/events", 200, '{"items": [{"id": "1"}]}'), ("GET", "/events/7", 404, "{}")]
    (tmp_path / "record").write_text("".join(
        json.dumps({"method": method, "path": path, "status": status, "headers": JSON, "body": body}) + "\n"
        for method, path, status, body in lines))
    asked = [Request(at=0.0, seconds=0.0, check="a", method="GET", path=path, body="", status=200, response="",
                     curl="")
             for path in ("/events?limit=9", "/events/9")]
    record = Record(at=0.0, service="postgres", text="SELECT 1", source="log")
    told = Timeline(milestone="a/one", title="", verdict=Verdict.PASS, reason="", seed=1, checks={}, failed=(),
                    requests=tuple(asked), records=(record, record, dataclasses.replace(record, service="redis")),
                    marks=(), products={}, gaps={})

    seen = read_recording(tmp_path / "record", ("/events", "/events/{id}", "/health"), [told], ["postgres"])

    assert seen == Observed((("GET /events", 200, JSON, '{"items": [{"id": "1"}]}'),
                             ("GET /events/{id}", 404, JSON, "{}")), {"postgres": ("SELECT 1",)},
                            {"GET /events 200": ("a",), "GET /events/{id} 200": ("a",)})


def test_a_change_meets_only_the_checks_that_get_the_changed_answer() -> None:
    """No other one can notice. Where it is not known who asked, and for what is spoilt in a service, all are tried."""
    known = Observed((CREATED,), asked={"POST /buyers 201": ("postgres/crud/test_a",)})
    many = Observed((CREATED,), {"redis": ("SET a 1",)})
    observed = {"postgres/crud": known, "redis/hold": many}
    found = {Change("POST /buyers", 201, "status", to=500): ("postgres/crud", "redis/hold"),
             Change("", 0, "sabotage", "every key is gone after a write", service="redis"): ("redis/hold",)}

    cases = plan.mutant_cases(LAB, SOLUTIONS, scope(), found, observed)
    every = plan.mutant_cases(LAB, SOLUTIONS, scope(every_check=True), found, observed)

    assert [case.checks for case in cases] == [{"postgres/crud": ("postgres/crud/test_a",)}, {}]
    assert [case.checks for case in every] == [{}, {}]



def test_more_requests_than_are_kept_say_nothing_of_who_asked(tmp_path: Path) -> None:
    """A check whose requests were not kept could notice, too."""
    request = Request(at=0.0, seconds=0.0, check="a", method="GET", path="/events", body="", status=200, response="")
    told = Timeline(milestone="a/one", title="", verdict=Verdict.PASS, reason="", seed=1, checks={}, failed=(),
                    requests=(request,) * EXCHANGE_LIMIT)

    assert read_recording(tmp_path / "record", ("/events",), [told], []).asked == {}


def test_what_can_be_spoilt_in_a_service() -> None:
    """By what it recorded of the server: each write that PostgreSQL saw, what Redis was asked to forget in time."""
    from orchestrator.services.postgres import sabotage as postgres_sabotage
    from orchestrator.services.redis import sabotage as redis_sabotage

    texts = ('WITH s AS (INSERT INTO orders (a) VALUES ($1)) SELECT 1', "update  events SET seats=$1", "SELECT 1",
             "DELETE FROM ONLY events", "SELECT 1 FROM events FOR UPDATE")
    assert postgres_sabotage.possible(texts) == [
        "DELETE on events changes nothing", "INSERT on orders changes nothing", "UPDATE on events changes nothing"]
    assert redis_sabotage.possible(["GET views:1"]) == ["every key is gone after a write"]
    assert redis_sabotage.possible(['"SET" "hold:1:2" "x" "EX" "120"'])[1:] == ["no key expires"]
    assert redis_sabotage.possible([]) == []
    found = changes({"a/one": Observed((), {"redis": ("GET a",)})}, {"redis": redis_sabotage.possible})
    assert list(found) == [Change("", 0, "sabotage", "every key is gone after a write", service="redis")]


def test_paths_belong_to_routes() -> None:
    """By openapi.yaml, fixed parts before parameters; elsewhere by what looks like an id."""
    templates = templates_of(read_openapi(LAB.folder))

    assert template_of("/events/7/views?x=1", templates) == "/events/{id}/views"
    assert template_of("/events/7/holds/abc", templates) == "/events/{id}/holds/{hold}"
    assert template_of("/things/0f3a/parts", ()) == "/things/{id}/parts"
    assert template_of("/things/parts", ()) == "/things/parts"


def test_a_whole_proof_tries_everything() -> None:
    """Every accepted, wrong and junk server; a wrong one with what its milestone needs."""
    cases = plan.first_cases(LAB, SOLUTIONS, scope(), ["python", "go"])
    kinds = {kind: [case for case in cases if case.kind == kind] for kind in {case.kind for case in cases}}

    assert [case.server for case in kinds["accepted"]] == list(SOLUTIONS.accepted)
    assert len(kinds["wrong"]) == len(SOLUTIONS.wrong)
    assert next(case for case in kinds["wrong"] if case.milestone == "postgres/crud").milestones == (
        "postgres/schema", "postgres/crud")
    assert {case.server for case in kinds["junk"]} == set(plan.KINDS)
    assert {case.milestone for case in kinds["junk"]} == set(ALL)
    # Twice, and each time at the three servers that together are for all tracks.
    assert len(kinds["repeat"]) == 6
    assert {case.seed for case in kinds["repeat"]} == {2, 3}
    assert {(case.service, *case.variants) for case in kinds["outage"]} == {
        (service, moment) for service in ("postgres", "mysql", "redis", "mongodb", "elasticsearch")
        for moment in ("during", "before")}
    assert len({case.id for case in cases}) == len(cases)


def test_a_quick_proof_is_a_sample_that_its_seed_repeats() -> None:
    """One wrong server of each milestone; with other seeds, over time, all of them."""
    def drawn(seed: int) -> list[Case]:
        return plan.first_cases(LAB, SOLUTIONS, scope(quick=True, seed=seed), ["python"])

    wrong = [{case.id for case in drawn(seed) if case.kind == "wrong"} for seed in range(150)]
    assert drawn(3) == drawn(3)
    assert all(len(some) == len(ALL) for some in wrong)
    assert len(set.union(*wrong)) == len(SOLUTIONS.wrong)


def test_the_quickest_server_is_the_one_that_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it can be built; patches, other values and the quarter of the machine stay with the main one."""
    monkeypatch.setattr(shutil, "which", lambda program: program)
    first = ("postgres/crud", "redis/hold")
    assert next(iter(SOLUTIONS.shares(LAB, first))) == SOLUTIONS.main == "python"
    assert SOLUTIONS.shares(LAB, first, quick=True) == {"go": first}
    cases = [*plan.first_cases(LAB, SOLUTIONS, scope(), []), *plan.observing(LAB, SOLUTIONS, scope())]
    asked = [case for case in cases if set(case.milestones) & set(first)]
    assert {case.server for case in asked if case.kind == "front" or (case.kind == "variant" and not case.patch)} == {
        "go"}
    assert {case.server for case in asked if case.kind in ("repeat", "outage")} == {"python"}

    monkeypatch.setattr(shutil, "which", lambda program: None if program == "go" else program)
    assert SOLUTIONS.shares(LAB, first, quick=True) == {"python": first}


def test_equivalents_are_patterns_and_brackets_are_plain() -> None:
    """A lab says of which milestones and mutants, in the words that a proof prints."""
    known = [Equivalent("a/*", "GET /x 200: items[].* absent", "because")]
    case = Case("m", "mutant", "python", ("a/b",), milestone="a/b", change=Change("GET /x", 200, "absent", "items[].id"))

    assert plan.equivalent(case, known) == "because"
    assert plan.equivalent(dataclasses.replace(case, milestone="b/b"), known) == ""
    assert plan.equivalent(dataclasses.replace(case, change=Change("GET /x", 200, "absent", "items")), known) == ""


PASS, FAIL, ERROR = Seen("pass"), Seen("fail", "lost", "t/s/check", "the row"), Seen("error", "bug", what="broke")


@pytest.mark.parametrize(("kind", "seen", "said"), [
    ("accepted", {"t/s": PASS}, ""),
    ("accepted", {"t/s": FAIL}, "rejected at t/s, fail (lost)"),
    ("variant", {"t/s": Seen("timeout", "too-slow")}, "rejected"),
    ("repeat", {"t/s": ERROR}, "a check or the machinery broke"),
    ("starter", {"t/s": FAIL}, ""),
    ("starter", {"t/s": PASS}, "passes t/s"),
    ("junk", {"t/s": Seen("fail", passed_checks=("t/s/check",))}, "passes the checks t/s/check"),
    ("junk", {"t/s": ERROR}, "broke"),
    ("junk", {"t/s": Seen("invalid", "never-bound")}, ""),
    ("wrong", {"t/n": PASS, "t/s": FAIL}, ""),
    ("wrong", {"t/n": FAIL, "t/s": FAIL}, "must pass what its milestone needs"),
    ("wrong", {"t/s": PASS}, "passes t/s, which it must fail for lost"),
    ("wrong", {"t/s": Seen("fail", "other")}, "must fail for lost; it got fail for other"),
    ("wrong", {"t/s": Seen("timeout", "lost")}, "it got timeout"),
    ("wrong", {}, "was not judged"),
    ("mutant", {"t/s": PASS}, ""),
    ("mutant", {"t/s": ERROR}, "broke"),
    ("outage", {"t/s": ERROR}, ""),
    ("outage", {"t/s": PASS}, ""),
    ("outage", {"t/s": FAIL}, "the server is blamed"),
])
def test_what_a_case_must_show(kind: Kind, seen: dict[str, Seen], said: str) -> None:
    """Empty where it shows it; else one sentence."""
    found = judged(Case("x", kind, "python", ("t/s",), milestone="t/s", reason="lost"), seen)

    assert (said in found) if said else found == ""


def test_solutions_with_mistakes_say_all_of_them(tmp_path: Path) -> None:
    """At once, each with its file."""
    from orchestrator.errors import LabInvalid

    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong/a.patch").write_text("# milestone: t/s\n")
    (tmp_path / "wrong/b.patch").write_bytes(b"\xff\xfe")
    (tmp_path / "proof.toml").write_text("[[equivalent]]\nmilestone = 1\n[accepted.nobody]\nfrom_brief = true\n")

    with pytest.raises(LabInvalid) as caught:
        read_solutions(tmp_path)

    text = "\n".join(caught.value.details)
    for words in ("solutions/accepted: has no server", "'# reason: ...'", "'# story: ...'", "cannot be read",
                  "format = 1 is missing", "accepted.nobody", "each [[equivalent]] has"):
        assert words in text


def test_a_patch_is_applied_and_taken_back(tmp_path: Path) -> None:
    """A new file goes, a changed one is as before; one that does not apply changes nothing and says why."""
    from orchestrator.errors import LabInvalid
    from orchestrator.verify.solutions import Patch, applies, apply, restore

    source, copy = tmp_path / "source", tmp_path / "copy"
    for folder in (source, copy):
        folder.mkdir()
        (folder / "a.py").write_text("one\ntwo\n")
    text = ("--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n-one\n+ONE\n two\n"
            "--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+new\n")
    patch = Patch("p", text, "python", "a story")

    assert applies(copy, patch) == ""
    changed = apply(copy, patch)
    assert ((copy / "a.py").read_text(), (copy / "new.py").read_text()) == ("ONE\ntwo\n", "new\n")
    restore(copy, source, changed)
    assert {path.name: path.read_text() for path in copy.iterdir()} == {"a.py": "one\ntwo\n"}
    (copy / "a.py").write_text("other\n")
    with pytest.raises(LabInvalid, match="does not apply to accepted/python"):
        apply(copy, patch)
    assert (copy / "a.py").read_text() == "other\n"


def test_the_solutions_of_our_lab() -> None:
    """Three languages, two written from the brief alone; patches are for the Python ones. Search and MySQL are apart."""
    assert SOLUTIONS.accepted == (
        "go", "go-mysql", "go-search", "node", "python", "python-mysql", "python-search")
    assert SOLUTIONS.from_brief == {"go-mysql", "node"}
    assert SOLUTIONS.main == "python"
    assert isinstance(SOLUTIONS, Solutions)


def test_a_put_done_twice_is_no_fault() -> None:
    """HTTP lets anybody repeat it; a POST done twice is one."""
    answers = [(f"{method} /words/{{name}}", 204, (), "") for method in ("PUT", "POST", "DELETE")]
    found = {one.id for one in changes({"keys/keep": Observed(tuple(answers), {})}, {})}

    assert "POST /words/{name} 204: the write is done twice" in found
    assert "DELETE /words/{name} 204: the write is done twice" in found
    assert "PUT /words/{name} 204: the write is done twice" not in found
    assert "PUT /words/{name} 204: the write does not reach the server" in found


def test_an_accepted_server_is_judged_on_the_tracks_that_it_is_for(tmp_path: Path) -> None:
    """Its workspace.toml says which; what it is not for, another one stands for."""
    folder = Path(shutil.copytree(SOLUTIONS.folder, tmp_path / "solutions"))
    for name, track in (("go", "postgres"), ("python", "redis")):
        toml = folder / "accepted" / name / "workspace.toml"
        toml.write_text(re.sub(r"^tracks = .*$", "", toml.read_text(), flags=re.MULTILINE) + f'tracks = ["{track}"]\n')
    solutions = read_solutions(folder)

    cases = plan.first_cases(LAB, solutions, scope(), ())
    judged = {case.server: case.milestones for case in cases if case.kind == "accepted"}
    assert {one.partition("/")[0] for one in judged["go"]} == {"postgres"}
    main = solutions.shares(LAB, ALL)
    assert list(main) == ["python", "python-mysql", "python-search", "go", "node"]
    assert set(main["python"]) == solutions.judged(LAB, "python")
    assert sorted(one for share in main.values() for one in share) == sorted(ALL)
    quick = solutions.shares(LAB, ALL, quick=True)
    assert next(iter(quick)) == "go"
    assert set(quick["go"]) == solutions.judged(LAB, "go")
    fronts = {case.milestone: case.server for case in plan.observing(LAB, solutions, scope())}
    assert (fronts["postgres/crud"], fronts["redis/hold"]) == ("go", "python")
    repeats = {case.id: case.server for case in cases if case.kind == "repeat" and case.seed == 2}
    assert (repeats["repeat 1"], repeats["repeat 1 on go"]) == ("python", "go")


def test_a_mutant_meets_the_milestones_of_its_own_server(tmp_path: Path) -> None:
    """Another server's milestones would notice that it is not theirs, not what was changed."""
    folder = Path(shutil.copytree(SOLUTIONS.folder, tmp_path / "solutions"))
    toml = folder / "accepted" / "go" / "workspace.toml"
    toml.write_text(re.sub(r"^tracks = .*$", "", toml.read_text(), flags=re.MULTILINE) + 'tracks = ["postgres"]\n')
    observed = {one: Observed((CREATED,)) for one in ("postgres/crud", "redis/hold", "postgres/pool")}

    cases = plan.mutant_cases(LAB, read_solutions(folder), scope(), changes(observed, {}), observed)
    assert {(case.server, case.milestones) for case in cases} == {("go", ("postgres/crud", "postgres/pool"))}
