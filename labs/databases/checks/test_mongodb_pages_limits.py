"""mongodb/pages: wrong bodies change nothing, every limit is where the contract has it, and text is only ever text."""

from copy import deepcopy

import pytest

from orchestrator.checks import expect, promises

LARGE = 98_000
"""Letters in a field that nobody asked for: with the rest the body is just below 100 kB."""


@pytest.fixture
def unchanged(mongodb):
    """``unchanged(page) -> look``: ``look(what)`` compares the page's document, and how many there are, with before."""

    def remember(page):
        def now():
            return mongodb.find("pages", {"_id": page}), mongodb.count("pages")

        before = now()

        def look(what, reason="bad-body-stored"):
            document, count = now()
            expect.equal(before[0], document, f"the document of the page in MongoDB after {what}", reason=reason)
            expect.equal(before[1], count, f"how many pages MongoDB has after {what}", reason=reason)

        return look

    return remember


@pytest.fixture
def refused_page(server, unchanged, plant_page, fresh):
    """``refused_page(body, what)``: PUT of it is 422 with invalid, for a page that is there and one that is not."""
    there, new = plant_page(), fresh.name("page").lower()

    def ask(body, what):
        look = unchanged(there)
        for page in (there, new):
            answer = server.put(f"/pages/{page}", json=body)
            expect.true(
                answer.status == 422 and answer.json().get("code") == "invalid",
                f"the answer to PUT of a page with {what}",
                reason="bad-body-accepted",
                expected="422 with invalid",
                seen=f"{answer.status} {answer.text}",
            )
        look(f"a PUT with {what}")

    return ask


@promises("bad-body", "put-pages-422", "new-page-kind", "new-page-details", "concert-acts", "play-roles")
def test_wrong_bodies_are_refused(server, refused_page, unchanged, plant_page, new_page, evidence):
    """A body that openapi.yaml does not allow is refused with 422 and stores nothing."""
    concert, match, play = (new_page(kind) for kind in ("concert", "match", "play"))
    acts, roles = concert["details"]["acts"], play["details"]["roles"]
    wrong = [
        *((f"no `{field}`", {name: value for name, value in concert.items() if name != field}) for field in concert),
        *((f"`kind`: {expect.shown(kind)}", {**match, "kind": kind})
          for kind in ("opera", "", "Match", "match ", ["match"], {"$in": ["match"]}, None, 1, True)),
        *((f"`details`: {expect.shown(details)}", {**match, "details": details})
          for details in (None, "home and away", [match["details"]], {}, 7)),
        *((f"the details of a {other['kind']} in a {one['kind']}", {**one, "details": other["details"]})
          for one in (concert, match, play) for other in (concert, match, play) if one is not other),
        *((f"`acts`: {expect.shown(value)}", {**concert, "details": {"acts": value}})
          for value in (None, {}, acts[0], "acts", ["act"], [None], [{}], [{"name": "n"}], [{"minutes": 9}], [acts], [*acts, 7])),
        *((f"`roles`: {expect.shown(value)}", {**play, "details": {"roles": value}})
          for value in (None, {}, "roles", ["role"], [{"role": "r"}], [{"actor": "a"}], [*roles, {"role": 1, "actor": "a"}])),
        *((f"no `{field}` in a match", {**match, "details": {field: "n"}}) for field in ("home", "away")),
    ]
    for what, body in wrong:
        refused_page(body, what)
    page = plant_page()
    look = unchanged(page)
    for content in (b'{"kind": "match", ', b"", b"[]", b'"match"', b"null"):
        answer = server.put(f"/pages/{page}", content=content, headers={"Content-Type": "application/json"})
        expect.status(answer, 422, reason="bad-body-accepted", code="invalid")
    look("bodies that are no JSON object")
    evidence(f"{len(wrong) + 5} bodies that the contract does not allow changed no document in MongoDB")


