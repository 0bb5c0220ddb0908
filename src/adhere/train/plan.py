"""How a training is done, settled and said before it starts: rate, parts, memory, time.

What the settings leave open follows from the model's size and from what this machine has free.
"""

from dataclasses import dataclass
from typing import Any

from adhere.errors import EngineError
from adhere.processes import is_sharded, process_count
from adhere.settings import TrainSettings
from adhere.train import loading
from adhere.train.memory import MARGIN, Needed, Shape, free_bytes, needed, of_each
from adhere.train.rates import peak_rate

SMALL = 134_515_008
"""Parameters of SmolLM2-135M, the student that comes by default."""
SECONDS_A_TOKEN, WITHOUT_BF16 = 0.0022, 3.7
"""Of SmolLM2-135M with LoRA on 2 CPU cores that multiply bfloat16 (benchmarks/training.py); others
take about as many times as long. On cores with AVX2 alone the Universal Declaration's SFT (15,812
tokens) took 137 s and its DPO (24,512) 255 s, and the example code's SFT (4,252) 48 s.
"""
HELD_OUT = 16
"""Probes that the held-out loss is taken over in training; the evaluation asks them all."""
_HELD_OUT_LOSSES = 4
"""Before the first step and after each third; what early stopping adds is not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What one process of a training has at hand."""

    free: float
    """Bytes of its GPU's memory, or of its share of this machine's."""
    bf16: bool
    """Whether it multiplies bfloat16."""
    gpu: bool
    processes: int = 1
    """Of the training, on all machines."""
    sharded: bool = False
    """Whether the weights are spread over them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a training is done."""

    tuning: str
    learning_rate: float
    batch: int
    """Rows of a step that fall to one process."""
    micro_batch: int
    """Of them, how many it takes at a time."""
    need: Needed
    machine: Machine

    @property
    def facts(self) -> dict[str, Any]:
        """What the manifest keeps of it."""
        return {
            "tuning": self.tuning,
            "learning_rate": self.learning_rate,
            "micro_batch_size": self.micro_batch,
            "estimated_bytes": round(self.need.total),
        }

    def __str__(self) -> str:
        need, rate = self.need, f"{self.learning_rate:g}"
        shared = f" in each of {self.machine.processes} processes"
        each = shared if self.machine.processes > 1 else ""
        parts = "at once" if self.micro_batch == self.batch else f"{self.micro_batch} at a time"
        return (
            f"{self.tuning}, learning rate {rate}, steps of {self.batch} rows{each}, {parts}; "
            f"about {_words(need.total)} of memory{each} ({_words(need.weights)} weights, "
            f"{_words(need.training)} training, {_words(need.activations)} activations), "
            f"{_words(self.machine.free)} free"
        )


def this_machine() -> Machine:
    import torch

    return Machine(
        free=free_bytes(torch),
        bf16=loading.has_bfloat16(),
        gpu=torch.cuda.is_available(),
        processes=process_count(),
        sharded=is_sharded(),
    )


def recommended(
    shape: Shape,
    settings: TrainSettings,
    machine: Machine,
    *,
    batch: int,
    answers: int,
    longest: int,
) -> Plan:
    """The settings, and for what they leave open what suits a model of this shape here.

    A process has `batch` rows of a step, each of `answers` sequences of up to `longest`
    tokens. It takes them at once where they fit, else as many at a time as do. The tuning
    is not chosen: an adapter over 4 bits is another model than one over 16.
    """

    def need(rows: int) -> Needed:
        whole = needed(shape, settings, longest, rows * answers, bf16=machine.bf16)
        return of_each(whole, machine.processes if machine.sharded else 1)

    divisors = [rows for rows in range(batch, 0, -1) if batch % rows == 0]
    fitting = (rows for rows in divisors if need(rows).total <= machine.free)
    micro_batch = settings.micro_batch_size or next(fitting, 1)
    return Plan(
        tuning=settings.tuning,
        learning_rate=peak_rate(settings, shape.parameters),
        batch=batch,
        micro_batch=micro_batch,
        need=need(micro_batch),
        machine=machine,
    )


def seconds_a_token(parameters: int, machine: Machine) -> float | None:
    """Of training on a CPU, roughly; None where nothing was measured: GPUs, several processes.

    The work grows with the parameters (Kaplan et al. 2020, arXiv 2001.08361).
    """
    if machine.gpu or machine.processes > 1:
        return None
    return SECONDS_A_TOKEN * parameters / SMALL * (1 if machine.bf16 else WITHOUT_BF16)


def effort(rows: float, held_out: float, epochs: float, *, pairs: bool) -> float:
    """How many tokens of training a training is as much work as, all that goes with it included.

    `rows` and `held_out` are tokens, counted once. What needs no backward pass, held-out
    losses and for pairs the reference's log-likelihoods, is a third of the work (Kaplan
    et al. 2020, arXiv 2001.08361).
    """
    alone = _HELD_OUT_LOSSES * held_out + (rows + held_out if pairs else 0)
    return rows * epochs + alone / 3


def in_words(stage: str, plan: Plan) -> str:
    """What there is to say of a plan.

    Raises EngineError, naming the remedies, where it will not fit even if the
    estimate of memory is twice too high.
    """
    said, machine = f"{stage}: {plan}", plan.machine
    if plan.need.total <= MARGIN * machine.free:
        return f"{said}{'; it may run out' if plan.need.total > machine.free else ''}."
    remedies = ["lower micro_batch_size"] if plan.micro_batch > 1 else []
    remedies += ["lower max_length", "take a smaller student"]
    remedies += ["take tuning = 'lora'"] if plan.tuning == "full" else []
    remedies += ["take tuning = 'qlora'"] if plan.tuning == "lora" and machine.gpu else []
    raise EngineError(f"{said}. That is too much: {', or '.join(remedies)}.")


def _words(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
