"""``labs new``: the files of a new lab, and of a new milestone of a lab that is there."""
