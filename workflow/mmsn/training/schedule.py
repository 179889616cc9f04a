"""Learning rate, momentum and early stopping as functions of where a run stands; nothing to save."""

import math

from mmsn.training.settings import FollowingSettings, TrainingSettings


def cosine(start: float, end: float, progress: float) -> float:
    """From `start` to `end` as `progress` goes from 0 to 1, along half a cosine."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))


def learning_rate(settings: TrainingSettings, epoch: int, step: int, steps_per_epoch: int) -> float:
    """Learning rate of step `step` (from 0) in epoch `epoch` (from 0).

    `cosine-per-epoch` is torch's CosineAnnealingLR(T_max=epochs, eta_min=0) stepped after each epoch (released);
    `cosine-per-step` warms up linearly and then falls to 0 at the last step.
    """
    if settings.schedule == "cosine-per-epoch":
        return cosine(settings.learning_rate, 0.0, epoch / settings.epochs)
    done = epoch * steps_per_epoch + step
    warmup = settings.warmup_epochs * steps_per_epoch
    if done < warmup:
        return settings.learning_rate * (done + 1) / warmup
    return cosine(settings.learning_rate, 0.0, (done - warmup) / (settings.epochs * steps_per_epoch - warmup))


def target_momentum(settings: FollowingSettings, epoch: int, step: int, steps_per_epoch: int) -> float:
    """Momentum of the target's moving average at a step.

    With `ema_period_epochs` P it is lightly 1.4.21's `cosine_schedule(epoch, P, start, end)`, which has reached the end
    at epoch P - 1 and P and swings back to the start afterwards, as the released DINO does.
    """
    start, end, period = settings.ema_momentum, settings.ema_momentum_end, settings.ema_period_epochs
    if period == 0:
        done = (epoch * steps_per_epoch + step) / max(1, settings.epochs * steps_per_epoch - 1)
        return cosine(start, end, done)
    if period == 1 or epoch == period:
        return end
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * epoch / (period - 1)))


def stops_early(losses: list[float], patience: int, min_delta: float) -> bool:
    """Whether `patience` epochs in a row brought no loss lower than the best before them by more than `min_delta`.

    Args:
        losses: mean training loss of each epoch so far.
        patience: 0 never stops.
        min_delta: what counts as lower.
    """
    best, waited = math.inf, 0
    for loss in losses:
        improved = loss < best - min_delta
        best, waited = (loss, 0) if improved else (best, waited + 1)
    return patience > 0 and waited >= patience
