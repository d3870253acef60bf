"""Labs: reading and validating `lab.toml`, finding labs, adding and updating those of others."""
