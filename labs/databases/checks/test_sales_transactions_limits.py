"""postgres/transactions and mysql/transactions: both sides of every limit of a sale, and how its fields, ids and keys are read."""

from orchestrator.checks import expect, promises


@promises(
    "new-order-seat", "sale-of-what-is-there", "balance-covers", "post-orders-201", "post-orders-402", "post-orders-422",
)
def test_the_edges_of_a_sale(server, edges, make_buyer, make_event, left, fresh, evidence):
    """The first and the last seat are sold, and money that is just enough is enough; one less or more is refused."""
    seats, price = fresh.integer(20, 90), fresh.integer(500, 5_000)
    event, buyer = make_event(seats, price), make_buyer(4 * price)
    wish = {"event": event, "seat": 1, "buyer": buyer}
    tried = [(one.value, one.allowed) for one in edges.body("POST", "/orders") if one.field == "seat"]
    sold_seats = 0
    for seat, allowed in [*tried, (seats, True), (seats + 1, False)]:
        answer = server.post("/orders", json={**wish, "seat": seat})
        if allowed:
            expect.status(answer, 201, reason="sale-refused")
            expect.fields(answer, {"seat": seat, "price_cents": price}, "the order", reason="answer-wrong")
            sold_seats += 1
        else:
            expect.status(answer, 422, reason="bad-body-accepted", code="invalid")
    for cents, status, code in ((price, 201, None), (price - 1, 402, "balance_too_low")):
        poor = make_buyer(cents)
        before = left(event, poor)
        answer = server.post("/orders", json={"event": event, "seat": cents - price + 5, "buyer": poor})
        expect.status(answer, status, reason="sale-refused" if code is None else "rule-broken", code=code)
        if code:
            expect.equal(before, left(event, poor), "what there is after a sale that was refused", reason="partial-sale")
    free = server.post("/orders", json={"event": make_event(price_cents=0), "seat": 1, "buyer": make_buyer(0)})
    expect.status(free, 201, reason="sale-refused")
    evidence(f"seats 1 and {seats} were sold, 0 and {seats + 1} refused; {price} cents were enough, one less was not")


@promises("field-names", "more-fields", "bad-body", "key-same-request", "post-orders-422")
def test_a_field_of_an_order_in_another_letter_case(server, sales, edges, make_buyer, make_event, left, fresh, evidence):
    """`Seat` beside `seat` is a further field, which neither a sale nor its key looks at; alone it leaves `seat` lacking."""
    others, reason, tried = {"event": make_event(), "seat": 50, "buyer": make_buyer(), "hold": fresh.token()}, "name-by-letter", 0
    for field, names in edges.misnamed("POST", "/orders").items():
        wish = {"event": make_event(price_cents=300), "seat": fresh.integer(1, 40), "buyer": make_buyer(1_000)}
        headers, spelled = {"Idempotency-Key": fresh.token()}, " and ".join(f"`{one}`" for one in names)
        if field in wish:
            lacking = {name: value for name, value in wish.items() if name != field}
            answer = server.post("/orders", json={**lacking, **dict.fromkeys(names, wish[field])}, headers=headers)
            expect.status(answer, 422, reason=reason, code="invalid")
        for more in ({**wish, **dict.fromkeys(names, others[field])}, {**{one: [] for one in names}, **wish}):
            answer = server.post("/orders", json=more, headers=headers)
            what = f"the answer to POST /orders with {spelled} beside its fields, and to the same again with other values there"
            expect.true(answer.status == 201, what, reason, "201", f"{answer.status} {answer.text}")
            expect.fields(answer, wish, what, reason=reason)
            whole = {"balance": 700, "orders": 1, "tickets": 1}
            expect.equal(whole, left(wish["event"], wish["buyer"]), f"what {sales.title} has after an order with {spelled}", reason)
            tried += 1
    evidence(f"{tried} orders had fields such as `Seat` and `HOLD`: {sales.title} has what they say under the right names")


@promises("id-spelled", "sale-of-what-is-there", "orders-of-nobody")
def test_an_order_with_an_id_spelled_otherwise(
    server, make_buyer, make_event, make_sale, spellings, sold, order_as_stored, evidence
):
    """An order that names `007` is refused, or it is one of the row 7 and says so; no list shows another spelling."""
    # Of ten the last one: an id that is counted has two digits by then.
    (*_, buyer), (*_, event), tried = *([make() for _ in range(10)] for make in (make_buyer, make_event)), 0
    for name, own in (("event", event), ("buyer", buyer)):
        for seat, text in enumerate(spellings(own), 1):
            # Each is another buyer or another event, so that no limit of tickets is met.
            wish = {"event": event, "buyer": make_buyer()} if name == "event" else {"event": make_event(), "buyer": buyer}
            answer, what = server.post("/orders", json={**wish, name: text, "seat": seat}), f"an order with `{name}` {text!r}"
            tried += 1
            if answer.status == 201:
                expect.fields(answer, {**wish, "seat": seat}, f"the answer to {what}, another spelling of {own}", "id-as-sent")
                order_as_stored(answer, what, reason="id-as-sent")
            else:
                expect.status(answer, 422, reason="unknown-id-answer", code="invalid")
    make_sale(make_event(), buyer, 1)
    for text in spellings(buyer):
        answer = server.get("/orders", params={"buyer": text})
        expect.status(answer, *((200, 422) if "\0" in text else (200,)), reason="unknown-id-answer")
        for item in expect.field(answer, "items", list, reason="list-shape") if answer.status == 200 else ():
            expect.fields(item, {"buyer": buyer}, f"an order of the list for {text!r}, another spelling of {buyer}", "id-as-sent")
    evidence(f"{tried} orders with other spellings of ids were refused, or name the rows as they are")


