"""What tests share: fakes in memory, small servers, waiting for conditions."""
