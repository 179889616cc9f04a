"""Bootstrap of AUROC and AUPRC: ours beside scikit-learn called once per resample and label.

Scikit-learn gets the same resamples as sample weights. It runs on the first few and is extrapolated linearly,
unless --full. Every number it makes must equal ours to 1e-12.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import TypeVar

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from mmsn.labels import LABELS
from mmsn.statistics.bootstrap import Replicates, bootstrap, image_draws, patient_draws

T = TypeVar("T")
IMAGES, PATIENTS = 36_625, 6_000  # the paper's test split; about six images a patient
PREVALENCE = (0.20, 0.17, 0.04, 0.11, 0.03, 0.02, 0.03, 0.21, 0.37, 0.23, 0.01, 0.07, 0.04, 0.27)
MODELS = 5
TOLERANCE = 1e-12


def main() -> None:
    arguments = _arguments()
    resamples = arguments.resamples
    patients, targets, models = simulate(arguments.seed)
    drawn, drawing = timed(lambda: patient_draws(patients, resamples, arguments.seed))
    _, drawing_images = timed(lambda: image_draws(IMAGES, resamples, arguments.seed))
    _, first_call = timed(lambda: bootstrap(targets[:50, :1], models[0][:50, :1], drawn.of(np.arange(50))))
    runs = [timed(lambda scores=scores: bootstrap(targets, scores, drawn)) for scores in models]
    compared = resamples if arguments.full else min(resamples, arguments.compared)
    gap, seconds = compare(targets, models[0], drawn.weights[:compared], runs[0][0])
    if gap > TOLERANCE:
        raise SystemExit(f"differs from scikit-learn by {gap:.1e}, more than {TOLERANCE:g}")

    ours, peer = median(run[1] for run in runs), median(seconds) * resamples
    print(f"{IMAGES:,} images, {PATIENTS:,} patients, {len(LABELS)} labels, {resamples:,} resamples\n")
    _line("first call (compile, or read the cache)", first_call)
    _line("draw image-level resamples, once", drawing_images)
    _line("draw patient-level resamples, once", drawing)
    _line(f"ours, a model on those resamples (median of {MODELS})", ours)
    how = "measured" if compared == resamples else f"from the median of {compared} resamples"
    _line(f"scikit-learn, a model ({how})", peer)
    print(f"\nratio {peer / ours:,.0f} x; drawing counted for one model: {peer / (ours + drawing):,.0f} x")
    print(f"largest difference from scikit-learn in {compared} resamples {gap:.1e} (allowed {TOLERANCE:g})")


def simulate(seed: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Patients [N], targets [N, L] and each model's scores [N, L], quantised so that many are tied."""
    generator = np.random.default_rng(seed)
    patients = np.sort(generator.integers(PATIENTS, size=IMAGES))
    by_patient = generator.normal(size=(PATIENTS, len(LABELS)))[patients]
    liability = 0.7 * by_patient + 0.7 * generator.normal(size=by_patient.shape)
    threshold = [np.quantile(liability[:, k], 1 - share) for k, share in enumerate(PREVALENCE)]
    targets = (liability > threshold).astype(float)
    noise = generator.normal(size=(MODELS, *liability.shape))
    probabilities = [1 / (1 + np.exp(3 - liability - one)) for one in noise]
    return patients, targets, [np.round(one, 3).astype(np.float32) for one in probabilities]


def compare(
    targets: np.ndarray, scores: np.ndarray, weights: np.ndarray, ours: Replicates
) -> tuple[float, list[float]]:
    """Largest difference from scikit-learn, and its seconds for each of these resamples."""
    gap, seconds = 0.0, []
    for r, weight in enumerate(np.ascontiguousarray(weights)):
        start = time.perf_counter()
        theirs = [_scikit_learn(targets[:, k], scores[:, k], weight) for k in range(targets.shape[1])]
        seconds.append(time.perf_counter() - start)
        gap = max(gap, float(np.abs(theirs - np.stack([ours.auroc[r], ours.auprc[r]], axis=1)).max()))
    return gap, seconds


def _scikit_learn(target: np.ndarray, score: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    auroc = roc_auc_score(target, score, sample_weight=weight)
    return auroc, average_precision_score(target, score, sample_weight=weight)


def _line(what: str, seconds: float) -> None:
    print(f"{what:<64}{seconds:>9.2f} s")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--compared", type=int, default=10, help="resamples scikit-learn runs on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--full", action="store_true", help="run scikit-learn on every resample")
    return parser.parse_args()


if __name__ == "__main__":
    main()
