"""The tables of storage.md, as SQLAlchemy writes them into MySQL. The database itself refuses what must not be."""

from datetime import datetime, timezone

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, TypeDecorator, UniqueConstraint, text
from sqlalchemy.dialects.mysql import DATETIME, VARCHAR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


def text_of(longest):
    """Text that is compared letter by letter.

    MySQL's own collation, utf8mb4_0900_ai_ci, takes `Hall 1` and `hall 1` for the same, and `Café` and `Cafe`;
    utf8mb4_bin takes `Hall 1` and `Hall 1 ` for the same. Each would refuse a venue that nobody has yet.
    """
    return VARCHAR(longest, charset="utf8mb4", collation="utf8mb4_0900_bin")


class Moment(TypeDecorator):
    """A time: in the table a DATETIME in UTC, which knows of no zone; in Python a datetime that says it is in UTC.

    The 6 are the digits after the second. DATETIME alone keeps none, and rounds: 23:59:59.5 is tomorrow.
    """

    impl = DATETIME(fsp=6)
    cache_ok = True

    def process_bind_param(self, time, dialect):
        return time.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, time, dialect):
        return time.replace(tzinfo=timezone.utc)


# BIGINT AUTO_INCREMENT, in each table. Mapped[int] also says NOT NULL.
def row_id():
    return mapped_column(BigInteger, primary_key=True)


class Buyer(Base):
    __tablename__ = "buyers"
    __table_args__ = (CheckConstraint("balance_cents >= 0"),)

    id: Mapped[int] = row_id()
    name: Mapped[str] = mapped_column(text_of(200))
    balance_cents: Mapped[int] = mapped_column(BigInteger)


class Event(Base):
    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("venue", "starts_at"), CheckConstraint("seats > 0"))

    id: Mapped[int] = row_id()
    name: Mapped[str] = mapped_column(text_of(200))
    venue: Mapped[str] = mapped_column(text_of(200))
    starts_at: Mapped[datetime] = mapped_column(Moment)
    seats: Mapped[int]
    price_cents: Mapped[int] = mapped_column(BigInteger)


class Order(Base):
    __tablename__ = "orders"
    # A buyer's orders, newest first, are read from this index in its own order, backwards.
    __table_args__ = (Index("orders_of_buyer", "buyer_id", "created_at", "id"),)

    id: Mapped[int] = row_id()
    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"))
    buyer_id: Mapped[int] = mapped_column(ForeignKey("buyers.id"))
    seat: Mapped[int]
    price_cents: Mapped[int] = mapped_column(BigInteger)
    # UTC_TIMESTAMP, whatever time zone the session has that inserts the row; CURRENT_TIMESTAMP is that session's own.
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=text("(UTC_TIMESTAMP(6))"))


class Ticket(Base):
    __tablename__ = "tickets"
    __table_args__ = (UniqueConstraint("event_id", "seat"),)

    id: Mapped[int] = row_id()
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), unique=True)
    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"))
    seat: Mapped[int]


class Remembered(Base):
    """What was asked for with an Idempotency-Key, and the answer that it got: nothing as long as nothing is sold."""

    __tablename__ = "idempotency_keys"

    idempotency_key: Mapped[str] = mapped_column(text_of(100), primary_key=True)
    wish: Mapped[dict | None] = mapped_column(JSON)
    answer: Mapped[dict | None] = mapped_column(JSON)
