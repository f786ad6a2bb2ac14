"""Demo data: invented records drawn from a description that a preset carries. Knows no trade; writes only through the one loader."""
