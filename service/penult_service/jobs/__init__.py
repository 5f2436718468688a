"""Batch embedding jobs: chunks of rows go in, shards are kept, one output comes out, whatever happens on the way.

A job keeps all it has in a folder beside its output (`folder`), so that it can go on where it was stopped. What
it reads (`chunks.Source`) and who computes (`asking.Embedder`) are handed in.
"""
