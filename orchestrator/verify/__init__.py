"""``labs verify``: proof, by right and by wrong servers, of how far a lab's verdicts can be trusted."""
