"""Scikit-learn's random forest, fitted on distinct rows and how often each of them is drawn."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mmsn.ehr.draws import Counts

TREES = 100  # scikit-learn's default, as released
FEW_ROWS = 1000  # below, a tree is grown faster than it is handed to a thread
R = TypeVar("R")

Kind = Literal["regressor", "classifier"]
Floats = NDArray[np.float64]


def tree_seeds(seed: int) -> list[int]:
    """The random states that a forest with `random_state=seed` gives its trees."""
    random = np.random.RandomState(seed)
    return [int(random.randint(np.iinfo(np.int32).max)) for _ in range(TREES)]


@dataclass(frozen=True)
class Forest:
    """`RandomForestRegressor(random_state=seed)` or the classifier, all other settings scikit-learn's defaults.

    Fitted on distinct rows it is the forest that scikit-learn fits on all rows, tree for tree: the sums behind a split
    are the same, to the last bit where the target holds whole numbers, as label codes and years do.
    """

    kind: Kind
    seed: int
    threads: int

    def predictor(self, features: Floats, target: Floats, counts: Counts) -> Callable[[Floats], Floats]:
        """Fit.

        Args:
            features: `[D, F]` distinct rows.
            target: `[D]`.
            counts: `[TREES, D]`, how often each tree draws each row.

        Returns:
            The fitted forest: `[M, F]` to `[M]`.
        """
        classes, codes = np.unique(target, return_inverse=True)
        labels = codes.astype(np.float64) if self.kind == "classifier" else target
        inputs = np.ascontiguousarray(features, dtype=np.float32)

        def fitted(seed: int, weights: NDArray[np.int32]) -> Any:
            tree = self._tree(seed)
            with config_context(skip_parameter_validation=True, assume_finite=True):
                return tree.fit(inputs, labels, sample_weight=weights.astype(np.float64), check_input=False)

        trees = list(self._each(fitted, tree_seeds(self.seed), counts, rows=len(inputs)))
        return lambda rows: self._predict(trees, classes, rows)

    def _tree(self, seed: int) -> Any:
        if self.kind == "classifier":
            return DecisionTreeClassifier(max_features="sqrt", random_state=seed)
        return DecisionTreeRegressor(max_features=1.0, random_state=seed)

    def _predict(self, trees: list[Any], classes: Floats, rows: Floats) -> Floats:
        inputs = np.ascontiguousarray(rows, dtype=np.float32)
        if self.kind == "regressor":
            return _mean(self._each(lambda tree: tree.predict(inputs, check_input=False), trees, rows=len(rows)))
        shares = _mean(self._each(lambda tree: tree.predict_proba(inputs, check_input=False), trees, rows=len(rows)))
        return classes[shares.argmax(axis=1)]

    def _each(self, work: Callable[..., R], *items: Iterable[Any], rows: int) -> Iterator[R]:
        if self.threads == 1 or rows < FEW_ROWS:
            yield from map(work, *items)
            return
        with ThreadPoolExecutor(self.threads) as pool:
            yield from pool.map(work, *items)


def _mean(parts: Iterator[Floats]) -> Floats:
    """Summed in the order of the trees, as scikit-learn does on one thread, so that threads change no bit."""
    total: Floats = next(parts).copy()
    for part in parts:
        total += part
    return total / TREES
