"""What the checks of this lab share: rows that are planted, rows that are read back, and a little about times.

A planted row is written by the checker with SQL, as the learner's role and without an id, as storage.md says. Ids
travel as text, as they do in the API; `id::text = %s` compares them whatever their type is.
"""

from __future__ import annotations

import json
import threading
from datetime import datetime

import pytest

from orchestrator.checks import Call, Late, NoAnswer, expect

PLACES = {"buyers": "id", "orders": "event_id", "tickets": "event_id"}
# In a schema of a name that nobody knows beforehand: what is there already would not be ours.
TRIGGERS = """
CREATE SCHEMA {own};
CREATE TABLE {own}.plan (place text, row_id text, mark text, state text, words text, times bigint);
CREATE FUNCTION {own}.act() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  step record;
BEGIN
  FOR step IN SELECT * FROM {own}.plan WHERE place = TG_TABLE_NAME AND row_id = to_jsonb(NEW) ->> TG_ARGV[0] LOOP
    -- A sequence goes on counting when the transaction is taken back.
    IF nextval(step.mark::regclass) <= step.times THEN
      RAISE EXCEPTION USING ERRCODE = step.state, MESSAGE = step.words;
    END IF;
  END LOOP;
  RETURN NULL;
END $$;
"""
TRIGGER = (
    "CREATE TRIGGER {own} AFTER INSERT OR UPDATE ON public.{place} FOR EACH ROW EXECUTE FUNCTION {own}.act('{column}')"
)

APART = 100
SPEND = {
    "buyers": "INSERT INTO buyers (name, balance_cents) SELECT 'spent', 0 FROM generate_series(1, %s)",
    "events": "INSERT INTO events (name, venue, starts_at, seats, price_cents)"
    " SELECT 'spent', 'spent', now() + i * interval '1 day', 1, 0 FROM generate_series(1, %s) AS i",
    "orders": "INSERT INTO orders (event_id, buyer_id, seat, price_cents)"
    " SELECT e.id, b.id, 1, 0 FROM (SELECT id FROM events LIMIT 1) e, (SELECT id FROM buyers LIMIT 1) b,"
    " generate_series(1, %s)",
}


@pytest.fixture
def make_buyer(postgres, fresh):
    """`make_buyer(balance_cents=10_000, name=None) -> id`: plants a buyer."""

    def plant(balance_cents: int = 10_000, name: str | None = None) -> str:
        rows = postgres.plant(
            "INSERT INTO buyers (name, balance_cents) VALUES (%s, %s) RETURNING id::text",
            [name or fresh.name("buyer"), balance_cents],
        )
        return rows[0][0]

    return plant


@pytest.fixture
def make_event(postgres, fresh):
    """`make_event(seats=100, price_cents=1_000, venue=None, starts_at=None, name=None) -> id`: plants an event."""

    def plant(
        seats: int = 100, price_cents: int = 1_000, venue: str | None = None, starts_at: str | None = None,
        name: str | None = None,
    ) -> str:
        rows = postgres.plant(
            "INSERT INTO events (name, venue, starts_at, seats, price_cents) VALUES (%s, %s, %s, %s, %s) "
            "RETURNING id::text",
            [name or fresh.name("event"), venue or fresh.name("venue"), starts_at or fresh.time(), seats, price_cents],
        )
        return rows[0][0]

    return plant


@pytest.fixture
def make_sale(postgres):
    """`make_sale(event, buyer, seat, price_cents=1_000) -> order id`: plants an order and its ticket, at once."""

    def plant(event: str, buyer: str, seat: int, price_cents: int = 1_000) -> str:
        rows = postgres.plant(
            "WITH sale AS (INSERT INTO orders (event_id, buyer_id, seat, price_cents)"
            " SELECT e.id, b.id, %s, %s FROM events e, buyers b WHERE e.id::text = %s AND b.id::text = %s"
            " RETURNING id, event_id, seat)"
            " INSERT INTO tickets (order_id, event_id, seat) SELECT id, event_id, seat FROM sale RETURNING "
            "order_id::text",
            [seat, price_cents, event, buyer],
        )
        return rows[0][0]

    return plant


