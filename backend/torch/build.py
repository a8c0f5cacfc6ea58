"""From a model and options to a scheduler that can run it."""

import torch

from backend.errors import UsageError, first_line
from backend.torch.attention import Piece
from backend.torch.config import EngineConfig
from backend.torch.invariant import InvariantRunner
from backend.torch.memory import num_places
from backend.torch.model import Model
from backend.torch.padded import PaddedRunner
from backend.torch.pool import Pool
from backend.torch.scheduler import Scheduler


def new_scheduler(model: Model, config: EngineConfig) -> Scheduler:
    """Memory for keys and values, and a scheduler over it.

    Raises:
        UsageError: there is too little memory, or the model does something that the engine cannot.
    """
    places = num_places(model.need, config, model.device, model.max_len, loaded=True)
    pool = _pool(model, config, places)
    runner = InvariantRunner(model, pool) if config.batch_invariant else PaddedRunner(model, pool)
    row = pool.take(1)
    try:
        runner.run([Piece(row, 0, (0,), is_prompt=True)])
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise UsageError(f"--model {model.root}: cannot be run: {first_line(error)}") from error
    pool.release(row, 1)
    return Scheduler(runner, pool, config.step_tokens(model.device.type))


def _pool(model: Model, config: EngineConfig, places: int) -> Pool:
    like = torch.empty(0, dtype=model.dtype, device=model.device)
    try:
        return Pool(model.need.shape, places, config.max_batch_size, model.max_len, like=like)
    except RuntimeError as error:
        reason = first_line(error)
        raise UsageError(f"no memory for keys and values of {places} tokens: {reason}") from error
