"""Failures of Galera's nodes that people meet, and what helps."""

from __future__ import annotations

from orchestrator.services.clients import Known

FAILURES = (
    Known("Another program uses this port; run `labs start` again, it takes the next free one.",
          r"Can't start server: Bind on TCP/IP port|Do you already have another \w+ server running on port"),
    Known("The disk is full; free some space (`labs clean` removes what labs made), then run `labs start`.",
          r"No space left on device|Disk is full|OS error(?: code)?:? 28\b"),
    Known("A node waits for one that is away, which may have newer data; `labs start` starts all of them, and"
          " `labs reset galera` begins anew.", r"^waiting for node"),
    Known("A node did not find the others; `labs stop`, then `labs start`.",
          r"failed to open gcomm backend connection|failed to reach primary view"),
    Known("A node could not take over the data of the others; `labs reset galera` begins anew.",
          r"State transfer .{0,80}failed|SST failed|Application state transfer failed|will never receive state"),
    Known("The data was made by another version of MariaDB; use that version again, or `labs reset galera` to start"
          " empty.",
          r"Upgrade after a crash is not supported|redo log was created with|unsupported redo log format"),
    Known("Galera may not read or write a data folder; `labs reset galera` makes new ones.",
          r"must be writable|Permission denied|Errcode: 13\b"),
    Known("A node's data is damaged; `labs reset galera` starts with an empty one.",
          r"Database page corruption|InnoDB: Plugin initialization aborted|Unknown/unsupported storage engine: InnoDB"),
    Known("Galera does not understand its settings; `labs doctor` says which version is used.",
          r"unknown (?:option|variable) '|ambiguous option '|Unrecognized parameter"),
    Known("Galera needs a password for its administrator; start it with `labs start LAB galera`, or give"
          " MARIADB_ROOT_PASSWORD.", r"MARIADB_ROOT_PASSWORD must be set"),
    Known("There is not enough memory for Galera; close other programs or give Docker more memory, then `labs start`.",
          r"Cannot allocate memory for the buffer pool|Out of memory|mmap\(.{1,40}\) failed"),
    Known("A node was ended because it, or the machine, ran out of memory; close other programs, then `labs start`.",
          exit_codes=frozenset({137, -9})),
)
