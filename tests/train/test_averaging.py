import pytest
import torch

from posemamba.cli import main
from posemamba.models.posemamba import PoseMamba
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.models.registry import load_model, save_model
from posemamba.train.averaging import average_weights
from posemamba.utils.errors import PoseMambaError
from posemamba.weights.files import read_card


def small(seed: int, **options) -> PoseMamba:
    torch.manual_seed(seed)
    return PoseMamba(PoseMambaConfig(width=16, depth=2, frames=9, **options))


def test_an_average_has_the_mean_parameters_and_says_of_what(tmp_path):
    one, other = small(1), small(2, error_width=8)
    save_model(tmp_path / "one.safetensors", one, {"name": "first", "steps": 5})
    card = {"name": "second", "person_size": 0.25, "steps": 7, "angle_errors": {}, "recipe": {"seed": 1}}
    save_model(tmp_path / "other.safetensors", other, card)
    out = tmp_path / "both.safetensors"
    average_weights([tmp_path / "one.safetensors", tmp_path / "other.safetensors"], out, [3, 1])
    mixed = load_model(out)
    assert mixed.error_head is None
    for key, value in mixed.state_dict().items():
        expected = 0.75 * one.state_dict()[key].double() + 0.25 * other.state_dict()[key].double()
        assert torch.allclose(value.double(), expected, atol=1e-7), key
    kept = read_card(out)["card"]
    assert kept["averaged"] == [{"name": "first", "share": 0.75}, {"name": "second", "share": 0.25}]
    assert kept["person_size"] == 0.25 and kept["recipe"] == {"seed": 1}
    assert not {"steps", "angle_errors"} & kept.keys()


def test_what_cannot_be_averaged_is_refused(tmp_path):
    names = []
    for name, model in (("a", small(1)), ("b", small(2)), ("deep", small(3, confidence=True))):
        save_model(tmp_path / f"{name}.safetensors", model, {})
        names.append(tmp_path / f"{name}.safetensors")
    out = tmp_path / "out.safetensors"
    with pytest.raises(PoseMambaError, match=r"deep.safetensors: another model, or other options, than .*a.safetens"):
        average_weights([names[0], names[2]], out)
    with pytest.raises(PoseMambaError, match="two weights"):
        average_weights(names[:1], out)
    with pytest.raises(PoseMambaError, match="1 shares for 2 weights"):
        average_weights(names[:2], out, [1.0])
    with pytest.raises(PoseMambaError, match="positive"):
        average_weights(names[:2], out, [1.0, float("nan")])
    assert not out.exists()


def test_the_command_takes_shares(tmp_path, capsys):
    for name, seed in (("a", 1), ("b", 2)):
        save_model(tmp_path / f"{name}.safetensors", small(seed), {"name": name})
    both = [str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors")]
    assert main(["average", *both, "-o", str(tmp_path / "c.safetensors"), "--shares", "1,3", "--name", "mixed"]) == 0
    assert "0.25 a + 0.75 b" in capsys.readouterr().out
    assert read_card(tmp_path / "c.safetensors")["card"]["name"] == "mixed"
    assert main(["average", *both, "-o", str(tmp_path / "d.safetensors"), "--shares", "1;3"]) == 2
    assert "--shares is '1;3'" in capsys.readouterr().err and not (tmp_path / "d.safetensors").exists()
