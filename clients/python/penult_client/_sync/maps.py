# Made from ../_async/maps.py by scripts/unasync.py; change that one.
"""Maps, and new rows on them."""

from __future__ import annotations

from typing import Any, Literal, Unpack, overload

from penult_client._analysis import Projection
from penult_client._sync.analysis import Analysis
from penult_client._sync.operations import Operation
from penult_client._core import enums, kinds, parameters, requests, rpcs
from penult_client._core.progress import Progress
from penult_client._estimate import Estimate
from penult_client._options import ProjectOptions, TransformOptions
from penult_client._placing import Placed


class Maps(Analysis):
    """The methods of the client that give rows places."""

    @overload
    def project(
        self,
        source: Any,
        method: str = "umap",
        n_components: int = 2,
        metric: str = "cosine",
        seed: int = 42,
        *,
        wait: Literal[True] = True,
        **options: Unpack[ProjectOptions],
    ) -> Projection: ...

    @overload
    def project(
        self,
        source: Any,
        method: str = "umap",
        n_components: int = 2,
        metric: str = "cosine",
        seed: int = 42,
        *,
        wait: Literal[False],
        **options: Unpack[ProjectOptions],
    ) -> Operation[Projection]: ...

    @overload
    def project(
        self,
        source: Any,
        method: str = "umap",
        n_components: int = 2,
        metric: str = "cosine",
        seed: int = 42,
        *,
        wait: bool,
        **options: Unpack[ProjectOptions],
    ) -> Projection | Operation[Projection]: ...

    @overload
    def project(
        self,
        source: Any,
        method: str = "umap",
        n_components: int = 2,
        metric: str = "cosine",
        seed: int = 42,
        *,
        dry_run: Literal[True],
        **options: Unpack[ProjectOptions],
    ) -> Estimate: ...

    def project(
        self,
        source: Any,
        method: str = "umap",
        n_components: int = 2,
        metric: str = "cosine",
        seed: int = 42,
        *,
        n_neighbors: int | None = None,
        min_dist: float | None = None,
        perplexity: float | None = None,
        labels: Any = None,
        supervised: bool = False,
        target_weight: float | None = None,
        density: bool = False,
        aligned_to: str | None = None,
        name: str | None = None,
        overwrite: bool = False,
        model: str | None = None,
        pooling: str = "pooled",
        normalize: bool = False,
        truncate: str = "right",
        layer: str | None = None,
        wait: bool = True,
        progress: Progress = None,
        deadline: float | None = None,
        dry_run: bool = False,
    ) -> Projection | Operation[Projection] | Estimate:
        """A map: float32 [n, n_components] coordinates, and how good it is.

        The same rows, parameters and seed give the same bytes on one machine.

        Args:
            source: Texts, `Embeddings`, an array [n, d], or a `Dataset`.
            method: ``umap``, ``pca`` or ``tsne``.
            n_components: 2 or 3.
            metric: ``cosine``, ``euclidean``, or (not for ``pca``) ``manhattan``.
            seed: Of all that is random.
            n_neighbors: Of ``umap``: neighbours a row that the map keeps together; None: 15.
            min_dist: Of ``umap``: how close rows may lie, 0 to 1; None: 0.1.
            perplexity: Of ``tsne``: about how many neighbours count; None: 30.
            labels: n str or whole numbers to measure the map with.
            supervised: Of ``umap``: rows of one label are pulled together (an empty label: not known), so the map no
                longer says whether they would lie together by themselves.
            target_weight: How much the labels count against the rows, 0 to 1; None: 0.5.
            density: Of ``umap``: keep how dense rows lie (densMAP).
            aligned_to: Of ``umap``: the name of a map of the same rows in the same order, such as that of another
                version of the model: the new map is turned onto it, and it stays as it is.
            name: Keep the map on the server under this name: 1 to 63 of ``a-z 0-9 - _``, the first a letter or
                digit. `penult serve` without ``--data`` forgets it when it ends. `transform` places new rows on it.
            overwrite: Take the place of what has the name.
            model, pooling, normalize, truncate, layer, wait, progress, deadline, dry_run: As of `similarity`.

        Raises:
            AlreadyExistsError: the name is taken; nothing was computed.
            PenultError: see `penult_client.PenultError`.
        """
        how = kinds.Asked(wait, progress, deadline, dry_run)
        options = requests.embed_options(
            model=model, layer=layer, pooling=pooling, normalize=normalize, truncate=truncate
        )
        request = rpcs.PROJECT.request(
            method=enums.to_number(method, enums.PROJECTION_METHODS, "method"),
            n_components=parameters.required(n_components, "n_components"),
            metric=enums.to_number(metric, enums.METRICS, "metric"),
            seed=parameters.required(seed, "seed", parameters.SEED),
            n_neighbors=parameters.whole(n_neighbors, "n_neighbors"),
            min_dist=parameters.real(min_dist, "min_dist"),
            perplexity=parameters.real(perplexity, "perplexity"),
            supervised=bool(supervised),
            target_weight=parameters.real(target_weight, "target_weight"),
            density=bool(density),
            aligned_to=None if aligned_to is None else parameters.stored_name(aligned_to, "aligned_to"),
            **parameters.keeping(name, overwrite),
        )
        sides = requests.check_sides(source=source)
        request.labels.extend(parameters.labels(labels, requests.rows_of(sides["source"])))
        return self._analyse(kinds.PROJECT, request, sides, options, how)

    @overload
    def transform(
        self,
        source: Any,
        projection: str,
        *,
        wait: Literal[True] = True,
        **options: Unpack[TransformOptions],
    ) -> Placed: ...

    @overload
    def transform(
        self, source: Any, projection: str, *, wait: Literal[False], **options: Unpack[TransformOptions]
    ) -> Operation[Placed]: ...

    @overload
    def transform(
        self, source: Any, projection: str, *, wait: bool, **options: Unpack[TransformOptions]
    ) -> Placed | Operation[Placed]: ...

    @overload
    def transform(
        self, source: Any, projection: str, *, dry_run: Literal[True], **options: Unpack[TransformOptions]
    ) -> Estimate: ...

    def transform(
        self,
        source: Any,
        projection: str,
        *,
        approximate: bool = False,
        model: str | None = None,
        wait: bool = True,
        progress: Progress = None,
        deadline: float | None = None,
        dry_run: bool = False,
    ) -> Placed | Operation[Placed] | Estimate:
        """Places of new rows on a stored map, which stays as it is: float32 [n, n_components].

        The place of a row depends on the map and the row alone: not on what else is in the call, nor on the order.

            client.project(texts, name="map1")
            made = client.transform(["where is my card"], projection="map1")
            made.coordinates       # float32 [1, 2]
            made.far, made.distances  # whether it is far from all that the map was made of; how far

        Args:
            source: Texts, `Embeddings`, an array [n, d], or a `Dataset`, in the space of the map's rows.
            projection: The name of the map.
            approximate: Search an index that may miss neighbours: quicker for many rows, and no longer independent of
                company to the last digit.
            model: What embeds texts; None: the model version that made the map. How they are read (layer, pooling ...)
                is as the map's own rows were; of a map of vectors that is not known: embed texts first as those were,
                ``client.transform(client.embed(texts, pooling="mean"), "map1")``.
            wait, progress, deadline, dry_run: As of `similarity`.

        Raises:
            NotFoundError: there is no such map.
            PreconditionError: it was stored without what that takes (CANNOT_TRANSFORM), the rows stand in another space
                (SPACE_MISMATCH), or the model that made it is not there (MODEL_GONE).
            PenultError: see `penult_client.PenultError`.
        """
        request = rpcs.TRANSFORM.request(
            projection=parameters.stored_name(projection, "projection"), approximate=bool(approximate)
        )
        sides = requests.check_sides(source=source)
        return self._analyse(
            kinds.TRANSFORM,
            request,
            sides,
            requests.model_options(model),
            kinds.Asked(wait, progress, deadline, dry_run),
            like=parameters.resource_name("projections", projection),
        )
