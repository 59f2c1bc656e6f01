"""How fast, and at what cost: not tests. See README.md."""
