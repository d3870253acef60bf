"""labs: real services for back-end learners, and proof that their server uses them right."""

__version__ = "0.1.0"
