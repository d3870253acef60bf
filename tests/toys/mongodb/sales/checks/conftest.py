"""What the checks share: one thing that is left, and what must be true of it."""

import pytest

from orchestrator.checks import expect


@pytest.fixture
def last_one(mongodb, fresh):
    """Makes a thing of which one is left: its name."""

    def make():
        name = fresh.name("thing")
        mongodb.plant("stock", {"name": name, "left": 1})
        return name

    return make


@pytest.fixture
def sold_once(mongodb):
    """Judges that it was sold as often as it was taken."""

    def holds(name, *answers):
        left, sales = mongodb.one("stock", {"name": name})["left"], mongodb.count("sales", {"name": name})
        expect.equal(1, left + sales, f"{name}: what is left and what was sold", reason="not-sold-once")
        said = sum(getattr(answer, "status", 0) == 201 for answer in answers)
        expect.at_most(sales, said, f"{name}: how many your server said it has sold", reason="not-sold-once")

    return holds
