"""What a report labeller makes of the findings: 1, 0, -1 and blanks, in the published shares.

Labels of 1 are right. A label of -1 (uncertain) stands for mild findings and for near misses, half each; 0 (denied)
and blank are absences. So `-1 -> 0` and `-1 -> 1` are both wrong for half of the uncertain labels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmsn.labels import LABELS
from mmsn.synthetic import published
from mmsn.synthetic.exact import Integers, Numbers, choose
from mmsn.synthetic.model import FINDINGS, Findings

BLANK = np.int8(9)
"""Code of an empty cell."""
Codes = NDArray[np.int8]
"""Labels [S, 14] in the order of `LABELS`: 1, 0, -1 or `BLANK`."""
DISAGREEMENT = 0.03
"""Share of cells in which NegBio's table differs from CheXpert's."""


@dataclass(frozen=True)
class Prevalence:
    """Numbers of studies per finding [13], in the order of `FINDINGS`."""

    positive: Integers
    denied: Integers
    uncertain: Integers

    @property
    def present(self) -> Integers:
        """Studies that really show the finding: the positive ones and half of the uncertain ones."""
        out: Integers = self.positive + self.uncertain // 2
        return out


def prevalence(studies: int, floor: float) -> Prevalence:
    """The published shares of `studies`, none of the positive ones below `floor` per cent."""
    shares = np.array([published.LABEL_SHARES[name] for name in FINDINGS])
    shares[:, 0] = np.maximum(shares[:, 0], floor)
    counts = np.round(shares * studies / 100).astype(np.int64)
    return Prevalence(counts[:, 0], counts[:, 1], counts[:, 2])


def draw_labels(rng: np.random.Generator, findings: Findings, wanted: Prevalence) -> Codes:
    """Label all studies."""
    codes = np.full((len(findings.present), len(LABELS)), BLANK)
    for number, name in enumerate(FINDINGS):
        codes[:, LABELS.index(name)] = _label(rng, findings, number, wanted)
    others = [LABELS.index(name) for name in FINDINGS if name != "Support Devices"]
    nothing = ~((codes[:, others] == 1) | (codes[:, others] == -1)).any(1)
    codes[nothing, LABELS.index("No Finding")] = 1
    return codes


def _label(rng: np.random.Generator, findings: Findings, number: int, wanted: Prevalence) -> Codes:
    present = findings.present[:, number]
    column = np.where(present, np.int8(1), BLANK)
    doubt = findings.liability[:, number] + rng.normal(0, 0.5, len(present))
    mild = int(wanted.uncertain[number]) // 2
    column[_extreme(np.where(present, -doubt, -np.inf), mild)] = -1
    column[_extreme(np.where(present, -np.inf, doubt), int(wanted.uncertain[number]) - mild)] = -1
    column[choose(rng, column == BLANK, int(wanted.denied[number]))] = 0
    return column


def _extreme(score: Numbers, count: int) -> Integers:
    """Rows of the `count` largest scores that are not -inf."""
    order = np.argsort(-score, kind="stable")[:count]
    return order[np.isfinite(score[order])]


def radiologist(findings: Findings) -> Codes:
    """What a radiologist makes of the findings: 1 where they are, blank where they are not."""
    codes = np.full((len(findings.present), len(LABELS)), BLANK)
    for number, name in enumerate(FINDINGS):
        codes[findings.present[:, number], LABELS.index(name)] = 1
    codes[findings.none, LABELS.index("No Finding")] = 1
    return codes


def second_opinion(rng: np.random.Generator, codes: Codes) -> Codes:
    """Another labeller's table: filled cells differ here and there (a 1 turns -1, a 0 blank, a -1 either)."""
    other = codes.copy()
    differs = (codes != BLANK) & (rng.uniform(size=codes.shape) < DISAGREEMENT)
    toss = rng.uniform(size=codes.shape) < 0.5
    other[differs & (codes == 1)] = -1
    other[differs & (codes == 0)] = BLANK
    other[differs & (codes == -1) & toss] = 1
    other[differs & (codes == -1) & ~toss] = BLANK
    kept = codes[:, LABELS.index("No Finding")]
    other[:, LABELS.index("No Finding")] = kept
    return other
