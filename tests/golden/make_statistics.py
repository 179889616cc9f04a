"""Make `statistics.json` of this folder from MLstatkit 0.1.91 and confidenceinterval 1.0.5, in a virtual environment:

    python -m venv ../peers && ../peers/bin/pip install MLstatkit==0.1.91 confidenceinterval==1.0.5
    ../peers/bin/python -m tests.golden.make_statistics

The tests read the file and need neither package.
"""

import json
from pathlib import Path

import numpy as np

from tests.golden.two_models import LEVEL, SAMPLES, two_models

FILE = Path(__file__).with_name("statistics.json")


def main() -> None:
    import confidenceinterval
    from MLstatkit import Delong_test

    answers = []
    for seed in SAMPLES:
        target, first, second = two_models(seed)
        z, p, *_ = Delong_test(target, first, second)
        one, interval = confidenceinterval.roc_auc_score(list(target), list(first), confidence_level=LEVEL)
        answers.append(
            {
                "seed": seed,
                "delong_z": float(np.ravel(z)[0]),
                "delong_p": float(np.ravel(p)[0]),
                "auroc": float(one),
                "auroc_interval": [float(end) for end in interval],
            }
        )
    FILE.write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")
    FILE.chmod(0o644)


if __name__ == "__main__":
    main()
