"""From evidence to a word: supported, not supported, contradicted, or why nothing can be said."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from mmsn.paper.contrasts import Effect
from mmsn.statistics.tests import FEWEST_SEEDS

Word: TypeAlias = Literal["supported", "not supported", "contradicted", "cannot say"]
Kind: TypeAlias = Literal["gain", "comparison", "no gain"]
WORDS: Final[tuple[Word, ...]] = ("supported", "not supported", "contradicted", "cannot say")
ALPHA: Final = 0.05
MARGIN: Final = 0.01
"""AUROC below which a gain counts as none: half of the largest gain of the paper's linear evaluation (0.020)."""


@dataclass(frozen=True)
class Evidence:
    """One comparison behind a claim."""

    against: str
    """What the models with EHR are compared with, as a reader calls it."""
    effect: Effect | None
    p_holm: float = float("nan")
    missing: str = ""
    """Why there is no effect."""
    compared: str = ""
    """The models with EHR that are compared: against a control of one feature set, that feature set alone."""

    @property
    def direction(self) -> int:
        """1 or -1 where interval and corrected p both leave out 0, else 0."""
        if self.effect is None or not self.p_holm < ALPHA:
            return 0
        return int(self.effect.lo > 0) - int(self.effect.hi < 0)


@dataclass(frozen=True)
class Verdict:
    """A word, and what a reader must know of it."""

    word: Word
    why: str = ""

    def __str__(self) -> str:
        """Cannot say: too few seeds."""
        return f"{self.word}: {self.why}" if self.why else self.word


def judge(kind: Kind, reference: Evidence, controls: Sequence[Evidence] = ()) -> Verdict:
    """What comparisons say of a claim.

    A gain is supported where models with EHR beat the reference *and* every control (SPEC 3), in the bootstrap of
    patients and over at least three seeds. `no gain` is supported where every interval ends below `MARGIN`, also where
    a difference is clear but smaller than that, or clear and for the worse; it is contradicted by a clear gain whose
    interval reaches the margin.

    Args:
        kind: `gain`: EHR against the reference and controls; `comparison`: one group against another; `no gain`.
        reference: the comparison that the claim is about.
        controls: those that a gain must beat as well.
    """
    if reference.effect is None:
        return Verdict("cannot say", reference.missing)
    if kind == "no gain":
        return _judge_no_gain(reference, reference.effect)
    if reference.direction < 0:
        return _if_seeds_agree("contradicted", reference)
    if reference.direction == 0:
        return Verdict("cannot say", _undecided(reference))
    unbeaten = [control.against for control in controls if control.effect is not None and control.direction <= 0]
    if unbeaten:
        return Verdict("not supported", f"not better than {_listed(unbeaten)}")
    absent = [control.against for control in controls if control.effect is None]
    if absent:
        return Verdict("cannot say", f"control missing ({_listed(absent)})")
    return _if_seeds_agree("supported", reference, *controls)


def of_the_paper(verdict: Verdict, other_data: str) -> Verdict:
    """What the verdict is worth for the paper's claim; `other_data` says why these data are not its data."""
    return Verdict("cannot say", other_data) if other_data else verdict


def _judge_no_gain(reference: Evidence, effect: Effect) -> Verdict:
    if not effect.hi < MARGIN:
        if reference.direction > 0:
            return _if_seeds_agree("contradicted", reference)
        return Verdict("cannot say", f"the interval reaches beyond +{MARGIN:g}")
    if effect.seeds < FEWEST_SEEDS:
        return Verdict("cannot say", _too_few(effect))
    if not effect.hi_seeds < MARGIN:
        return Verdict("cannot say", f"the interval over seeds reaches beyond +{MARGIN:g}")
    return Verdict("supported", "EHR does worse" if reference.direction < 0 else "")


def _if_seeds_agree(word: Word, *evidence: Evidence) -> Verdict:
    """The word where training again with other seeds says the same."""
    effects = [one.effect for one in evidence if one.effect is not None]
    fewest = min(effects, key=lambda effect: effect.seeds)
    if fewest.seeds < FEWEST_SEEDS:
        return Verdict("cannot say", _too_few(fewest))
    weakest = max(effect.p_seeds if not math.isnan(effect.p_seeds) else 1.0 for effect in effects)
    if not weakest < ALPHA:
        return Verdict("cannot say", f"over seeds p is {weakest:.3f}")
    return Verdict(word)


def _too_few(effect: Effect) -> str:
    return f"too few seeds ({effect.seeds}, at least {FEWEST_SEEDS} are needed)"


def _undecided(reference: Evidence) -> str:
    effect = reference.effect
    if effect is not None and effect.lo <= 0 <= effect.hi:
        return "the interval includes 0"
    return f"p (Holm) is not below {ALPHA:g}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
