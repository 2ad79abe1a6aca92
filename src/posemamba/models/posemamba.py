"""PoseMamba (AAAI 2025): lifts a clip of 2D joints to 3D with selective state-space blocks, all frames at once.

Below it are its configuration (`posemamba.models.posemamba_config`) and its block
(`posemamba.models.posemamba_block`).

Shapes in names: B clips, T frames, J joints, C channels; E model width.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from posemamba.models.integrity import Blueprint, Code
from posemamba.models.layers import MLP, in_full_precision, matrices_between_layers
from posemamba.models.posemamba_block import EPS, INNER_EPS, Block, StateSpace2D
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.ops import fused
from posemamba.ops.fused.weights import EndWeights, LayerWeights, ModelLayout
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import cause
from posemamba.weights import hub
from posemamba.weights.files import (
    build,
    is_safetensors,
    parse_config,
    read_card,
    read_checkpoint,
    read_weights,
)
from posemamba.weights.names import find

HEAD_EPS = 1e-5
"""The epsilon of the head's norm."""


def apply_block(block: Block, norm: nn.LayerNorm, x_BTJE: Tensor, scales: Tensor | None) -> Tensor:
    """A block and the norm after it: a function, so that compiling it once serves all layers."""
    return norm(block(x_BTJE, scales))


@lru_cache(maxsize=1)
def _compiled_apply_block() -> Callable[..., Tensor]:
    """Compile `apply_block`, once for all models."""
    from posemamba.ops.runtime.compiling import allow_many_variants  # torch._dynamo takes a second to import

    allow_many_variants()
    return torch.compile(apply_block, dynamic=False)


