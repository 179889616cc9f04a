"""How often each test calls two equally good models different, at a nominal 5 %.

Patients have about seven images that resemble each other: in their label, in how hard they are for both
models, and in what each model alone gets wrong about the patient. The models differ by chance only, so every
'significant' result is a false positive; a valid test gives 5 %, within the simulation's own standard error.
"""

import argparse
import math

import numpy as np

from mmsn.statistics.bootstrap import Replicates, bootstrap, image_resamples, patient_resamples
from mmsn.statistics.delong import delong_test
from mmsn.statistics.metrics import auroc, average_precision
from mmsn.statistics.tests import paired_difference, student_t_test

LEVEL = 0.05
METRICS = {"auroc": auroc, "auprc": average_precision}
TESTS = {
    "published": "Student t-test on image-level bootstrap replicates (published)",
    "published, patients": "Student t-test on patient-level bootstrap replicates",
    "image": "paired bootstrap, image level",
    "delong": "DeLong, images independent",
    "patient": "paired bootstrap, patient level",
    "clustered": "DeLong, patients as clusters (Obuchowski)",
}


def main() -> None:
    arguments = _arguments()
    generator = np.random.default_rng(arguments.seed)
    found = [false_positives(generator, arguments.patients, arguments.resamples) for _ in range(arguments.studies)]
    print(f"False positives at a nominal {LEVEL:.0%} between two equally good models: {arguments.studies:,}")
    print(f"studies, {arguments.patients} patients, about 7 images each, {arguments.resamples:,} resamples\n")
    print(f"{'':<66}{'AUROC':>14}{'AUPRC':>15}")
    for test, name in TESTS.items():
        auroc_rate, auprc_rate = (_rate([study.get((test, metric)) for study in found]) for metric in METRICS)
        print(f"{name:<66}{auroc_rate:>14}{auprc_rate:>15}")


def simulate(generator: np.random.Generator, patients: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Patient [N], target [N, 1] and both models' scores [N, 1], the models exchangeable."""
    patient = np.repeat(np.arange(patients), 1 + generator.poisson(6, size=patients))
    ill = generator.random(patients) < 0.3
    changed = generator.random(patient.size) < 0.1  # a patient's label differs between studies now and then
    target = (ill[patient] ^ changed).astype(float)
    difficulty = 0.7 * generator.normal(size=patients)[patient]
    scores = [
        1.5 * target + difficulty + 0.5 * generator.normal(size=patients)[patient] + generator.normal(size=patient.size)
        for _ in range(2)
    ]
    return patient, target[:, None], [np.round(score, 2)[:, None] for score in scores]


def false_positives(generator: np.random.Generator, patients: int, resamples: int) -> dict[tuple[str, str], bool]:
    """One study: whether each test calls its two equally good models different."""
    patient, target, scores = simulate(generator, patients)
    seed = int(generator.integers(2**31))
    images, clusters = (
        image_resamples(patient.size, resamples, seed),
        patient_resamples(patient, resamples, seed),
    )
    by_image = [bootstrap(target, score, images, threads=1) for score in scores]
    by_patient = [bootstrap(target, score, clusters, threads=1) for score in scores]
    first, second = (score[:, 0] for score in scores)
    p = {
        ("delong", "auroc"): delong_test(target[:, 0], first, second).p,
        ("clustered", "auroc"): delong_test(target[:, 0], first, second, patient).p,
    }
    for metric, function in METRICS.items():
        observed = function(target[:, 0], first) - function(target[:, 0], second)
        image, cluster = _replicates(by_image, metric), _replicates(by_patient, metric)
        p["published", metric] = student_t_test(*image)
        p["published, patients", metric] = student_t_test(*cluster)
        p["image", metric] = paired_difference(*image, observed).p
        p["patient", metric] = paired_difference(*cluster, observed).p
    return {test: value < LEVEL for test, value in p.items()}


def _replicates(models: list[Replicates], metric: str) -> list[np.ndarray]:
    return [getattr(model, metric)[:, 0] for model in models]


def _rate(significant: list[bool | None]) -> str:
    if None in significant:  # DeLong's test is one of AUROC alone
        return "-"
    rate = float(np.mean(significant))
    error = math.sqrt(rate * (1 - rate) / len(significant))
    return f"{rate:.1%} ± {error:.1%}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
