"""Readers of what people save: one format a file."""
