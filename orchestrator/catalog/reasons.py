"""The reason ids that `labs` itself can give for a failed check, beside those that a lab's checks give.

A lab's hints and wrong solutions may name them. Each is raised where its cause is seen (``TargetWrong``,
``TargetInvalid``, ...); a test reads those places and holds this list to them. What the reader of a service raises
(``SchemaWrong``) stands in that service's ``names.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.services import names_of

RESTART = "restart-"
"""Before a reason of ``STARTING``: the server did so when a check started it again."""

CHECKING: Mapping[str, str] = {
    "assertion": "a bare assert of the check did not hold",
    "no-answer": "the server did not answer, or not in HTTP",
    "too-slow": "the server did not answer in time",
    "not-json": "the body of an answer is not strict JSON",
    "contract-broken": "an answer has not the form that the lab's openapi.yaml promises",
    "no-event": "no message came on a stream",
    "no-step": "a request that was to be interrupted between its steps sent nothing to a service",
    "stream-ended": "the server ended a stream",
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
    "other-build": "another labs was building the same folder",
    "machine-too-slow": "the machine was too busy to build or to start the server",
    "keeper-lost": "somebody killed the process of labs that watches over the server",
}
"""Before checks can run."""



def possible(services: Iterable[str]) -> frozenset[str]:
    """All of them, in a lab that uses these services."""
    of_services = (reason for service in services for reason in names_of(service).reasons)
    return frozenset({*CHECKING, *STARTING, *(RESTART + reason for reason in STARTING), *of_services})
