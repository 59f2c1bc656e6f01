"""Assistants that a newcomer can run and read, and the tour that `make demo` gives."""
