"""mongodb/sell: at each step of a sale, another buyer, a cut connection, a crash."""

from orchestrator.checks import expect


def sale(server):
    return lambda name: server.post(f"/sales/{name}")


def test_a_sale_between_two_steps_of_another(explore, server, last_one, sold_once, evidence):
    """Two buyers want the last one: one of them gets it."""
    seen = explore.interleave(sale(server), sale(server), sold_once, prepare=last_one,
                              during="another buyer came")
    evidence(f"another buyer came at {seen}: {', then '.join(step.kind for step in seen.steps)}")


def test_the_steps_are_the_same_each_time(explore, server, last_one, evidence):
    """A sale takes the same steps whenever it is made."""
    kinds = {tuple(step.kind for step in explore.steps(sale(server), prepare=last_one)) for _ in range(3)}
    expect.equal(1, len(kinds), f"the steps of three sales: {kinds}", reason="steps-differ")
    evidence("three sales took the same steps")


def test_a_lost_answer(explore, server, last_one, sold_once, evidence):
    """Whatever MongoDB has done and your server does not hear of, is done once."""
    seen = explore.cut(sale(server), sold_once, prepare=last_one, answer="lost")
    evidence(f"the answer was lost at {seen}")


def test_a_crash(explore, server, last_one, sold_once, evidence):
    """A server that dies has sold it or not; if not, the next one sells it."""

    def holds(name, answer):
        sold_once(name, answer)
        again = server.post(f"/sales/{name}")
        expect.status(again, 201, 409, reason="not-sold-after-crash")
        sold_once(name, again)

    evidence(f"your server was killed at {explore.crash(sale(server), holds, prepare=last_one)}")
