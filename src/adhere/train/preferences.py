"""Learning from pairs: which of TRL's trainers and losses is which method.

TRL 1.16 also has ORPO, and SimPO inside CPO, but only in `trl.experimental`, where
anything may change or go with any release; they are left out until they leave it.
"""

from collections import Counter
from functools import partial
from operator import itemgetter
from typing import Any

from adhere.errors import InputError
from adhere.processes import in_all, is_sharded
from adhere.settings import DPOSettings
from adhere.store import content_key
from adhere.train.loading import load_policy
from adhere.train.rows import Row, dataset
from adhere.train.session import Task, Work, arguments, one_gpu, show_rows


def preference_trainer(work: Work, settings: DPOSettings) -> Any:
    """TRL's trainer for the method, with the model as it starts as the reference.

    `peft_config` is None for a loaded adapter: only then does TRL take a copy of that
    adapter as the reference, and not the model without adapters. Every reference
    log-likelihood is computed here, before the first step; but under FSDP at each step,
    since the weights are not spread yet (TRL 1.16, its issue 6470).
    """
    task = work.task
    policy, peft_config = in_all(
        partial(load_policy, task.model, task.adapter, settings, work.longest)
    )
    told = arguments(work, policy)
    told |= {"beta": settings.strength, "precompute_ref_log_probs": not is_sharded()}
    shared = {"processing_class": work.tokenizer, "peft_config": peft_config}
    if settings.method == "kto":
        return _kto(work, policy, settings, told, shared)
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    return _showing(DPOTrainer, work)(
        policy,
        args=one_gpu(DPOConfig(**told, **_loss(settings)), task.progress),
        train_dataset=dataset(work.rows, work.checkpoints / "rows"),
        eval_dataset=dataset(work.held_out, work.checkpoints / "held-out"),
        **shared,
    )


def _showing(trainer: Any, work: Work) -> Any:
    """The trainer, with `rows.md` written before the reference's log-likelihoods, which take long.

    This method is not public: were it renamed in TRL, the page would be written after them.
    """

    class Showing(trainer):
        def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
            if name == "train":
                show_rows(work, dataset)
            return super()._precompute_ref_logps(dataset, name, batch_size)

    return Showing


def check_reference(task: Task[DPOSettings]) -> None:
    """Raise InputError where TRL would take another model than the starting one as reference.

    Under FSDP it loads the reference of full tuning from the model's folder, and an
    adapter that was merged into the starting model is not in there.
    """
    if is_sharded() and task.adapter and task.settings.tuning == "full":
        raise InputError(
            f"{task.stage}: under FSDP, full tuning cannot go on from an adapter. Tune the stage "
            "before it in full too, take tuning = 'lora', or leave FSDP out of the launch."
        )


def _loss(settings: DPOSettings) -> dict[str, Any]:
    if settings.method == "ipo":  # Azar et al. 2023, arXiv 2310.12036
        return {"loss_type": ["ipo"]}
    if settings.method == "dpo":
        return {"loss_type": ["sigmoid"]}
    return {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, settings.nll_weight]}


def _kto(
    work: Work, policy: Any, settings: DPOSettings, told: dict[str, Any], shared: dict[str, Any]
) -> Any:
    """KTO (Ethayarajh et al. 2024, arXiv 2402.01306): each answer by itself, good or bad.

    A batch holds two answers where it would hold a pair. TRL needs its rows in a
    fixed order, so they are shuffled here.
    """
    from trl.trainer.kto_config import KTOConfig
    from trl.trainer.kto_trainer import KTOTrainer

    told |= {
        "per_device_train_batch_size": 2 * work.plan.micro_batch,
        "per_device_eval_batch_size": 2 * work.plan.micro_batch,
        "train_sampling_strategy": "sequential",
    }
    return _showing(KTOTrainer, work)(
        policy,
        args=one_gpu(KTOConfig(**told), work.task.progress),
        train_dataset=dataset(unpaired(work.rows, settings.seed), work.checkpoints / "rows"),
        eval_dataset=dataset(unpaired(work.held_out, settings.seed), work.checkpoints / "held-out"),
        **shared,
    )


def unpaired(pairs: list[Row], seed: int) -> list[Row]:
    """Each pair's two answers as rows with a `label`, in an order drawn by `seed`.

    A row that `balance` takes k times stands at even spaces, one in each k-th of the order.
    For its estimate of the KL divergence TRL reads each prompt with the answer of the row
    before it in the batch, which must be another answer than the prompt's own. Only in a
    batch of about a k-th of all rows can its first and last row still be the same.
    """
    rows = [
        {"prompt": pair["prompt"], "completion": pair[name], "label": name == "chosen"}
        for pair in pairs
        for name in ("chosen", "rejected")
    ]
    keys = [content_key(seed, row) for row in rows]
    times, taken = Counter(keys), Counter[str]()
    places: list[float] = []
    for key in keys:
        places.append((taken[key] + int(key, 16) / 16 ** len(key)) / times[key])
        taken[key] += 1
    return [row for _, row in sorted(zip(places, rows, strict=True), key=itemgetter(0))]
