"""The Docker engine: services as containers, through Docker's API; images built from packages."""
