"""Analysis of embeddings: what there is (`calls`), the processes that do it (`pool`, `worker`), and how it is done.

The server imports `calls`, `results` and `pool` only; scikit-learn, SciPy, UMAP and numba live in the workers.
"""