@promises(
    "new-page-title", "match-home", "match-away", "act-name", "act-minutes", "role-role", "role-actor", "concert-acts", "play-roles",
    "text-kept", "text-nul", "put-pages-200", "put-pages-422", "bad-body",
)
def test_both_sides_of_every_limit_of_a_page(server, edges, new_page, plant_page, page_shown, page_stored, refused_page, evidence):
    """What openapi.yaml just allows is taken and comes back unchanged; what is just past it is refused."""
    concert, match, play = (new_page(kind) for kind in ("concert", "match", "play"))
    act, role = concert["details"]["acts"][0], play["details"]["roles"][0]
    parts = [
        *((edge, edge.within(match)) for edge in edges.body("PUT", "/pages/{page}") if edge.field == "title"),
        *((edge, {**match, "details": edge.within(match["details"])}) for edge in edges.schema("Match")),
        *((edge, {**concert, "details": {"acts": [act, edge.within(act)]}}) for edge in edges.schema("Act")),
        *((edge, {**play, "details": {"roles": [role, edge.within(role)]}}) for edge in edges.schema("Role")),
    ]
    tried = [(f"`{edge.field}`: {edge.why}", body, edge.allowed) for edge, body in parts]
    for one, name, part in ((concert, "acts", act), (play, "roles", role)):
        tried += [(f"{count} {name}", {**one, "details": {name: [part] * count}}, 1 <= count <= 50) for count in (0, 1, 50, 51)]
    page, version = plant_page(), 1
    for what, body, allowed in tried:
        if not allowed:
            refused_page(body, what)
            continue
        version += 1
        answer = server.put(f"/pages/{page}", json=body)
        expect.true(
            answer.status == 200, f"the answer to PUT of a page with {what}", reason="good-body-refused",
            expected="200", seen=f"{answer.status} {answer.text}",
        )
        page_stored(page, body, version, f"after a PUT with {what}")
        for method, one in (("PUT", answer), ("GET", server.get(f"/pages/{page}"))):
            page_shown(one, page, body, version, f"the answer to {method} of a page with {what}", "value-changed")
    evidence(f"{len(tried)} values at both sides of the limits of a page were taken or refused; MongoDB has {version} versions of one")


