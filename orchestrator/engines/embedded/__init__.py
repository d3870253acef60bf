"""The embedded engine: services as plain processes of this machine."""
