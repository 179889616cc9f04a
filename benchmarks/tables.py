"""`snakemake tables` on a finished full study: every table from predictions alone, then again from the statistics.

Writes a folder in which everything before the tables is there: predictions of every run of config.yaml at full size (as
drawn, not trained), cohort tables, and empty files for encoders and pixels, which no table reads. Then it runs the real
`snakemake tables` on two cores, once with nothing but predictions, once with the statistics that the first made, and
times both by rule. Tables about embeddings come from stored embeddings, not from predictions: they stay.
"""

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

from mmsn.console import progress, set_up_logging
from mmsn.evaluation.data import LabelledImages
from mmsn.evaluation.tables import predictions_table
from mmsn.files import read_table, write_table
from mmsn.labels import LABELS
from mmsn.lineage import HEAD_OF, Split
from mmsn.methods import method_from_id
from mmsn.study import Study, load_study

ROOT = Path(__file__).parents[1]
IMAGES, LABELLED_TEST, PATIENTS = 376_201, 36_625, 65_152  # MIMIC-CXR after filters; the paper's test split
TEST_PATIENTS = {"mimic-cxr": 6_343, "nih-14": 2_797, "chexpert": 500}  # MIMIC-CXR: its 5.77 images a patient
TEST_IMAGES = {"mimic-cxr": LABELLED_TEST, "nih-14": 15_735, "chexpert": 668}
PREVALENCE = (0.20, 0.17, 0.04, 0.11, 0.03, 0.02, 0.03, 0.21, 0.37, 0.23, 0.01, 0.07, 0.04, 0.27)
IN_PLACE = ("embedding_tables", "measure_embeddings")  # from stored embeddings
RUN_FIRST = ("cohort/mimic-cxr/flow.json", "cohort/chexpert/flow.json", "cohort/nih-14/flow.json", "study.yaml")
RUN_FIRST += ("imputation/imputation.json",)
REPORT = ".*statistics|.*_tables?|opening|measure_groups|tables"
OLD = 1_000_000_000  # seconds: before anything that the run writes


@dataclass(frozen=True)
class TestSet:
    """One data set's test images, and what makes some of them look ill."""

    images: LabelledImages
    liability: np.ndarray
    """[N, L]"""

    @classmethod
    def drawn(cls, name: str, generator: np.random.Generator) -> "TestSet":
        """As many images and patients as the data set has; few patients have many images."""
        count, patients = TEST_IMAGES[name], TEST_PATIENTS[name]
        share = generator.gamma(1.0, size=patients)
        of = np.concatenate([np.arange(patients), generator.choice(patients, count - patients, p=share / share.sum())])
        place = np.sort(of)
        by_patient = generator.normal(size=(patients, len(LABELS)))[place]
        liability = 0.7 * by_patient + 0.7 * generator.normal(size=by_patient.shape)
        threshold = [np.quantile(liability[:, k], 1 - share) for k, share in enumerate(PREVALENCE)]
        words = generator.integers(2**32, size=(count, 5))
        dicom_ids = np.array(["-".join(f"{word:08x}" for word in row) for row in words], dtype=object)
        subject_ids = (10_000_000 + 3 * place).astype(np.int64)
        targets = (liability > threshold).astype(np.float32)
        return cls(LabelledImages(dicom_ids, subject_ids, targets, np.arange(count)), liability)

    def predictions(self, generator: np.random.Generator) -> pa.Table:
        """Of a model about as good as another."""
        noise = generator.standard_normal(self.liability.shape, dtype=np.float32)
        scores = 1 / (1 + np.exp(2.5 - 1.2 * self.liability - 1.3 * noise))
        return predictions_table(self.images, scores.astype(np.float32))


