"""``labs lint``: every problem of a lab that can be found without running anything of it."""
