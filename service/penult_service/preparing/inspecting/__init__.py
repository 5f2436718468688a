"""Looks at the files of a model before anything of it is loaded or run: refused with the reason, or let through."""