@pytest.fixture
def ids_apart(postgres, make_buyer, make_event, make_sale):
    """From here on, buyers, events, orders and tickets have ids far apart, so that one in another's place is seen.

    Where ids are counted, rows that are taken back at once use some up: a sequence does not go back.
    """
    event, buyer = make_event(), make_buyer()
    order = make_sale(event, buyer, 1)
    ticket = postgres.value("SELECT id::text FROM tickets WHERE order_id::text = %s", [order])
    if not all(one.isdigit() for one in (event, buyer, order, ticket)):
        return
    taken = [int(ticket)]
    for table, last in (("buyers", buyer), ("events", event), ("orders", order)):
        spent = 0
        while any(abs(int(last) + spent - one) < APART for one in taken):
            spent += 1
        if spent:
            postgres.refused(SPEND[table], [spent])
        taken.append(int(last) + spent)


@pytest.fixture
def sold(postgres):
    """`sold(event) -> (orders, tickets)`: how many rows PostgreSQL has of this event."""

    def count(event: str) -> tuple[int, int]:
        return (
            postgres.value("SELECT count(*) FROM orders WHERE event_id::text = %s", [event]),
            postgres.value("SELECT count(*) FROM tickets WHERE event_id::text = %s", [event]),
        )

    return count


@pytest.fixture
def balance(postgres):
    """`balance(buyer) -> cents`: the balance in PostgreSQL."""

    def read(buyer: str) -> int:
        return postgres.value("SELECT balance_cents FROM buyers WHERE id::text = %s", [buyer])

    return read


@pytest.fixture
def instant():
    """`instant(text, what) -> datetime`: an RFC 3339 time with its zone, in any form that the contract allows."""

    def parse(text: str, what: str) -> datetime:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        expect.true(
            moment is not None and moment.tzinfo is not None,
            what,
            reason="time-wrong",
            expected="a time in UTC such as 2027-05-01T19:30:00Z",
            seen=text,
        )
        return moment

    return parse


@pytest.fixture
def event_as_stored(postgres, instant):
    """`event_as_stored(source, id, what, reason)`: the event in an answer is the row that PostgreSQL has of it."""

    def compare(source, event: str, what: str, reason: str) -> None:
        rows = postgres.rows(
            "SELECT name, venue, starts_at, seats, price_cents,"
            " (SELECT count(*) FROM tickets t WHERE t.event_id = e.id) FROM events e WHERE id::text = %s",
            [event],
        )
        expect.equal(1, len(rows), f"how many rows PostgreSQL has of {what}", reason=reason)
        name, venue, starts_at, seats, price_cents, sold = rows[0]
        stored = {"name": name, "venue": venue, "seats": seats, "price_cents": price_cents, "sold": sold}
        expect.fields(source, {"id": event, **stored}, f"{what}, beside its row in PostgreSQL", reason=reason)
        shown = instant(expect.field(source, "starts_at", str, reason=reason), f"`starts_at` of {what}")
        expect.equal(starts_at, shown, f"`starts_at` of {what}, beside its row in PostgreSQL", reason=reason)

    return compare


@pytest.fixture
def order_as_stored(postgres, instant):
    """`order_as_stored(source, what, reason)`: the order in an answer, and its ticket, are what PostgreSQL has."""

    def compare(source, what: str, reason: str) -> None:
        order = expect.field(source, "order", str, reason=reason)
        rows = postgres.rows(
            "SELECT t.id::text, o.event_id::text, o.seat, o.buyer_id::text, o.price_cents, o.created_at"
            " FROM orders o JOIN tickets t ON t.order_id = o.id WHERE o.id::text = %s",
            [order],
        )
        expect.equal(1, len(rows), f"how many rows PostgreSQL has of {what} and its ticket", reason=reason)
        ticket, event, seat, buyer, price_cents, created_at = rows[0]
        stored = {"ticket": ticket, "event": event, "seat": seat, "buyer": buyer, "price_cents": price_cents}
        expect.fields(source, stored, f"{what}, beside its row in PostgreSQL", reason=reason)
        shown = instant(expect.field(source, "created_at", str, reason=reason), f"`created_at` of {what}")
        # The server may have looked at its clock a little before PostgreSQL did, and may answer whole seconds.
        expect.true(
            abs((shown - created_at).total_seconds()) < 5,
            f"`created_at` of {what}, beside its row in PostgreSQL",
            reason=reason,
            expected=created_at.isoformat(),
            seen=shown.isoformat(),
        )

    return compare


