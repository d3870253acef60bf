"""The reason ids that `labs` itself can give for a failed check, beside those that a lab's checks give.

A lab's hints and wrong solutions may name them. Each is raised where its cause is seen (``TargetWrong``,
``SchemaWrong``, ``TargetInvalid``, ...); a test reads those places and holds this list to them.
"""

from __future__ import annotations

from collections.abc import Mapping

RESTART = "restart-"
"""Before a reason of ``STARTING``: the server did so when a check started it again."""

CHECKING: Mapping[str, str] = {
    "assertion": "a bare assert of the check did not hold",
    "no-answer": "the server did not answer, or not in HTTP",
    "too-slow": "the server did not answer in time",
    "not-json": "the body of an answer is not strict JSON",
    "contract-broken": "an answer has not the form that the lab's openapi.yaml promises",
    "no-event": "no message came on a stream",
    "stream-ended": "the server ended a stream",
    "schema-missing-table": "PostgreSQL has no such table",
    "schema-missing-column": "PostgreSQL has no such column",
    "schema-wrong-type": "a column or key has another type",
    "schema-plant-refused": "PostgreSQL refused a row of another client",
    "schema-locked": "a lock on a table was not let go",
    "deadline": "the milestone's time ran out while an answer was due",
    "not-reached": "the milestone's time ran out before the check",
    "not-confirmed": "the milestone's time ran out before the check was over",
}
"""While checks run."""

STARTING: Mapping[str, str] = {
    "build-failed": "a build command failed",
    "build-timeout": "a build command did not end in time",
    "toolchain-missing": "a program of build or run is not there",
    "never-bound": "the server did not answer on its port in time",
    "exited": "the server ended by itself",
    "daemonised": "the server moved to the background",
    "not-answering": "the server of labs run did not answer",
    "port-taken-by-other": "another program listens on the server's port",
}
"""Before checks can run."""

FRAMEWORK = frozenset({*CHECKING, *STARTING, *(RESTART + reason for reason in STARTING)})
