"""Analysis of embeddings: what there is (`calls`), the processes that do it (`workers`), and how it is done.

The server imports `calls`, `results`, `checks`, `costs` and the pool only; scikit-learn, SciPy, UMAP and numba live in
the workers.
"""
