import json
import shutil
from pathlib import Path

import pytest
import torch

from backend.errors import UsageError
from backend.torch.config import DEMO_FOLDER, EngineConfig
from backend.torch.model import Model, load

pytestmark = pytest.mark.backend


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped model, to break."""
    copy = tmp_path / "model"
    shutil.copytree(DEMO_FOLDER, copy)
    return copy


def refusal(folder: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load(EngineConfig(model=str(folder), device="cpu"))
    assert str(caught.value).startswith(f"--model {folder}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_is_a_model(folder: Path) -> None:
    """Any checkpoint's folder can be served; it is called as the folder is."""
    model = load(EngineConfig(model=str(folder), device="cpu", max_model_len=100))

    assert ("model", 100) == (model.name, model.max_len)
    assert 5_197_056 == model.num_parameters


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_without_a_part(folder: Path, name: str) -> None:
    """What is missing is named."""
    (folder / name).unlink()

    assert Path(name).suffix in refusal(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("share", [0, 0.5])
def test_half_a_file(folder: Path, name: str, share: float) -> None:
    """A file cut off in the middle, or empty, as a broken copy leaves it, is refused in one line."""
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(len(content) * share)])

    refusal(folder)


def test_half_of_the_weights(folder: Path) -> None:
    """Weights that are not in the file are an error, never random numbers."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 7}))

    assert "missing" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model_type": "nothing"}, "does not recognize this architecture"),
        ({"hidden_size": 128}, "weights are missing or misshapen, model."),
        ({"model_type": "mamba"}, "layers of kind linear_attention are not supported"),
    ],
)
def test_configurations_that_do_not_fit(folder: Path, change: dict[str, object], reason: str) -> None:
    """An unknown architecture, one that is no attention model, and shapes unlike the weights' are refused."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))

    assert reason in refusal(folder)


def test_a_context_longer_than_the_models() -> None:
    """`--max-model-len` cannot stretch a model."""
    with pytest.raises(UsageError, match="--max-model-len 4096: the model goes up to 2048"):
        load(EngineConfig(max_model_len=4096, device="cpu"))


def test_random_weights_are_seeded(noisy: Model) -> None:
    """A seed names the same weights every time, another seed others, and the global generator is left alone."""
    state = torch.random.get_rng_state()
    same, other = (load(EngineConfig(model="random", device="cpu", seed=seed)) for seed in (0, 1))

    assert torch.equal(state, torch.random.get_rng_state())
    weights = [next(iter(model.network.parameters())) for model in (noisy, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
