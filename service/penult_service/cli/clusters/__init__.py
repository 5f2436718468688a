"""Clusters from the command line: made, kept, grown, changed, told."""
