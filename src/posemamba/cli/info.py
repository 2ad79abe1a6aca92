"""``posemamba info``: parameters and operations of a model, and the card of a weights file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from posemamba.cli.options import option
from posemamba.utils.errors import PoseMambaError

SIZES = ("s", "b", "l", "x")


@dataclass(frozen=True, kw_only=True)
class InfoOptions:
    """Options of ``posemamba info``."""

    model: Annotated[str | None, option("One of the paper's variants: s, b, l or x.")] = None
    frames: Annotated[int, option("Frames of a forward pass.", min=1, default=True)] = 243
    weights: Annotated[str | None, option("A weights file or name: print its card.")] = None


def info(options: InfoOptions) -> None:
    """Print a model's parameters and operations, as the paper counts them and in full."""
    if (options.model is None) == (options.weights is None):
        raise PoseMambaError("give --model s, b, l or x, or --weights with a name or file")
    if options.model is not None and options.model not in SIZES:
        raise PoseMambaError(f"--model is '{options.model}', expected one of {', '.join(SIZES)}")
    from posemamba.models.counting import Counts, count, count_preset

    counts: Counts
    frames = options.frames
    if options.model is not None:
        counts = count_preset(options.model, frames)
        print(f"PoseMamba-{options.model.upper()}, {frames} frames of 17 joints")
    else:
        import yaml

        from posemamba.models.counting import count_matrix_products
        from posemamba.models.posemamba import PoseMamba
        from posemamba.models.registry import load_model
        from posemamba.weights.files import is_safetensors, read_card
        from posemamba.weights.names import find

        path = find(str(options.weights))
        network = load_model(path)
        card = read_card(path) if is_safetensors(path) else None
        frames = min(frames, network.config.frames)
        print(f"{options.weights}: {frames} frames of {network.config.joints} joints")
        if card is not None:
            print(yaml.safe_dump(card, sort_keys=False, width=100, default_flow_style=None).rstrip())
        if not isinstance(network, PoseMamba):
            parameters, macs = count_matrix_products(network, frames)
            print(f"{parameters:,} parameters, {macs:,} MACs of matrix products, {macs // frames:,} a frame")
            return
        counts = count(network, frames)
    print(f"{'':24}{'parameters':>14}{'MACs':>20}{'MACs/frame':>16}")
    for name, parameters, macs in (
        ("paper's count", counts.paper_parameters, counts.paper_macs),
        ("full count", counts.parameters, counts.macs),
    ):
        print(f"{name:24}{parameters:>14,}{macs:>20,}{macs // counts.frames:>16,}")
    print(f"{'scan, FLOPs':24}{'':14}{counts.scan_flops:>20,}{counts.scan_flops // counts.frames:>16,}")
    print(
        "The paper counts Linear, Conv and LayerNorm modules only. The full count has every parameter and\n"
        "the MACs of all linear maps, x_proj and dt_proj of the scan too; the scan itself is the last line."
    )
