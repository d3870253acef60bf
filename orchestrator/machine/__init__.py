"""What this machine has and lacks for running labs."""
