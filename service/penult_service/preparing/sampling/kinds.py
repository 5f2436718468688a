"""What kind of dropout a site is: the axes that share a draw, and whether it can be put back at all."""

from __future__ import annotations

from penult_service.prepared import Site
from penult_service.preparing.sampling.keyed import Recipe

# Class -> the axes that share a draw, with the channels last, and first.
_SPATIAL = {
    "SpatialDropout1D": ((1,), (1,)),
    "SpatialDropout2D": ((1, 2), (2, 3)),
    "SpatialDropout3D": ((1, 2, 3), (2, 3, 4)),
}
_BY_ITSELF = ("GaussianNoise", "GaussianDropout")  # classes that have no noise_shape


def recipe_of(site: Site, rank: int, stacked: bool, channels_first: bool = False) -> Recipe | None:
    """How a site is put back; None when its class, or its noise_shape, does not tell.

    Args:
        site: The dropout.
        rank: Axes of what it drops; 0: not known.
        stacked: Whether the first of them is rows times something.
        channels_first: What a spatial one says of its axes.
    """
    if rank < 1:
        return None
    if site.layer_class in _SPATIAL:
        shared = _SPATIAL[site.layer_class][channels_first]
        return Recipe("Dropout", rank, shared, stacked) if rank == len(shared) + 2 else None
    if site.layer_class in _BY_ITSELF:
        return Recipe(site.layer_class, rank, (), stacked)
    if site.layer_class not in ("Dropout", "AlphaDropout"):
        return None
    axes = shared_axes(site.noise_shape, rank)
    return None if axes is None else Recipe(site.layer_class, rank, axes, stacked)


def shared_axes(noise_shape: tuple[int, ...] | None, rank: int) -> tuple[int, ...] | None:
    """The axes along which a draw of that shape is shared; None when that cannot be told.

    As TensorFlow broadcasts it: a shape of fewer axes belongs to the last ones. -1, of Keras None, takes the length of
    the axis at that place counted from the front, so that it fits a shape of all axes alone.
    """
    if noise_shape is None:
        return ()
    missing = rank - len(noise_shape)
    if missing < 0 or (missing and any(length < 0 for length in noise_shape)):
        return None
    return (*range(missing), *(missing + i for i, length in enumerate(noise_shape) if length == 1))
