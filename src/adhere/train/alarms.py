"""What looks wrong in a training's curve, in sentences for the user."""

Curve = list[dict[str, float]]

OVERFIT = 1.1
"""Ratio of the last held-out loss to the lowest one. The bound is ours."""
DISPLACEMENT = 0.1
"""Fall of the chosen answers' log-likelihood, in nats a token (likelihood displacement, Razin et
al. 2024, arXiv 2410.08847). The bound is ours: every token a tenth less likely than before."""


def overfitting(curve: Curve) -> list[str]:
    held_out = [(point["eval_loss"], point["step"]) for point in curve if "eval_loss" in point]
    if not held_out:
        return []
    (lowest, step), (last, _) = min(held_out), held_out[-1]
    if last <= OVERFIT * lowest:
        return []
    return [
        f"The held-out loss rose from its lowest, {lowest:.2f} at step {step:.0f}, to {last:.2f}: "
        "the model learns the rows by heart. Train fewer epochs, or on more rows."
    ]


def displacement(curve: Curve, beta: float, tokens: float) -> list[str]:
    """`tokens`: of a chosen answer, on average.

    `rewards/chosen` is beta times the answer's log-likelihood ratio to the
    reference; the last quarter of the curve is averaged.
    """
    rewards = [point["rewards/chosen"] for point in curve if "rewards/chosen" in point]
    last = rewards[-max(1, len(rewards) // 4) :]
    fall = -sum(last) / len(last) / beta / tokens
    if fall <= DISPLACEMENT:
        return []
    return [
        f"The chosen answers' log-likelihood fell by {fall:.2f} nats a token in DPO: the model "
        "unlearns good answers with the bad. Raise nll_weight or lower the learning rate."
    ]
