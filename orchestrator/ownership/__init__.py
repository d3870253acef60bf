"""Who owns what: leases of commands, spaces that outlive their check, sweeping what the dead left behind."""
