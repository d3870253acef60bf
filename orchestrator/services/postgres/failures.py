"""Failures of PostgreSQL that people meet, and what helps."""

from __future__ import annotations

from orchestrator.services.clients import Known

FAILURES = (
    Known("Another program uses this port; run `labs start` again, it takes the next free one.",
          r"could not bind IPv[46] address .*Address already in use|could not create any TCP/IP sockets"),
    Known("The data was made by another major version of PostgreSQL; use that version again, or `labs reset postgres`"
          " to start empty.",
          r"database files are incompatible with server|initialized by PostgreSQL version"
          r"|there appears to be PostgreSQL data in"),
    Known("There is not enough shared memory; close other programs or give Docker more memory, then `labs start`.",
          r"could not (create|resize|map) (anonymous )?shared memory"),
    Known("The disk is full; free some space (`labs clean` removes what labs made), then run `labs start`.",
          r"No space left on device"),
    Known("PostgreSQL refuses a data folder that others may read or own; `labs reset postgres` makes a new one.",
          r"has (invalid permissions|wrong ownership)|could not open file .*Permission denied"
          r"|initdb: error: could not .*Permission denied"),
    Known("Another PostgreSQL uses this data folder; end it, then `labs start`.",
          r'lock file "postmaster\.pid" already exists'),
    Known("PostgreSQL refuses to run as root; run labs as an ordinary user.",
          r"execution of the PostgreSQL server is not permitted|initdb: error: cannot be run as root"),
    Known("PostgreSQL's data is damaged; `labs reset postgres` starts with an empty one.",
          r"could not locate a valid checkpoint record|invalid (primary )?checkpoint record|PANIC: "),
    Known("This PostgreSQL has no contrib modules; install them (the package postgresql-contrib), then `labs start`.",
          r"could not access file \"(pg_stat_statements|auto_explain)\""),
    Known("PostgreSQL does not understand its settings; `labs doctor` says which version is used.",
          r"unrecognized configuration parameter|configuration file .* contains errors"),
    Known("PostgreSQL or the machine ran out of memory; close other programs, then `labs start`.",
          exit_codes=frozenset({137, -9})),
)
