"""Similarities, neighbours, duplicates and outliers from the command line."""
