"""Two models' scores on the same images, many of them tied: what peers of our statistics are given."""

import numpy as np

SAMPLES = range(12)
LEVEL = 0.95


def two_models(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets [N] of 0 and 1, and the scores [N] of both models."""
    generator = np.random.default_rng(seed)
    target = (generator.random(60 + 20 * seed) < 0.2 + 0.02 * seed).astype(int)
    shared = generator.normal(size=target.size)
    first, second = (np.round(target + shared + generator.normal(size=target.size), 1) for _ in range(2))
    return target, first, second
