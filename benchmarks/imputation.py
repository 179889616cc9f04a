"""Imputation of view and orientation: ours beside the released call, scikit-learn's IterativeImputer around a
RandomForestRegressor, on the published cohort's 376,201 rows and marginals.

With two columns both run on all rows. With six predictors (age, sex, ICU, class of the procedure beside view and
orientation) the plain call would take the better part of an hour: it runs on the first few thousand rows, where ours
must give the same, and its time is extrapolated linearly, which flatters it, as sorting grows faster. Where other
programs use the machine, compare processor seconds: they hardly change, seconds do.
"""

import argparse
import resource
import time
import warnings
from collections.abc import Callable
from statistics import median

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  (makes the next import possible)
from sklearn.impute import IterativeImputer

from mmsn.ehr.chained import DistinctRows, chained_imputation
from mmsn.ehr.forest import Forest

Matrix = NDArray[np.float64]
IMAGES = 376_201
VIEWS = np.array([147_173, 82_853, 35_133, 96_161])  # AP, LATERAL, LL, PA, as label codes 0 to 3
VIEW_UNKNOWN, ORIENTATION_UNKNOWN = 15_769 / 377_110, 41_100 / 376_221
SEED, ROUNDS = 24, 10  # released


def main() -> None:
    arguments = _arguments()
    everything = simulate(arguments.seed)
    ours(everything[:100, :2], arguments.threads)  # compiles, or reads the cache
    _two_columns(np.ascontiguousarray(everything[:, :2]), arguments)
    _six_predictors(everything, arguments)


def simulate(seed: int) -> Matrix:
    """View, orientation, age, sex, ICU and procedure `[N, 6]`: AP films are mostly portable, of the lying, often in an
    ICU."""
    random = np.random.default_rng(seed)
    view = random.choice(4, IMAGES, p=VIEWS / VIEWS.sum())
    lying = random.random(IMAGES) < np.array([0.82, 0.03, 0.02, 0.06])[view]
    age = random.normal(62 - 6 * (view == 3), 17).round().clip(16, 100)
    icu = random.random(IMAGES) < np.where(view == 0, 0.38, 0.06)
    portable = random.random(IMAGES) < np.array([0.85, 0.01, 0.01, 0.02])[view]
    procedure = np.where(random.random(IMAGES) < 0.01, 0, np.where(portable, 1, 2))  # other, portable, two views
    sex = random.random(IMAGES) < 196_446 / 376_221
    matrix = np.column_stack([view, lying, age, sex, icu, procedure]).astype(np.float64)
    matrix[random.random(IMAGES) < VIEW_UNKNOWN, 0] = np.nan
    matrix[random.random(IMAGES) < ORIENTATION_UNKNOWN, 1] = np.nan
    return matrix


def ours(matrix: Matrix, threads: int) -> Matrix:
    return chained_imputation(matrix, np.ones(len(matrix), dtype=bool), Forest("regressor", SEED, threads), ROUNDS)


def plain(matrix: Matrix, threads: int) -> Matrix:
    forest = RandomForestRegressor(random_state=SEED, n_jobs=threads)
    imputer = IterativeImputer(estimator=forest, max_iter=ROUNDS, random_state=SEED)
    with warnings.catch_warnings(action="ignore"):  # that it still changes after ten rounds
        return imputer.fit_transform(matrix)


def _two_columns(matrix: Matrix, arguments: argparse.Namespace) -> None:
    runs = [timed(lambda: ours(matrix, arguments.threads)) for _ in range(arguments.repeats)]
    seconds, busy, memory = median(run[1] for run in runs), median(run[2] for run in runs), _peak_memory()
    theirs = [timed(lambda: plain(matrix, arguments.threads)) for _ in range(arguments.plain_repeats)]
    peer, peer_busy = median(run[1] for run in theirs), median(run[2] for run in theirs)
    _heading("view and orientation", matrix)
    _line(f"ours (median of {arguments.repeats})", seconds, busy, f"peak memory {memory:.1f} GB")
    ratios = f"{peer / seconds:,.0f} x ours, {peer_busy / busy:,.0f} x its CPU"
    _line(f"scikit-learn (median of {arguments.plain_repeats})", peer, peer_busy, ratios)
    _compare(runs[0][0], theirs[0][0])


def _six_predictors(matrix: Matrix, arguments: argparse.Namespace) -> None:
    _, seconds, busy = timed(lambda: ours(matrix, arguments.threads))
    memory, sample = _peak_memory(), matrix[: arguments.sample]
    theirs, sampled, peer_busy = timed(lambda: plain(sample, arguments.threads))
    share = len(matrix) / len(sample)
    _heading("view and orientation from six predictors", matrix)
    _line("ours, all rows", seconds, busy, f"peak memory {memory:.1f} GB")
    ratios = f"all rows at that rate {sampled * share:,.0f} s, {peer_busy * share / busy:,.0f} x our CPU"
    _line(f"scikit-learn, {len(sample):,} rows", sampled, peer_busy, ratios)
    _compare(ours(sample, arguments.threads), theirs)


def _compare(one: Matrix, other: Matrix) -> None:
    view_and_orientation = [0, 1]
    rounded = [values[:, view_and_orientation].round() for values in (one, other)]
    apart = int((rounded[0] != rounded[1]).sum())
    said = "the same" if apart == 0 else f"{apart} differ"
    print(f"  {'rounded values':<34}{said:>12}   largest gap {np.abs(one - other).max():.1e}")
    if apart:
        raise SystemExit(f"{apart} imputed values differ from scikit-learn's")


def _heading(what: str, matrix: Matrix) -> None:
    print(f"\n{len(matrix):,} rows, {len(DistinctRows.of(matrix).values):,} of them distinct: {what}")


def _line(what: str, seconds: float, busy: float, note: str) -> None:
    print(f"  {what:<34}{seconds:>10.2f} s{busy:>10.2f} CPU s   {note}", flush=True)


def _peak_memory() -> float:
    """GB this process has held so far (the two ways run in one process: read before the plain call runs)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def timed(work: Callable[[], Matrix]) -> tuple[Matrix, float, float]:
    """The result, seconds, processor seconds of all threads."""
    start, busy = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - start, time.process_time() - busy


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="runs of ours with two columns")
    parser.add_argument("--plain-repeats", type=int, default=1, help="runs of scikit-learn with two columns")
    parser.add_argument("--sample", type=int, default=2000, help="rows of scikit-learn's run with six predictors")
    parser.add_argument("--threads", type=int, default=2, help="threads of both forests")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