@promises("more-fields", "field-names", "bad-body", "page-versions", "page-address", "large-body")
def test_fields_that_nobody_asked_for(server, mongodb, edges, new_page, plant_page, page_shown, page_stored, refused_page, evidence):
    """Fields that the contract does not know, and names in other letter case, are ignored, whatever they are called."""
    page, version = plant_page(), 1
    deep = {}
    for _ in range(150):  # MongoDB stores a hundred levels
        deep = {"deeper": deep}
    more = [
        {"version": 99}, {"_id": "another"}, {"page": "another"}, {"changed_at": "2001-01-01T00:00:00Z"}, {"__v": 7},
        {"$set": {"title": "x"}}, {"$unset": {"title": 1}}, {"title.more": "x"}, {"details.home": "x"}, {"": "x"}, {"$where": "1"},
        {"acts": [7]}, {"deep": deep}, {"remarks": "r" * LARGE},
    ]
    for fields in more:
        for place in ("the body", "`details`"):
            if place == "`details`" and fields.keys() & {"version", "page", "changed_at"}:
                continue
            body = new_page("match")
            sent = {**fields, **body} if place == "the body" else {**body, "details": {**fields, **body["details"]}}
            what = f"a PUT with {'the field ' + expect.shown(next(iter(fields)))} in {place}, which nobody asked for"
            answer = server.put(f"/pages/{page}", json=sent)
            if answer.status == 422 and "deep" in fields:
                continue  # many readers of JSON have a limit of their own
            version += 1
            expect.true(answer.status == 200, f"the answer to {what}", "more-fields-refused", "200", f"{answer.status} {answer.text}")
            page_shown(answer, page, body, version, f"the answer to {what}", "more-fields-taken")
            page_stored(page, body, version, f"after {what}")
            shown = server.get(f"/pages/{page}")
            expect.status(shown, 200, reason="more-fields-taken")
            page_shown(shown, page, body, version, f"the answer to the GET after {what}", "more-fields-taken")
    expect.equal(0, mongodb.count("pages", {"_id": "another"}), "how many pages have the address that stood in a body", reason="more-fields-taken")
    for field, others in edges.misnamed("PUT", "/pages/{page}").items():
        body = new_page("match")
        names = " and ".join(f"`{one}`" for one in others)
        sent = {**{one: [] for one in others}, **body}
        version += 1
        answer = server.put(f"/pages/{page}", json=sent)
        expect.true(answer.status == 200, f"the answer to a PUT with {names} beside `{field}`", "name-by-letter", "200", f"{answer.status} {answer.text}")
        page_stored(page, body, version, f"after a PUT with {names} beside `{field}`")
        refused_page({**{name: value for name, value in body.items() if name != field}, **dict.fromkeys(others, body[field])}, f"{names} in place of `{field}`")
    for kind, schema in (("match", "Match"), ("concert", "Act"), ("play", "Role")):
        for field, others in edges.misnamed_in(schema).items():
            names = " and ".join(f"`{one}`" for one in others)
            for lacking in (True, False):
                body = new_page(kind)
                sent = deepcopy(body)
                holds = sent["details"] if kind == "match" else next(iter(sent["details"].values()))[-1]
                value = holds.pop(field) if lacking else []
                holds |= dict.fromkeys(others, value)
                if lacking:
                    refused_page(sent, f"{names} in place of `{field}` in `details`")
                    continue
                version += 1
                answer = server.put(f"/pages/{page}", json=sent)
                what = f"a PUT with {names} behind `{field}` in `details`"
                expect.true(answer.status == 200, f"the answer to {what}", "name-by-letter", "200", f"{answer.status} {answer.text}")
                page_stored(page, body, version, f"after {what}")
    evidence(f"{len(more)} fields that nobody asked for, such as `$set` and `version`, changed nothing of what MongoDB has")


@promises("no-operators", "text-kept")
def test_text_is_never_an_operator(server, mongodb, new_page, plant_page, page_shown, page_stored, evidence):
    """`$` and `.` in a text are letters: MongoDB gets them as they are, and no query is made of them."""
    canary = plant_page(body=new_page("match"))
    before = mongodb.one("pages", {"_id": canary})
    page, version = plant_page(), 1
    texts = [
        "$title", "$$NOW", "$$ROOT", "$kind", "$details.home", "$_id", "$", "a.b.c", "{$ne: null}", '{"$gt": ""}', "$where", "$1",
        "');db.pages.drop();//", "' || '1'=='1", "\\u0024title", "%24title", "&#36;", '"', "\\",
    ]
    for text in texts:
        match, play = new_page("match"), new_page("play")
        for body in (
            {**match, "title": text, "details": {"home": text, "away": f"{text}{text}"}},
            {**play, "details": {"roles": [{"role": text, "actor": text}, *play["details"]["roles"]]}},
        ):
            version += 1
            answer = server.put(f"/pages/{page}", json=body)
            expect.true(answer.status == 200, f"the answer to PUT of a page with the text {text}", "injection", "200", f"{answer.status} {answer.text}")
            for method, one in (("PUT", answer), ("GET", server.get(f"/pages/{page}"))):
                page_shown(one, page, body, version, f"the answer to {method} of a page with the text {text}", "injection")
            page_stored(page, body, version, f"after a PUT with the text {text}")
    expect.equal(before, mongodb.one("pages", {"_id": canary}), "a page that no request named, after texts with operators in them", reason="injection")
    evidence(f"MongoDB stored {len(texts)} texts full of `$` letter by letter; the page that no request named is as it was")
