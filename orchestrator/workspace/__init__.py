"""The learner's folder: `workspace.toml`, what it contains, what has passed, what comes next."""
