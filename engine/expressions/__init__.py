"""One expression language with two faces: Python for one record, SQL for many, the same answer from both. Knows no definitions and no tables."""
