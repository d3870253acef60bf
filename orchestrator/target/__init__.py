"""The target: the learner's server as a local process that we start, watch and end."""
