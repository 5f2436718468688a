"""Pairs of rows that are nearly equal."""
