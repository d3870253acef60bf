"""``labs watch``: on every save the server is built and its next milestone judged."""
