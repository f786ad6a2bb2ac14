"""Rows in and out: spreadsheets read in a limited child process, mapped, imported through the one writer, undone; exports as the caller may see."""
