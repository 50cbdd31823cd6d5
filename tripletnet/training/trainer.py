"""The loop: one network, one loss, batches in, weights out."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import signal
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Optional

import numpy as np

from tripletnet.backend import mx
from tripletnet.data.batches import batches
from tripletnet.data.examples import Examples
from tripletnet.data.images import ImageSet
from tripletnet.encoding import encode
from tripletnet.errors import InputError
from tripletnet.losses import BatchLoss
from tripletnet.losses.batch_statistics import BatchStatistics
from tripletnet.networks import EncoderBlock, WithNorms
from tripletnet.training.backbone import Backbone
from tripletnet.training.bf16 import training_precision
from tripletnet.training.callbacks import Callback, StepResult
from tripletnet.training.checkpoint import Checkpoints, TrainingState
from tripletnet.training.config import TrainingConfig
from tripletnet.training.optimizers import make_optimizer
from tripletnet.training.schedule import learning_rate
from tripletnet.training.supervision import make_sampler
from tripletnet.training.tracing import traced_in


class TrainingError(RuntimeError):
    """Training cannot go on: the weights are no longer numbers."""


def _diverged(what: str, images: int, rate: float) -> TrainingError:
    return TrainingError(
        f"{what} after {images} images: the weights have grown beyond all bounds; lower the "
        f"learning rate (now {rate:.3g})"
    )


class Trainer:
    """Train a network for a number of images.

    Parameters
    ----------
    network : HybridBlock
        Takes (N, 3, H, W) uint8 and gives one row of outputs an image.
    loss : BatchLoss
        What to minimise; it also says how batches are drawn.
    examples : Examples
        What to learn from: an ImageSet, or what has no classes.
    config : TrainingConfig
        The choices; `images`, `batch_size`, the optimiser's and the augmentation's count here.
    device : mxnet.Context
        Where the network runs.
    callbacks : sequence of Callback
        Told about each step.
    checkpoints : Checkpoints, optional
        Where to save the state of the run from time to time and when it is interrupted.

    Attributes
    ----------
    step : int
        How many steps are done.
    steps : int
        How many the run has.
    """

    def __init__(
        self,
        network: mx.gluon.HybridBlock,
        loss: BatchLoss,
        examples: Examples,
        config: TrainingConfig,
        device: Optional[mx.Context] = None,
        callbacks: Sequence[Callback] = (),
        checkpoints: Optional[Checkpoints] = None,
    ) -> None:
        self.network = network
        self._with_norms = None
        if isinstance(network, EncoderBlock):
            self._with_norms = WithNorms(network, config.projection)
        self.loss = loss
        self.config = config
        self.device = device or mx.cpu()
        self.callbacks = list(callbacks)
        self.checkpoints = checkpoints
        self._examples = examples
        loss.bind(examples.label_count)
        self._sampler = make_sampler(loss, examples, config)
        self.batch_size = self._sampler.batch_size * examples.images_each
        self.steps = max(1, math.ceil(config.images / self.batch_size))
        self.step = 0
        self._stopped = False
        self._interrupted = False
        if config.learning_rate is None:
            raise InputError("a trainer needs a learning rate: give one")
        self._peak = config.learning_rate
        self._precision = training_precision(
            config.precision, getattr(network, "encoder", network), config.network, self.device
        )
        self._backbone = Backbone(network, config, len(examples) / self._sampler.batch_size)
        self._optimizer: Any = None

    def initialize(self) -> None:
        """Draw the first weights, from the seed alone."""
        mx.random.seed(self.config.seed)
        for block in self._blocks().values():
            block.initialize(mx.init.MSRAPrelu(), ctx=self.device, force_reinit=True)
        self._make_optimizer()

    def start(self) -> None:
        """Draw or load the first weights, or take up the newest checkpoint where there is one."""
        state = self.checkpoints.load() if self.checkpoints else None
        if state is None:
            self.initialize()
            self._take_in()
            self._backbone.take_first_weights()
        else:
            self.restore(state)

    def try_backbone(self) -> None:
        """Raise InputError if the backbone's first weights, which start() takes, cannot be had."""
        if self.config.pretrained or self.config.weights is not None:
            self.initialize()
            self._backbone.take_first_weights()

    def _take_in(self) -> None:
        """Show the encoder the training images that it wants, the same for a seed."""
        encoder = getattr(self.network, "encoder", self.network)
        number = getattr(encoder, "takes_in", 0)
        if number:
            some = np.random.default_rng((self.config.seed, 3)).permutation(len(self._examples))
            pixels, _ = self._examples.draw(np.sort(some[:number]))
            encoder.take_in(pixels)

    def codes_of(self, images: ImageSet) -> np.ndarray:
        """Return the code of each image, (N, D) float32, by the weights as they are.

        Raises
        ------
        TrainingError
            If one is not finite.
        """
        codes = encode(self.network, images, self.batch_size, self.device)
        if not np.isfinite(codes).all():
            # the last loss was of the weights before
            rate = self._optimizer.learning_rate
            raise _diverged("codes hold NaN or infinity", self.images_seen, rate)
        return codes

    @property
    def images_seen(self) -> int:
        """How many images the run has seen, repeats counted."""
        return self.step * self.batch_size

    def state(self) -> TrainingState:
        """Return all that a run which goes on from here needs, besides its configuration."""
        mx.nd.waitall()
        arrays = {f"weight/{name}": p.data().asnumpy() for name, p in self._parameters().items()}
        for index, slots in self._optimizer._updaters[0].states.items():
            for slot, array in enumerate(_as_tuple(slots)):
                arrays[f"optimizer/{index}/{slot}"] = array.asnumpy()
        told = {type(c).__name__: c.state() for c in self.callbacks}
        return TrainingState(self.step, arrays, told)

    def restore(self, state: TrainingState) -> None:
        """Go on from `state`, as if the run had never stopped."""
        self.initialize()
        self.step = state.step
        self._make_optimizer()
        for name, parameter in self._parameters().items():
            parameter.set_data(mx.nd.array(state.arrays[f"weight/{name}"]))
        updater = self._optimizer._updaters[0]
        for index, parameter in enumerate(self._optimizer._params):
            if parameter.grad_req == "null":
                continue
            if f"optimizer/{index}/0" not in state.arrays:
                continue  # it was frozen until now
            slots = updater.optimizer.create_state_multi_precision(index, parameter.data())
            for slot, array in enumerate(_as_tuple(slots)):
                array[:] = mx.nd.array(state.arrays[f"optimizer/{index}/{slot}"])
            updater.states[index] = slots
            updater.states_synced[index] = True
        for callback in self.callbacks:
            told = state.told.get(type(callback).__name__)
            if told is not None:  # a callback that was not there before starts anew
                callback.restore(told)

    def stop(self) -> None:
        """End the run after the present step; for callbacks."""
        self._stopped = True

    def run(self) -> None:
        """Train to the end, from where it stands.

        Raises
        ------
        TrainingError
            If the loss is not a finite number.
        KeyboardInterrupt
            If the user interrupted. The step under way is finished first, and the state is saved
            where there are checkpoints.
        """
        self._trace_anew()
        source = batches(
            self._examples,
            self._sampler,
            range(self.step, self.steps),
            self.config.augmentation or None,
            self.config.seed,
        )
        for callback in self.callbacks:
            callback.on_start(self)
        try:
            with self._finish_step_on_interrupt():
                self._loop(source)
        finally:
            source.close()  # type: ignore[attr-defined]
            mx.nd.waitall()
            self._trace_anew()  # as the layers say, in float32
            for callback in self.callbacks:
                callback.on_end(self)
        if self._interrupted:
            raise KeyboardInterrupt

    def _trace_anew(self) -> None:
        """Forget the graphs of the network: the next batch traces them again."""
        (self._with_norms or self.network).hybridize(static_alloc=True, static_shape=True)

    def _loop(self, source: Iterator[tuple[np.ndarray, np.ndarray]]) -> None:
        pending: Optional[_Pending] = None
        for pixels, labels in source:
            launched = self._launch(pixels, labels)
            if pending is not None:
                self._tell(pending)
            pending = launched
            watching = [callback for callback in self.callbacks if callback.wants_weights(self)]
            saving = self.checkpoints is not None and self.checkpoints.due()
            if watching or saving:
                self._tell(pending)
                pending = None
            for callback in watching:
                callback.on_weights(self)
            if self.checkpoints and saving:
                self.checkpoints.save(self.state())
            if self._stopped or self._interrupted:
                break
        if pending is not None:
            self._tell(pending)
        if self.checkpoints:
            self.checkpoints.save(self.state())

    @contextlib.contextmanager
    def _finish_step_on_interrupt(self) -> Iterator[None]:
        """Let Ctrl-C end the run between two steps, when the state is saved; others are ignored."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def interrupt(number: int, frame: Any) -> None:
            self._interrupted = True

        signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _launch(self, pixels: np.ndarray, labels: np.ndarray) -> _Pending:
        """Queue one step; MXNet computes it in the background."""
        rate = learning_rate(
            self.step, self.steps, self._peak, self.config.warmup, self.config.schedule
        )
        self._optimizer.set_learning_rate(rate)
        if self._backbone.prepare(self.step):
            self._trace_anew()
        # what is random in the network, such as dropout, and in mining depends on the step alone
        mx.random.seed(self.config.seed * 1_000_003 + self.step)
        self.loss.random = np.random.default_rng((self.config.seed, self.step, 2))
        x = mx.nd.array(pixels, dtype="uint8", ctx=self.device)
        with mx.autograd.record():
            with traced_in(self._precision, self.network, self.device):
                if self._with_norms is not None:
                    outputs, norms = self._with_norms(x)
                else:
                    outputs, norms = self.network(x), None
            loss = self.loss(outputs, labels).mean()
        loss.backward()
        self._optimizer.step(1)
        self.step += 1
        statistics = dict(self.loss.statistics)
        batch = None
        if self.loss.on_codes:
            centre = outputs.mean(axis=0)
            statistics["spread"] = 1.0 - (centre * centre).sum()
            batch = BatchStatistics(outputs, labels, self.loss)
        if norms is not None:
            statistics["norm"] = norms.mean()
        return _Pending(self.step, loss, rate, statistics, batch)

    def _tell(self, pending: _Pending) -> None:
        """Wait for a queued step and tell the callbacks about it."""
        result = StepResult(
            step=pending.step,
            images=pending.step * self.batch_size,
            loss=_number(pending.loss),
            learning_rate=pending.rate,
            statistics={
                **(pending.batch.read() if pending.batch is not None else {}),
                **{name: _number(value) for name, value in pending.statistics.items()},
            },
        )
        if not math.isfinite(result.loss):
            raise _diverged(f"the loss is {result.loss}", result.images, result.learning_rate)
        for callback in self.callbacks:
            callback.on_step(self, result)

    def _blocks(self) -> dict[str, mx.gluon.Block]:
        """Return all that has parameters, each once."""
        blocks = {"network": self.network, "loss": self.loss}
        if self._with_norms is not None and self._with_norms.head is not None:
            blocks["head"] = self._with_norms.head
        return blocks

    def _parameters(self) -> dict[str, Any]:
        """Return all parameters by a name that does not change from process to process."""
        return {
            f"{part}/{name}": parameter
            for part, block in self._blocks().items()
            for name, parameter in block._collect_params_with_prefix().items()
        }

    def _make_optimizer(self) -> None:
        optimizer = make_optimizer(self.config, self.step)
        self._optimizer = mx.gluon.Trainer(
            list(self._parameters().values()), optimizer, kvstore=None
        )
        self._backbone.count_updates(optimizer, self.step)


@dataclasses.dataclass(frozen=True)
class _Pending:
    """A step that MXNet may still be computing."""

    step: int
    loss: Any
    rate: float
    statistics: dict[str, Any]
    batch: Optional[BatchStatistics]


def _number(value: Any) -> float:
    return float(value.asscalar()) if isinstance(value, mx.nd.NDArray) else float(value)


def _as_tuple(slots: Any) -> tuple[Any, ...]:
    """Return an optimiser's state for one parameter as a tuple of arrays."""
    if slots is None:
        return ()
    return tuple(slots) if isinstance(slots, (tuple, list)) else (slots,)
