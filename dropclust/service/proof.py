"""What a compressed network carries with it: what was done, what it cost on the test images, which weights it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dropclust.core.intervals import Interval, paired_difference
from dropclust.service.files import digest
from dropclust.service.versions import versions

if TYPE_CHECKING:
    from dropclust.core.compression import Compressed
    from dropclust.core.mnist import Data
    from dropclust.core.network import Network

KIND = "compression"
_BYTES = 4  # of a float32


def compression_proof(
    original: Network, compressed: Compressed, data: Data, input_scale: str = "pixels", images: str = "MNIST"
) -> dict[str, Any]:
    """The proof of a compression, as JSON values for `dropclust.service.files.save`.

    Parameters
    ----------
    original
        The network before.
    compressed
        What `dropclust.core.compression.compress` made of it.
    data
        Images; accuracies are measured on its test images, by which nothing was chosen.
    input_scale
        What the original took before it was read, by its name in `dropclust.service.files.scale`.
    images
        What the images are called.

    Returns
    -------
    dict
        ``proof`` ("compression"); ``method``, ``layer``, ``units``, ``seed`` as asked for; ``hidden_before``, ``hidden``:
        widths; ``scale``, ``chosen``, ``ridge`` as in `Compressed`; ``activation``, ``input_scale``: of the
        original; ``images``, ``test_images``: which and how many; ``accuracy_before``,
        ``accuracy``: shares of them; ``change``: the second less the first, ``mean``, ``low``, ``high``, ``n``, ``level``, a
        Student t interval of the difference image by image; ``held_out_accuracy_before``, ``held_out_accuracy``: on the
        images that choices were made on; ``parameters_before``, ``parameters``; ``bytes_before``, ``bytes`` of the weights
        and biases as float32; ``original_sha256``: `dropclust.service.files.digest` of the original's; ``versions``.
    """
    from dropclust.core.prediction import scaled_logits

    small = compressed.network
    before, after = (
        (scaled_logits(network, data.test_x).argmax(1) == data.test_y.to(network.device)).cpu().numpy().astype(float)
        for network in (original, small)
    )
    return {
        "proof": KIND,
        "method": compressed.method,
        "layer": compressed.layer,
        "units": compressed.units,
        "seed": compressed.seed,
        "hidden_before": list(original.hidden),
        "hidden": list(small.hidden),
        "scale": compressed.scale,
        "chosen": compressed.chosen,
        "ridge": compressed.ridge,
        "activation": original.activation,
        "input_scale": input_scale,
        "images": images,
        "test_images": len(before),
        "accuracy_before": float(before.mean()),
        "accuracy": float(after.mean()),
        "change": asdict(paired_difference(after, before)),
        "held_out_accuracy_before": compressed.accuracy_before,
        "held_out_accuracy": compressed.accuracy,
        "parameters_before": original.n_parameters,
        "parameters": small.n_parameters,
        "bytes_before": _BYTES * original.n_parameters,
        "bytes": _BYTES * small.n_parameters,
        "original_sha256": digest(original),
        "versions": versions(),
    }


def sentence(proof: Mapping[str, Any] | None) -> str | None:
    """A proof of compression in one line; None where there is none, or another, or one that nobody here wrote.

    Examples
    --------
    >>> print(sentence({"proof": "compression", "layer": 1}))
    None
    """
    if proof is None or proof.get("proof") != KIND:
        return None
    try:
        layer, change = int(proof["layer"]), Interval(**proof["change"])
        widths = [int(proof[key][layer - 1]) for key in ("hidden_before", "hidden")]
        method, sha256 = str(proof["method"]), str(proof["original_sha256"])
        images = str(proof.get("images", "MNIST"))
        if not (method.isidentifier() and sha256.isalnum() and images.isprintable()):  # a line of text must stay one
            return None
        of = "" if images == "MNIST" else f" on {images:.60}"
        return (
            f"layer {layer} of {widths[0]:,} units made {widths[1]:,} by {method:.40} (seed {int(proof['seed'])}): "
            f"test accuracy{of} {float(proof['accuracy_before']):.4f} before, {float(proof['accuracy']):.4f} after, "
            f"change {change.text(4, 'image')}; "
            f"{int(proof['parameters_before']):,} parameters before, {int(proof['parameters']):,} after; "
            f"made of the weights {sha256:.12}"
        )
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        return None
