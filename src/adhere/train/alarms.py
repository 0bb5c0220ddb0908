"""What looks wrong in a training's curve, in sentences for the user."""

Curve = list[dict[str, float]]

OVERFIT = 1.1
"""Ratio of the last held-out loss to the lowest one. The bound is ours."""
DISPLACEMENT = 0.1
"""Fall of the chosen answers' log-likelihood, in nats a token (likelihood displacement, Razin et
al. 2024, arXiv 2410.08847). The bound is ours: every token a tenth less likely than before."""


def overfitting(curve: Curve, points: int) -> str | None:
    """A sentence where the held-out loss has risen again."""
    held_out = [(point["eval_loss"], point["step"]) for point in curve if "eval_loss" in point]
    if not held_out:
        return None
    (lowest, step), (last, _) = min(held_out), held_out[-1]
    if last <= OVERFIT * lowest:
        return None
    return (
        f"The held-out loss rose from its lowest, {lowest:.2f} at step {step:.0f}, to {last:.2f}: "
        "the model learns the rows by heart. Train fewer epochs, or on more rows."
    )


def displacement(
    curve: Curve, points: int, *, beta: float, tokens: float, method: str
) -> str | None:
    """A sentence where chosen answers, of `tokens` tokens on average, have become less likely.

    `rewards/chosen` is beta times the answer's log-likelihood ratio to the reference. The
    last of them are averaged, a quarter of the `points` that the curve will have: a batch
    says little, and before there are as many nothing is said. `method` is that of the
    settings, by which the remedy goes.
    """
    rewards = [point["rewards/chosen"] for point in curve if "rewards/chosen" in point]
    last = rewards[-max(1, points // 4) :]
    if len(last) < max(1, points // 4):
        return None
    fall = -sum(last) / len(last) / beta / tokens
    if fall <= DISPLACEMENT:
        return None
    remedy = "Raise nll_weight" if method == "dpo+nll" else "Take method = 'dpo+nll'"
    return (
        f"The chosen answers' log-likelihood fell by {fall:.2f} nats a token in DPO: the model "
        f"unlearns good answers with the bad. {remedy} or lower the learning rate."
    )
