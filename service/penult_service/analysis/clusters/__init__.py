"""Clusters: found, measured, described, grown, changed."""
