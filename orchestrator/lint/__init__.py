"""``labs lint``: every problem of a lab that can be seen without running anything of it."""