class ErrorHead(nn.Module):
    """A head that predicts each joint's error from the last layer's features: (B, T, J, E) to (B, T, J), > 0.

    It learns by itself when the model is done (`posemamba.train.expected_error`), and changes nothing that the model
    lifts.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, 1)

    def forward(self, x_BTJE: Tensor) -> Tensor:
        hidden = F.gelu(self.fc2(F.gelu(self.fc1(x_BTJE))))
        return self.fc3(hidden)[..., 0].exp()


class PoseMamba(nn.Module):
    """2D joints (B, T, J, 2) to 3D joints (B, T, J, 3), T up to `config.frames`.

    With `config.confidence` the input is (B, T, J, 3): x, y and the detector's confidence from 0 (not found) to 1.

    Input and output are in Human3.6M's normalised image coordinates (x / W * 2 - 1, y / W * 2 - H / W, depth / W * 2);
    the output is relative to the pelvis as far as training made it so. Attribute names that look odd are those of the
    authors' checkpoints, so that these load by name.
    """

    def __init__(self, config: PoseMambaConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PoseMambaConfig.preset("s")
        self.card: dict[str, Any] = {}  # of the weights that were loaded: their data, licence, errors, person_size
        E = config.width
        rates = torch.linspace(0, config.drop_path, config.depth, device="cpu").tolist()
        self.Spatial_patch_to_embedding = nn.Linear(config.channels, E)
        self.Spatial_pos_embed = nn.Parameter(torch.zeros(1, config.joints, E))
        self.Temporal_pos_embed = nn.Parameter(torch.zeros(1, config.frames, E))
        self.STEblocks = nn.ModuleList([Block(config, rate) for rate in rates])
        self.TTEblocks = nn.ModuleList([Block(config, rate) for rate in rates])
        self.Spatial_norm = nn.LayerNorm(E, eps=EPS)
        self.Temporal_norm = nn.LayerNorm(E, eps=EPS)
        self.head = nn.Sequential(nn.LayerNorm(E, eps=HEAD_EPS), nn.Linear(E, 3))
        self.error_head = ErrorHead(E, config.error_width) if config.error_width else None
        self.apply_block: Callable[..., Tensor] = apply_block

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what torch.compile made, which can be neither pickled nor copied: a copy's layers run plainly."""
        state = self.__dict__.copy()
        if self._layers_compiled:
            state["apply_block"] = apply_block
        return state

    @property
    def _layers_compiled(self) -> bool:
        return _compiled_apply_block.cache_info().currsize > 0 and self.apply_block is _compiled_apply_block()

    def compile_layers(self) -> None:
        """Train in fewer, larger kernels by torch.compile: a minute once for each input shape, then faster steps.

        Copies of the model and models that are loaded from pickles are not compiled.
        """
        self.apply_block = _compiled_apply_block()

    def recompute_activations(self, recompute: bool = True) -> None:
        """Train in half the memory: matrix products and convolutions before a scan, and MLPs, are computed again in the
        backward pass; the scans, which cost most, are not."""
        for module in self.modules():
            if isinstance(module, Block):
                module.recompute = recompute

    @classmethod
    def preset(cls, size: str, **changes: object) -> PoseMamba:
        """A fresh PoseMamba of the paper's size 's', 'b', 'l' or 'x'; `changes` override single config fields."""
        return cls(PoseMambaConfig.preset(size, **changes))

    @classmethod
    def from_pretrained(cls, source: str | Path, **changes: object) -> PoseMamba:
        """Load a trained PoseMamba in evaluation mode, by name ('posemamba-s') or from a file.

        Args:
            source: a known name, a safetensors file of this package, a folder that `save_pretrained` wrote,
                ``hf://owner/name`` on the Hugging Face Hub, or a checkpoint (`model_pos` or another common key).
            changes: config fields that a checkpoint does not hold, e.g. scan_order for an ablation's checkpoint.

        Raises:
            PoseMambaError: no such weights, a damaged or foreign file, another architecture's weights.
        """
        path = find(source)
        if is_safetensors(path):
            metadata, state = read_weights(path)
            if metadata["model"] != "posemamba":
                raise PoseMambaError(f"{source}: weights of a {metadata['model']}, not of a PoseMamba")
            config, card = parse_config(path, PoseMambaConfig, metadata), read_card(path).get("card", {})
        else:
            (config, state), card = read_released_checkpoint(path), {}
        if changes:
            config = PoseMambaConfig.model_validate({**config.model_dump(), **changes})
        what = f"a PoseMamba of width {config.width}, {config.depth} pairs of blocks"
        model: PoseMamba = build(path, lambda: cls(config), config.depth, state, what)
        model.card = card
        return model.eval()

    def save_pretrained(self, folder: str | Path, card: Mapping[str, Any] | None = None, half: bool = False) -> None:
        """Write the model as a folder in Hugging Face's layout: config.json, model.safetensors, README.md.

        `from_pretrained(folder)`, `load_model` and ``--weights folder`` read it. All files are exchanged together. A
        README.md that is there stays.

        Args:
            folder: made if it is not there.
            card: training data, licence, errors, person_size; None: `self.card`, that of the weights it was loaded
                from.
            half: store the parameters in half precision.

        Raises:
            PoseMambaError: the folder cannot be written.
        """
        from posemamba.weights.writing import write_folder

        write_folder(folder, self, "posemamba", self.config, self.card if card is None else card, half)

    def push_to_hub(
        self,
        repository: str,
        card: Mapping[str, Any] | None = None,
        *,
        private: bool | None = None,
        revision: str | None = None,
        message: str = "Upload PoseMamba",
        token: str | None = None,
        half: bool = False,
    ) -> str:
        """Upload the model to the Hugging Face Hub as `save_pretrained` writes it; needs huggingface_hub.

        Args:
            repository: ``owner/name``, made if it is not there.
            card, half: as in `save_pretrained`.
            private: of a repository that is made; None: the owner's default.
            revision: the branch; None: the main one.
            message: of the commit.
            token: None: the one that huggingface_hub knows.

        Returns:
            What `from_pretrained` takes: ``hf://owner/name``.

        Raises:
            PoseMambaError: huggingface_hub is not installed, or the Hub refuses or cannot be reached.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, card, half)
            return hub.upload(
                Path(folder), repository, private=private, revision=revision, message=message, token=token
            )

    @property
    def dtype(self) -> torch.dtype:
        """The parameters' type."""
        return self.Spatial_pos_embed.dtype

    @property
    def device(self) -> torch.device:
        """The parameters' device."""
        return self.Spatial_pos_embed.device

    def full_precision_layers(self) -> tuple[nn.Module, ...]:
        """Return the layers that training must keep from autocast and TF32: none, the model does so itself."""
        return ()

    def matrix_parameters(self, scans: bool = False) -> list[nn.Parameter]:
        """Return the matrices between layers, not those of the embedding and the heads.

        Args:
            scans: also the projections to step sizes, inputs and outputs of scans, each a matrix for each direction.
        """
        ends = self.Spatial_patch_to_embedding, self.head, self.error_head
        scanning = [p for name, p in self.named_parameters() if name.endswith(("x_proj_weight", "dt_projs_weight"))]
        return matrices_between_layers(self, ends) + (scanning if scans else [])

    def forward(self, x_BTJC: Tensor) -> Tensor:
        self._check(x_BTJC)
        y_BTJ3 = fused.run(self, x_BTJC)  # inference: what follows, in a few kernels a layer
        return self._head(self._features(x_BTJC)) if y_BTJ3 is None else y_BTJ3

    def features(self, x_BTJC: Tensor) -> Tensor:
        """Compute what the last layer knows of each joint, (B, T, J, E): `head` makes the output of it."""
        self._check(x_BTJC)
        x_BTJE = fused.run(self, x_BTJC, features=True)
        return self._features(x_BTJC) if x_BTJE is None else x_BTJE

    def execution(self, x_BTJC: Tensor) -> fused.Choice:
        """Tell how `model(x)` computes here and now, and why: `path` is 'gpu', 'cpu' or 'plain'.

        >>> with torch.inference_mode():
        ...     print(model.execution(x).reason)
        """
        self._check(x_BTJC)
        return fused.choose(self, x_BTJC)

    def reload_weights(self) -> None:
        """Drop the copies of the weights that fused kernels made, and their memory: the next call reads them anew.

        Needed on a GPU alone, and after one thing alone: writing into a parameter past PyTorch, as
        `parameter.data.mul_(2)` does.
        """
        fused.forget(self)

    def with_errors(self, x_BTJC: Tensor) -> tuple[Tensor, Tensor]:
        """The output, and how far each joint is expected to be off, (B, T, J), in the output's unit.

        Off, that is relative to the pelvis: the distance that P1 is the mean of.

        Raises:
            PoseMambaError: a model without a head for it (`config.error_width` is 0).
        """
        if self.error_head is None:
            raise PoseMambaError("these weights do not tell what error to expect; `posemamba calibrate` adds that")
        x_BTJE = self.features(x_BTJC)
        return self._head(x_BTJE), in_full_precision(self.error_head, x_BTJE.to(self.dtype))

    def _check(self, x_BTJC: Tensor) -> None:
        config, shape = self.config, tuple(x_BTJC.shape)
        if (
            len(shape) != 4
            or not (shape[0] and 1 <= shape[1] <= config.frames)
            or shape[2:]
            != (
                config.joints,
                config.channels,
            )
        ):
            raise ValueError(
                f"input is {shape}; expected (clips, 1 to {config.frames} frames, {config.joints} joints, "
                f"{config.channels}), one clip at least"
            )

    def _head(self, x_BTJE: Tensor) -> Tensor:
        return in_full_precision(self.head, x_BTJE.to(self.dtype))

    def _features(self, x_BTJC: Tensor) -> Tensor:
        T = x_BTJC.shape[1]
        x_BTJC = self.config.placed(x_BTJC).to(self.dtype)
        x_BTJE = in_full_precision(self.Spatial_patch_to_embedding, x_BTJC) + self.Spatial_pos_embed[:, None]
        for i, (spatial, temporal) in enumerate(zip(self.STEblocks, self.TTEblocks, strict=True)):
            x_BTJE = self._layer(spatial, self.Spatial_norm, x_BTJE)
            if i == 0:
                x_BTJE = x_BTJE + self.Temporal_pos_embed[:, :T, None]
            x_BTJE = self._layer(temporal, self.Temporal_norm, x_BTJE)
        return x_BTJE

    def _layer(self, block: Any, norm: nn.LayerNorm, x_BTJE: Tensor) -> Tensor:
        return self.apply_block(block, norm, x_BTJE, block.draw_scales(x_BTJE))

    # For posemamba.ops.fused, whose kernels know tensors only

    def layout(self) -> ModelLayout:
        """Return what the fused kernels must know besides tensors."""
        c = self.config
        return ModelLayout(c.width, c.scan_order, c.limb_order, c.centred, EPS, INNER_EPS, HEAD_EPS)

    def tensors(self) -> Iterator[LayerWeights | EndWeights]:
        """Yield the layers' weights, spatial and temporal in turn, and at last those of embedding, norms and head."""
        for pair in zip(self.STEblocks, self.TTEblocks, strict=True):
            for block in pair:
                yield block.tensors()  # type: ignore[operator]
        embedding, (norm, linear) = self.Spatial_patch_to_embedding, self.head
        yield EndWeights(
            embed_weight=embedding.weight,
            embed_bias=embedding.bias,
            joint_embedding=self.Spatial_pos_embed[0],
            frame_embedding=self.Temporal_pos_embed[0],
            spatial_norm_weight=self.Spatial_norm.weight,
            spatial_norm_bias=self.Spatial_norm.bias,
            temporal_norm_weight=self.Temporal_norm.weight,
            temporal_norm_bias=self.Temporal_norm.bias,
            head_norm_weight=norm.weight,  # type: ignore[arg-type]
            head_norm_bias=norm.bias,  # type: ignore[arg-type]
            head_weight=linear.weight,  # type: ignore[arg-type]
            head_bias=linear.bias,  # type: ignore[arg-type]
        )

    def intact_parameters(self) -> list[Tensor] | None:
        """Return all parameters but the error head's; None if the model is not as its class and config build it."""
        if type(self.config) is not PoseMambaConfig or not self._applies_blocks_as_built or not _CODE.is_as_before():
            return None
        if self.config.merge_weight:
            return None
        return _blueprint(self.config).parameters_of(self)

    def difference(self) -> str:
        """Name the first thing in which the model is not as its class and config build it; '' if it is."""
        if type(self.config) is not PoseMambaConfig:
            return f"the model's config is a {type(self.config).__name__}"
        if not self._applies_blocks_as_built:
            return "the model has an apply_block of its own"
        if self.config.merge_weight:
            return "the limb merge has weights of its own (merge_weight)"
        return _CODE.difference() or _blueprint(self.config).difference(self)

    @property
    def _applies_blocks_as_built(self) -> bool:
        return self.apply_block is _APPLY_BLOCK or self._layers_compiled