@promises("key-length", "key-same-answer")
def test_the_longest_key(server, make_event, make_buyer, fresh, evidence):
    """An Idempotency-Key may have 100 characters, and two that differ in one letter's case are two keys."""
    event, buyer = make_event(), make_buyer(100_000)
    key = fresh.token(99)
    orders = []
    for seat, last in ((1, "x"), (1, "x"), (2, "X")):
        body = {"event": event, "seat": seat, "buyer": buyer}
        answer = server.post("/orders", json=body, headers={"Idempotency-Key": key + last})
        expect.status(answer, 201, reason="answer-not-repeated" if last == "x" else "keys-taken-for-one")
        orders.append(expect.field(answer, "order", str, reason="answer-wrong"))
    expect.equal(orders[0], orders[1], "the order of the same request, sent again", reason="answer-not-repeated")
    expect.true(
        orders[2] != orders[0],
        "the order of a key that ends in X, after one that ends in x",
        reason="keys-taken-for-one",
        expected="another order",
        seen=orders[2],
    )
    evidence("a key of 100 characters was remembered, and the same with another letter case was a new one")


@promises("key-every-character", "key-same-answer")
def test_every_character_of_a_key_counts(server, sales, make_event, make_buyer, left, fresh, evidence):
    """`k1`, `K1` and `"k1"` are three keys: each sells its own seat, and is answered again with that."""
    event, buyer, key, reason = make_event(price_cents=300), make_buyer(10_000), f"{fresh.token()}aB", "keys-taken-for-one"
    keys = (key, key.swapcase(), f'"{key}"', f"'{key}'")
    orders = {}
    for again in (False, True):
        for seat, text in enumerate(keys, 1):
            wish, headers = {"event": event, "seat": seat, "buyer": buyer}, {"Idempotency-Key": text}
            answer = server.post("/orders", json=wish, headers=headers)
            when = "sent again" if again else f"after orders with {' and '.join(keys[: seat - 1])}" if seat > 1 else "the first one"
            what = f"the answer to an order with the Idempotency-Key {text}, {when}"
            expect.true(answer.status == 201, what, reason, "201: no other order had this key", f"{answer.status} {answer.text}")
            expect.fields(answer, wish, what, reason=reason)
            order = expect.field(answer, "order", str, reason="answer-wrong")
            expect.equal(orders.setdefault(text, order), order, f"the order in {what}", reason="answer-not-repeated")
    expect.equal(
        {"balance": 10_000 - 300 * len(keys), "orders": len(keys), "tickets": len(keys)},
        left(event, buyer),
        f"what {sales.title} has of {len(keys)} orders with the keys {', '.join(keys)}, each sent twice",
        reason="charged-twice",
    )
    evidence(f"{len(keys)} keys that differ in quotation marks or letter case, each sent twice: {len(keys)} orders in {sales.title}")


@promises("get-orders-200", "get-orders-422", "orders-of-nobody", "limit", "pages-full", "bad-page")
def test_a_page_of_orders_is_as_long_as_asked(server, edges, make_buyer, make_event, make_sale, fresh, evidence):
    """A page of GET /orders has as many items as `limit` says, 20 without it; a buyer who does not exist has none."""
    event, buyer = make_event(seats=200), make_buyer()
    for seat in range(1, 102):
        make_sale(event, buyer, seat)
    for edge in edges.query("GET", "/orders"):
        answer = server.get("/orders", params={"buyer": buyer, edge.field: edge.value})
        if edge.allowed:
            expect.status(answer, 200, reason="list-refused")
            items = expect.field(answer, "items", list, reason="list-shape")
            what = f"the number of items of GET /orders with limit={edge.value}"
            expect.equal(int(edge.value), len(items), what, reason="page-length")
        else:
            expect.status(answer, 422, reason="bad-limit-accepted", code="invalid")
    items = expect.field(server.get("/orders", params={"buyer": buyer}), "items", list, reason="list-shape")
    expect.equal(20, len(items), "the number of items of GET /orders without `limit`", reason="page-length")
    nobody = server.get("/orders", params={"buyer": fresh.name("none")})
    expect.status(nobody, 200, reason="list-refused")
    expect.fields(nobody, {"items": [], "next": None}, "the orders of a buyer who does not exist", reason="list-shape")
    expect.status(server.get("/orders"), 422, reason="bad-body-accepted", code="invalid")
    evidence("pages of 1, 20 and 100 orders were as long as asked; a buyer who does not exist had none")
