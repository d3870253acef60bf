"""Failures of MySQL that people meet, and what helps."""

from __future__ import annotations

from orchestrator.services.clients import Known

FAILURES = (
    Known("Another program uses this port; run `labs start` again, it takes the next free one.",
          r"Can't start server: Bind on TCP/IP port|Do you already have another mysqld server running on port"),
    Known("The data was made by another version of MySQL; use that version again, or `labs reset mysql` to start"
          " empty.",
          r"MY-014060|MY-013171|Invalid MySQL server (upgrade|downgrade)|Cannot (upgrade|boot) server version"
          r"|is not supported.{1,40}upgrade|Cannot downgrade|unsupported redo log format"),
    Known("The disk is full; free some space (`labs clean` removes what labs made), then run `labs start`.",
          r"No space left on device|Disk is full|OS error(?: code)?:? 28\b"),
    Known("Another MySQL uses this data folder; end it, then `labs start`.",
          r"Unable to lock \./ibdata1|Another process with pid \d+ is using"),
    Known("MySQL may not read or write its data folder; `labs reset mysql` makes a new one.",
          r"The innodb_system data file 'ibdata1' must be writable|Permission denied|OS errno 13\b"
          r"|the mysqld process does not have the access rights"),
    Known("MySQL's data folder holds something else; `labs reset mysql` makes a new one.",
          r"--initialize specified but the data directory has files in it"),
    Known("MySQL's data is damaged; `labs reset mysql` starts with an empty one.",
          r"MY-011971|Database page corruption|Data Dictionary initialization failed"
          r"|Missing (data )?dictionary|Plugin initialization aborted"),
    Known("MySQL does not understand its settings; `labs doctor` says which version is used.",
          r"unknown (option|variable) '|ambiguous option '|Error while setting value"),
    Known("MySQL needs a password for its administrator; start it with `labs start mysql`, or give"
          " MYSQL_ROOT_PASSWORD.",
          r"MYSQL_ROOT_PASSWORD must be set|Database is uninitialized and password option is not specified"),
    Known("There is not enough memory for MySQL; close other programs or give Docker more memory, then `labs start`.",
          r"Cannot allocate memory for the buffer pool|Out of memory|mmap\(.{1,40}\) failed"),
    Known("MySQL was ended because it, or the machine, ran out of memory; close other programs, then `labs start`.",
          exit_codes=frozenset({137, -9})),
)
