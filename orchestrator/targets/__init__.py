"""What a learner hands in, running: built, started under a keeper, asked, ended."""
