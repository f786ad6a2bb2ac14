"""Readers of messy cells for imports, by name."""
