"""The weights that a run starts from: those of another run's encoder."""

from __future__ import annotations

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.files import PathLike
from tripletnet.networks import EncoderBlock
from tripletnet.runs import load_run
from tripletnet.training.config import TrainingConfig

#: Arguments of an encoder that its weights have nothing to do with.
_WITHOUT_WEIGHTS = {"mirror", "rectify"}


def check_initial(run: PathLike, config: TrainingConfig) -> EncoderBlock:
    """Return the encoder of the run that is to give the first weights.

    Raises
    ------
    InputError
        If there is none, or it is another network than `config` names.
    """
    encoder, description = load_run(run)
    named = description["network"]["name"]
    if named != config.network:
        raise InputError(
            f"{run}: its network is '{named}', and this run's '{config.network}': ask for the same"
        )
    return encoder


def weights_for(
    encoder: EncoderBlock, config: TrainingConfig, run: PathLike
) -> dict[str, mx.gluon.Parameter]:
    """Return the weights of the encoder of another run, by the names that `encoder` has.

    Raises
    ------
    InputError
        If there is none, or it is another network.
    """
    other = check_initial(run, config)
    theirs, ours = (
        {name: value for name, value in block.arguments.items() if name not in _WITHOUT_WEIGHTS}
        for block in (other, encoder)
    )
    if type(other) is not type(encoder) or theirs != ours:
        raise InputError(
            f"{run}: its encoder has {theirs}, and this run's {ours}: ask for the same network"
        )
    return other._collect_params_with_prefix()