_APPLY_BLOCK = apply_block
_CODE = Code(
    classes=(PoseMamba, Block, StateSpace2D, MLP),
    calls=(nn.Module, nn.Linear, nn.LayerNorm, nn.Conv2d, nn.Sequential),
    functions=(
        (PoseMambaConfig, ("placed",)),
        (F, ("linear", "layer_norm", "conv2d", "silu", "gelu", "softplus")),
    ),
)


@lru_cache(maxsize=16)
def _blueprint(config: PoseMambaConfig) -> Blueprint:
    """Build a model of this config for comparison."""
    # where functions of PyTorch are replaced it may not go to the meta device, and draws random numbers
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        blank = PoseMamba(config)
    attributes = {
        nn.LayerNorm: ("normalized_shape", "eps"),
        nn.Conv2d: ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode"),
        StateSpace2D: ("_scan_options",),
    }
    return Blueprint(blank, attributes, apart=("error_head",))


def read_released_checkpoint(path: Path) -> tuple[PoseMambaConfig, dict[str, Tensor]]:
    """Read a checkpoint as the released training code saves it; the config is read off the shapes."""
    state = read_checkpoint(path, "model_pos")
    try:
        config = PoseMambaConfig(
            width=state["Spatial_patch_to_embedding.weight"].shape[0],
            depth=1 + max(int(name.split(".")[1]) for name in state if name.startswith("STEblocks.")),
            frames=state["Temporal_pos_embed"].shape[1],
            joints=state["Spatial_pos_embed"].shape[1],
            confidence=state["Spatial_patch_to_embedding.weight"].shape[1] == 3,
            mlp_ratio=state["STEblocks.0.mlp.fc1.weight"].shape[0] // state["STEblocks.0.mlp.fc1.weight"].shape[1],
        )
    except ZeroDivisionError as error:
        raise PoseMambaError(f"{path}: not a PoseMamba's: its STEblocks.0.mlp.fc1.weight is empty; damaged") from error
    except Exception as error:  # whatever names and shapes lead to
        raise PoseMambaError(
            f"{path}: its {len(state)} parameters (under 'model_pos' or a like key) are not a PoseMamba's: odd or "
            f"missing ones ({cause(error)})"
        ) from error
    return config, state
