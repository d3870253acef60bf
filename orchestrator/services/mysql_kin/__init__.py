"""What services that speak MySQL's protocol share: clients, console, statements, accounts. It is no service itself."""