@pytest.fixture
def views_in_redis(redis):
    """`views_in_redis(event) -> int`: the number in the event's key, 0 without one."""

    def read(event: str) -> int:
        text = redis.get(f"views:{event}") or "0"
        expect.true(
            text.isascii() and text.isdigit(),
            f"the key views:{event} in Redis",
            reason="views-wrong",
            expected="a whole number",
            seen=text,
        )
        return int(text)

    return read


@pytest.fixture
def spellings():
    """`spellings(id) -> texts`: what PostgreSQL, or a language, may read as this id, and is spelled otherwise."""

    def of(own: str) -> list[str]:
        numbers = [f"0{own}", f"00{own}", f"+{own}", f" {own}", f"{own} ", f"{own}.0", f"{own[:1]}_{own[1:]}"]
        texts = [*numbers, own.upper(), own.lower(), f"{{{own}}}", own.replace("-", "")]
        for zero in (0x660, 0xFF10):  # digits of another script, and wide ones: all of them, and all but the first
            other = own.translate({ord("0") + digit: zero + digit for digit in range(10)})
            texts += [other, own[:1] + other[1:]]
        # `$` of many languages stands before a last line feed, too; and C's texts end at a NUL.
        texts += [text for space in "\n\t\r\v\0" for text in (f"{own}{space}", f"{space}{own}")]
        return [text for text in dict.fromkeys(texts) if text != own]

    return of


@pytest.fixture
def pages(server):
    """`pages(path, limit, between=None, **params) -> items`: reads a list to its end; `between(page)` after each page.

    `refused`: why it fails when a page is refused.
    """

    def read(path: str, limit: int, between=None, refused: str = "list-refused", **params: str) -> list[dict]:
        items: list[dict] = []
        after: dict[str, str] = {}
        for _ in range(200):
            answer = server.get(path, params={**params, "limit": str(limit), **after})
            expect.status(answer, 200, reason=refused)
            page = expect.field(answer, "items", list, reason="list-shape")
            expect.at_most(
                limit, len(page), f"the number of items of GET {path} with limit={limit}", reason="list-shape"
            )
            items += page
            following = expect.field(answer, "next", (str, type(None)), reason="list-shape")
            if following is None:
                return items
            after = {"after": following}
            if between is not None:
                between(page)
        expect.fail(
            f"how GET {path} ends: I followed `next` 200 times",
            reason="list-endless",
            expected="`next` is null on the last page",
            seen="there was always a next page",
        )
        return items

    return read