class FullStudy:
    """A folder with config.yaml's study up to its predictions."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.results = folder, folder / "results"

    def make(self) -> None:
        """Write everything that the tables come from."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("Snakefile", "config.yaml", "rules", "profiles", "envs", "workflow"):
            (self.folder / name).symlink_to(ROOT / name)
        data = {"mimic_iv": "data/mimic-iv", "mimic_cxr": "data/mimic-cxr-jpg", "medfuse_validate": None}
        data |= {"medfuse_test": None, "chexpert": "data/chexpert", "nih_14": "data/nih-14"}
        overlay = {"data": data, "cohort": {"split": "official"}}
        (self.folder / "data.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
        self.run("-m", "mmsn", "synth", "--output", "data", "--patients", "120", "--side", "32", "--seed", "1")
        self.snakemake(*(f"results/{name}" for name in RUN_FIRST))
        generator = np.random.default_rng(0)
        sets = {name: TestSet.drawn(name, generator) for name in TEST_IMAGES}
        self.write_cohort(sets["mimic-cxr"], generator)
        files = list(self.files_before_tables())
        for path, _ in progress(files, "files written"):
            self.write(path, sets, generator)
        shutil.rmtree(self.folder / ".snakemake")  # what it remembers of the few rules that were run
        for number, name in enumerate(("data", "results")):
            for path in (self.folder / name).rglob("*"):
                os.utime(path, (OLD + number, OLD + number))

    @cached_property
    def study(self) -> Study:
        """As resolved."""
        return load_study(yaml.safe_load((self.results / "study.yaml").read_text(encoding="utf-8")))

    @cached_property
    def splits(self) -> dict[str, dict[str, str]]:
        """Metadata by data set."""
        tables = {name: self.results / f"cohort/{name}/images.parquet" for name in TEST_IMAGES}
        return {name: Split.of_file(path).metadata for name, path in tables.items()}

    def write_cohort(self, test: TestSet, generator: np.random.Generator) -> None:
        """The small cohort's rows drawn until there are as many as MIMIC-CXR has; the test images are those judged."""
        path = self.results / "cohort/mimic-cxr/images.parquet"
        small = read_table(path)
        rows = small.take(generator.integers(len(small), size=IMAGES)).to_pandas()
        ids = np.array([f"{number:044x}" for number in range(IMAGES)], dtype=object)
        subjects = 20_000_000 + generator.integers(PATIENTS, size=IMAGES)
        ids[:LABELLED_TEST], subjects[:LABELLED_TEST] = test.images.dicom_ids, test.images.subject_ids
        split = np.where(np.arange(IMAGES) < LABELLED_TEST, "test", "train")
        rows = rows.assign(dicom_id=ids, subject_id=subjects, split=split, labelled=True)
        write_table(path, pa.Table.from_pandas(rows, schema=small.schema, preserve_index=False))

    def files_before_tables(self) -> Iterator[tuple[Path, str]]:
        """What Snakemake would have to make, by the rule that makes it, without what this benchmark measures."""
        said = self.snakemake("tables", "--summary").stdout
        lines = [line.split("\t") for line in said.splitlines() if line.startswith("results/")]
        for name, _, rule, *_ in lines:
            if not (self.folder / name).exists() and (rule in IN_PLACE or not re.fullmatch(REPORT, rule)):
                yield self.folder / name, rule

    def write(self, path: Path, sets: dict[str, TestSet], generator: np.random.Generator) -> None:
        """Predictions at full size; of other files no table reads more than that they are there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name != "predictions.parquet":
            path.write_text("-\n", encoding="utf-8")
            return
        name = next(part for part in path.parts if part in TEST_IMAGES)
        parts = path.relative_to(self.results).parts
        metadata = self.splits[name] | ({HEAD_OF: "mimic-cxr"} if name == "chexpert" else {})
        if parts[1] != "readings":
            write_table(path, sets[name].predictions(generator), metadata)
            return
        tables = []
        for reading in self.readings_of(parts[-3]):
            table = sets[name].predictions(generator)
            field = pa.field("reading", pa.string(), nullable=False)
            tables.append(table.add_column(0, field, pa.repeat(reading, len(table))))
        write_table(path, pa.concat_tables(tables), metadata)

    def readings_of(self, method_id: str) -> list[str]:
        """Of one method's encoder."""
        method = method_from_id(method_id)
        sets = self.study.judged_with_ehr("linear").get(method, ())
        tokens = self.study.readings.tokens if method in self.study.read_further() else ()
        return [*tokens, *(f"class+ehr.{name}" for name in sets)]

    def forget_tables(self, statistics: bool) -> None:
        """Remove what `snakemake tables` writes, but for the tables about embeddings; the statistics only if asked."""
        for name in ("logs", "benchmarks", "opening.rst", *(["statistics"] if statistics else [])):
            target = self.results / name
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        for path in (self.results / "tables").glob("*"):
            if not path.name.startswith(("representation_", "attributes_")):
                path.unlink()
        for path in (self.results / "representation").rglob("groups_*.parquet") if statistics else ():
            path.unlink()

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The workflow on two cores."""
        return self.run("-m", "snakemake", "--cores", "2", *arguments, "--configfile", "data.yaml")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Python in the folder."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow"), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        return done


def main() -> None:
    arguments = _arguments()
    set_up_logging(None)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="mmsn-tables-"))
    study = FullStudy(folder)
    if not (folder / "results").exists():
        study.make()
    for _ in range(arguments.times):
        for statistics, what in ((True, "from predictions alone"), (False, "from the statistics")):
            study.forget_tables(statistics)
            before, start = _cpu_seconds(), time.perf_counter()
            said = study.snakemake("tables")
            wall, cpu = time.perf_counter() - start, _cpu_seconds() - before
            print(f"{what}: {report(study, said.stdout + said.stderr, wall, cpu)}\n", flush=True)
    if not arguments.folder:
        shutil.rmtree(folder)


def report(study: FullStudy, said: str, wall: float, cpu: float) -> str:
    """Seconds by rule, from Snakemake's benchmark files, and of the whole command."""
    seconds: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for path in sorted((study.results / "benchmarks").rglob("*.tsv")):
        row = pd.read_csv(path, sep="\t", na_values="-").iloc[0]
        seconds[_rule(path.relative_to(study.results / "benchmarks"))].append((row["s"], row["cpu_time"]))
    files = sum(1 for _ in study.results.glob("evaluate/**/predictions.parquet"))
    size = sum(path.stat().st_size for path in study.results.glob("evaluate/**/predictions.parquet")) / 1e9
    jobs = len(re.findall(r"^Finished jobid", said, flags=re.MULTILINE))
    lines = [
        f"{files:,} files of predictions, {size:.1f} GB; {study.study.statistics.resamples:,} resamples; {jobs} jobs",
        f"{'what':<36}{'jobs':>6}{'wall s':>10}{'CPU s':>10}",
        *(
            f"{rule:<36}{len(own):>6}{sum(one[0] for one in own):>10.1f}{sum(one[1] for one in own):>10.1f}"
            for rule, own in sorted(seconds.items(), key=lambda item: -sum(one[0] for one in item[1]))
        ),
        f"{'snakemake --cores 2 tables':<36}{'':>6}{wall:>10.1f}{cpu:>10.1f}",
    ]
    return "\n".join(lines)


def _rule(path: Path) -> str:
    """What a benchmark file is of: its folder, and the beginning of its name where a folder holds several kinds."""
    within = path.parts[1] if path.parts[0] == "statistics" and path.parts[1] in ("low-data", "variants") else ""
    stem = path.stem.split("_")[0] if path.parts[0] in ("tables", "representation") else within
    return f"{path.parts[0]} {stem}".strip()


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="make the study here and keep it, or use the one that is there")
    parser.add_argument("--times", type=int, default=1, help="how often the tables are made")
    return parser.parse_args()


if __name__ == "__main__":
    main()