@pytest.fixture
def together():
    """`together(works) -> results`: calls each function in a thread of its own, all starting at the same moment."""

    def run(works: list) -> list:
        results: list = [None] * len(works)
        errors: dict[int, Exception] = {}
        start = threading.Barrier(len(works))

        def one(place: int) -> None:
            start.wait()
            try:
                results[place] = works[place]()
            except Exception as error:
                errors[place] = error

        threads = [threading.Thread(target=one, args=[place], daemon=True) for place in range(len(works))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:  # of several the first one's, whoever came first
            raise errors[min(errors)]
        return results

    return run


@pytest.fixture
def two_alike(postgres, fresh):
    """Two events whose ids begin alike, such as 7 and 71, if ids are numbers. Planted are many, to find such a pair."""
    rows = postgres.plant(
        "INSERT INTO events (name, venue, starts_at, seats, price_cents)"
        " SELECT %s, %s, %s::timestamptz + place * interval '1 minute', 100, 1000 FROM generate_series(1, 1000) place"
        " RETURNING id::text",
        [fresh.name("event"), fresh.name("venue"), fresh.time()],
    )
    ids = [row[0] for row in rows]
    known = set(ids)
    return next(((one, one + "1") for one in ids if one + "1" in known), (ids[0], ids[1]))


@pytest.fixture
def look_alikes(fresh):
    """`look_alikes() -> (between, hold, others), ...`: what somebody may write between the values of an order.

    `others(sale) -> bodies`: orders that then say the same as the sale with this hold, and name another event or buyer.
    """

    def others_of(between, first, last):
        hold = f"{first}{between}{last}"

        def others(sale):
            bare = {name: value for name, value in sale.items() if name != "hold"}
            for name in ("event", "buyer"):
                own = sale[name]
                yield {**bare, name: f"{own}{between}{hold}"}
                yield {**bare, name: f"{hold}{between}{own}"}
                yield {**bare, name: f"{own}{between}{first}", "hold": last}
                yield {**bare, name: f"{last}{between}{own}", "hold": first}

        return between, hold, others

    signs = [*":|,;/-_& \n\x1f", "", ", ", "', '", "&hold=", '","hold":"']
    return lambda: [others_of(between, fresh.token(), fresh.token()) for between in signs]


@pytest.fixture
def seat_of():
    """`seat_of(event) -> seat`: of a live message; what is no such message as it is, for the words of the failure."""

    def read(event):
        try:
            return json.loads(event.data)["seat"]
        except (ValueError, TypeError, KeyError):
            return event.data

    return read


@pytest.fixture
def trap(postgres, fresh):
    """`trap(place, row_id) -> times`: from now on writing these rows fails; it was tried `times()` times so far.

    `trap(place, row_id, state, words, most)`: with another SQLSTATE and text, and only the first `most` times.
    """
    own = f"part_{fresh.token()}"
    postgres.admin(TRIGGERS.format(own=own))
    for place, column in PLACES.items():
        postgres.admin(TRIGGER.format(own=own, place=place, column=column))

    def plan(place, row_id, state="P0001", words="labs: this sale fails here, to see what is left of it", most=10**9):
        mark = f"{own}.mark_{fresh.integer(10**9, 10**15)}"
        postgres.admin(f"CREATE SEQUENCE {mark}")
        step = [place, row_id, mark, state, words, most]
        postgres.admin(f"INSERT INTO {own}.plan VALUES (%s, %s, %s, %s, %s, %s)", step)
        return lambda: postgres.admin(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {mark}")[0][0]

    return plan


@pytest.fixture
def met():
    """`met(times, answer, place)`: a sale came to the trap in this table; if it never did, its answer says why."""

    def look(times, answer, place: str) -> None:
        if not times():
            expect.status(answer, 201, reason="sale-refused")
            expect.fail(
                f"how often a sale that was answered with 201 wrote into the table {place}",
                reason="not-stored",
                expected="at least once",
                seen="never",
            )

    return look

@pytest.fixture
def left(sold, balance):
    """`left(event, buyer) -> {...}`: what there is of a sale, in words for messages."""

    def read(event, buyer):
        orders, tickets = sold(event)
        return {"balance": balance(buyer), "orders": orders, "tickets": tickets}

    return read


@pytest.fixture
def sale_with_key(make_buyer, make_event, fresh):
    """`sale_with_key() -> (body, headers)`: a sale for 300 cents to a buyer who has 1000, with an Idempotency-Key."""

    def make():
        body = {"event": make_event(price_cents=300), "seat": fresh.integer(1, 100), "buyer": make_buyer(1_000)}
        return body, {"Idempotency-Key": fresh.token()}

    return make


@pytest.fixture
def alive(server):
    """`alive(buyer)`: the server answers after a lost connection, started again if it has to be.

    Coming back without that is the matter of postgres/pool.
    """

    def look(buyer):
        answer = server.parallel([Call("GET", f"/buyers/{buyer}")], unanswered="keep")[0]
        if getattr(answer, "status", None) != 200:
            server.restart()

    return look


@pytest.fixture
def recovered(server, wait):
    """`recovered(path, body, status) -> answer`: of a POST, now that the server has its services again.

    It is started again if it has to be: coming back by itself is the matter of postgres/pool and redis/outage.
    """

    def ask(path, body, status):
        def answered():
            answer = server.parallel([Call("POST", path, json=body())], unanswered="keep")[0]
            return answer if getattr(answer, "status", None) == status else None

        try:
            return wait.until(answered, deadline=3.0, what=f"{status} for POST {path}")
        except Late:
            server.restart()
        return server.post(path, json=body())

    return ask


@pytest.fixture
def again(server, left, alive):
    """`again((body, headers), answer)`: the same request once more is the same sale, and there is one."""

    def ask(case, answer):
        body, headers = case
        alive(body["buyer"])
        second = server.post("/orders", json=body, headers=headers)
        seen = left(body["event"], body["buyer"])
        what = "what PostgreSQL has of a sale for 300 cents after the same request was sent again"
        expect.true(
            seen["orders"] <= 1 and seen["balance"] >= 700,
            what,
            reason="charged-twice",
            expected="one order, and a balance of 700",
            seen=f"{seen['orders']} order(s), and a balance of {seen['balance']}",
        )
        expect.status(second, 201, reason="answer-not-repeated")
        expect.equal({"balance": 700, "orders": 1, "tickets": 1}, seen, what, reason="partial-sale")
        if isinstance(answer, NoAnswer):
            return
        if answer.status != 201:
            expect.status(answer, 500, 503, reason="sale-refused", code=("internal", "unavailable"))
            return
        expect.equal(
            *(expect.field(one, "order", str, reason="answer-wrong") for one in (answer, second)),
            "the order that was answered when the same request was sent again",
            reason="answer-not-repeated",
        )

    return ask


@pytest.fixture
def twin(server):
    """A second process of the server: a lock in the first one is nothing to it."""
    return server.replica(wait=False, keep=True)


@pytest.fixture
def in_some_order(server, twin, explore):
    """`in_some_order(prepare, first, others, left, what, reason, read=()) -> tried`: at once as if one after the other.

    `first(server, case)` and each of the `others(server, case)` give an answer, `left(case)` what there is afterwards, in
    values that are the same for every case; of a good answer, those of the whole numbers named in `read` that it has count,
    too. What is right is what the server itself says and leaves when nobody comes in between: `first` before, after and between the
    others. Then `first` is held at each of its steps while a second process does the others; and, where there is one of
    them, the other way round.
    """

    def heard(answer, read):
        """The status, and the code of a refusal or what it has of these fields; `None`: nobody knows what was done."""
        if isinstance(answer, NoAnswer):
            return None
        if answer.status >= 400:
            return f"{answer.status} {answer.json()['code']}"
        there = answer.json() if read and answer.text else ()
        fields = [f"{name} {expect.field(answer, name, int, reason='answer-wrong')}" for name in read if name in there]
        return " ".join([str(answer.status), *fields])

    def look(prepare, first, others, left, what, reason, read=()):
        acts = (first, *others)

        def one_by_one(order):
            """What is said to each, `None` to one that is not in the order, and what is left."""
            case, said = prepare(), {}
            for act in order:
                said[act] = heard(act(server, case), read)
            return [said.get(act) for act in acts], left(case)

        orders = [[*others[:place], first, *others[place:]] for place in range(len(acts))]
        right = [one_by_one(order) for order in orders]

        def words(said, stays):
            return f"{', '.join(one or 'no answer' for one in said)}; {stays}"

        def holds(case, *answers):
            said, stays = [heard(answer, read) for answer in answers], left(case)
            lost = [act for act, one in zip(acts, said, strict=True) if one is None]
            if lost and len(others) > 1:
                return  # too much may have been done, or not
            undone = [one_by_one([act for act in acts if act not in lost])] if lost else []
            expect.true(
                any(
                    stays == after and all(None in pair or len(set(pair)) == 1 for pair in zip(said, then, strict=True))
                    for then, after in [*right, *undone]
                ),
                f"what is answered to {what} at the same moment, and what there is afterwards",
                reason=reason,
                expected="as one after the other: " + "; or: ".join(dict.fromkeys(words(*one) for one in right)),
                seen=words(said, stays),
            )

        def in_a_row(case):
            return [act(twin, case) for act in others]

        def many(case, mine, theirs):
            if not isinstance(theirs, NoAnswer) and all(one.status < 500 for one in theirs):
                holds(case, mine, *theirs)

        during = f"a second process was asked for the rest of {what}"
        if len(others) > 1:
            return explore.interleave(
                lambda case: first(server, case), in_a_row, many, prepare=prepare, during=during
            ).tried
        (other,) = others
        seen = explore.interleave(
            lambda case: first(server, case), lambda case: other(twin, case), holds, prepare=prepare, during=during
        )
        turned = explore.interleave(
            lambda case: other(server, case), lambda case: first(twin, case),
            lambda case, theirs, mine: holds(case, mine, theirs), prepare=prepare, during=during,
        )
        return seen.tried + turned.tried

    return look


@pytest.fixture
def sale():
    """`sale(server, event, seat, buyer, **options) -> answer`: POST /orders."""

    def ask(server, event, seat, buyer, **options):
        return server.post("/orders", json={"event": event, "seat": seat, "buyer": buyer}, **options)

    return ask


@pytest.fixture
def stuck(postgres, make_buyer, make_event):
    """`stuck(server, count, meanwhile, reason, more=()) -> answers`: sales that wait for a row, and with them their connections.

    A session of the checker has the rows of `count` buyers, each of whom buys; `more` are calls that come when
    PostgreSQL shows the first of them waiting. `meanwhile(waiting)` runs while nothing moves, with a function that says
    how many sessions wait; then the rows are free. The answers come in this order, `NoAnswer` where there is none.
    `reason`: why the check fails when no sale comes as far as PostgreSQL.
    """

    def waiting():
        return sum(session.state == "active" for session in postgres.sessions())

    def run(server, count, meanwhile, reason, more=()):
        event, buyers = make_event(seats=1_000), [make_buyer() for _ in range(count)]
        sales = [Call("POST", "/orders", json={"event": event, "seat": 1 + i, "buyer": b}) for i, b in enumerate(buyers)]
        answers = {}

        def ask(name, calls):
            answers[name] = server.parallel(calls, at_once=len(calls), deadline=10.0, unanswered="keep")

        threads = [threading.Thread(target=ask, args=pair, daemon=True) for pair in (("sales", sales), ("more", more))]
        with postgres.as_learner() as keeper:
            keeper.execute("SELECT FROM buyers WHERE id::text = ANY(%s) ORDER BY id FOR UPDATE", [buyers])
            threads[0].start()
            expect.eventually(
                waiting,
                lambda seen: seen > 0,
                within=3.0,
                reason=reason,
                what="how many sessions of your server wait at PostgreSQL for a buyer's row that the check has locked, "
                "while that buyer buys",
            )
            threads[1].start()
            meanwhile(waiting)
        for thread in threads:
            thread.join()
        return [*answers["sales"], *answers["more"]]

    return run


@pytest.fixture
def hold(server):
    """`hold(event, seat, buyer) -> id`: holds a seat through the API."""

    def ask(event, seat, buyer, reason="hold-refused"):
        answer = server.post(f"/events/{event}/holds", json={"seat": seat, "buyer": buyer})
        expect.status(answer, 201, reason=reason)
        return expect.field(answer, "hold", str, reason="answer-wrong")

    return ask
