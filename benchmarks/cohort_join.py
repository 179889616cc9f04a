"""The cohort join, CSV to Parquet: ours beside the row loops of the released notebook, on synthetic tables.

`mmsn synth --tables-only` writes MIMIC-IV 1.0 and MIMIC-CXR-JPG tables of the asked-for number of images (377,110 are
MIMIC-CXR's), with MIMIC-IV in proportion; they are kept in benchmarks/cached/ for the next run. Each run of ours is a
fresh process: reading and checking the six tables, joining, assigning MedFuse's split, comparing the linkage rules,
writing images.parquet and exclusions.parquet. Start-up of Python and imports are left out, as they are for the peer.
Where other programs use the machine, seconds say little: compare the fastest runs and processor seconds.

`--scale` runs ten times the images too, and stops with an error where that takes more than 12 times as long or 4 GB.

The peer does what `EHR-data-extract.ipynb` of the released code does after its tables are read: for every image it
filters the admissions, then the ICU stays, of the image's patient and walks through them. It runs on a random sample
of images against the full tables, and its time for all of them is that of the sample times images over sample: every
image filters the same tables, so the loop is linear in images. Both must agree on the sample.
"""

import argparse
import gzip
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

import pandas as pd

import mmsn
from mmsn.cohort.settings import CohortSettings
from mmsn.cohort.sources import Tables, find_tables
from mmsn.files import read_table
from mmsn.synthetic.dataset import write_dataset
from mmsn.synthetic.settings import SynthSettings

WORK = Path(__file__).parent / "cached"
VARIABLES = Path(mmsn.__file__).parent / "ehr" / "variables"
SIX = ("sex", "age", "view", "pos", "mort", "icu")
MIMIC_IMAGES, MIMIC_PATIENTS = 377_110, 65_379
ADMISSION_TYPES = {"subject_id": int, "admittime": object, "dischtime": object, "hospital_expire_flag": int}
STAY_TYPES = {"subject_id": int, "intime": object, "outtime": object}
NOTEBOOK_MINUTES = 12.6
"""8:13 for mortality and 4:24 for the ICU, by the progress bars saved in the notebook."""
SCALE, SLOWER, LARGEST_MB = 10, 12, 4096
"""Ten times the images may take at most so many times as long, and so much memory."""


def main() -> None:
    arguments = _arguments()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{os.cpu_count()} cores, {arguments.threads} used; load before: {load}\n")
    print(f"{'images':>10} {'tables':>8} {'median s':>9} {'fastest s':>10} {'CPU s':>6} {'peak MB':>8}")
    sizes = [arguments.rows, SCALE * arguments.rows] if arguments.scale else [arguments.rows]
    medians = {
        suffix: [timed(images, suffix, arguments.threads, arguments.repeats) for images in sizes]
        for suffix in (".csv", ".csv.gz")
    }
    if arguments.scale:
        check_scaling(medians)
    else:
        peer(arguments.rows, arguments.sample, arguments.threads, medians[".csv"][0][0])


def timed(images: int, suffix: str, threads: int, repeats: int) -> tuple[float, float]:
    """Time our runs on the tables of so many images, print a line: the median of seconds, the peak of memory in MB."""
    seconds, processor, peak = ours(tables_of(images, suffix), threads, repeats)
    row = f"{images:>10,} {suffix:>8} {median(seconds):>9.2f} {min(seconds):>10.2f} {processor:>6.1f} {peak:>8,.0f}"
    print(row, flush=True)
    return median(seconds), peak


def check_scaling(medians: dict[str, list[tuple[float, float]]]) -> None:
    """Print how much longer ten times the images take; fail where it is too long or too large."""
    too_much = []
    for suffix, ((small, _), (large, peak)) in medians.items():
        print(f"{suffix}: {SCALE} times the images take {large / small:.1f} times as long (at most {SLOWER})"
              f" and {peak:,.0f} MB (at most {LARGEST_MB:,})")  # fmt: skip
        if large > SLOWER * small or peak > LARGEST_MB:
            too_much.append(suffix)
    if too_much:
        raise SystemExit(f"too slow or too large: {', '.join(too_much)}")


def tables_of(images: int, suffix: str) -> Tables:
    """The synthetic tables, made where they are not there yet; unpacked for plain CSV."""
    folder = WORK / f"cohort-{images}"
    patients = round(images * MIMIC_PATIENTS / MIMIC_IMAGES)
    settings = SynthSettings(images=images, patients=patients, tables_only=True, mimic_iv_version="1.0")
    write_dataset(settings, folder)
    plain = WORK / f"cohort-{images}-plain"
    for packed in folder.glob("mimic-*/**/*.csv.gz"):
        unpacked = plain / packed.relative_to(folder).with_suffix("")
        if not unpacked.exists():
            unpacked.parent.mkdir(parents=True, exist_ok=True)
            with gzip.open(packed) as source, unpacked.open("wb") as target:
                shutil.copyfileobj(source, target)
    root = plain if suffix == ".csv" else folder
    lists = (folder / "medfuse" / "validation.csv", folder / "medfuse" / "test.csv")
    return find_tables(root / "mimic-iv", root / "mimic-cxr-jpg", CohortSettings(), *lists)


def ours(tables: Tables, threads: int, repeats: int) -> tuple[list[float], float, float]:
    """Seconds of each run, the median of processor seconds, the largest peak of memory in MB; a fresh process each."""
    spawn = multiprocessing.get_context("spawn")
    runs = []
    for _ in range(repeats):
        with ProcessPoolExecutor(1, mp_context=spawn) as fresh:
            runs.append(fresh.submit(run, tables, threads).result())
    seconds, processor, peaks = zip(*runs, strict=True)
    return list(seconds), median(processor), max(peaks)


def run(tables: Tables, threads: int, keep: Path | None = None) -> tuple[float, float, float]:
    """One cohort, CSV to Parquet: seconds, processor seconds of all threads, this process's peak of memory in MB."""
    from mmsn.cohort.build import build
    from mmsn.cohort.schema import DISTINCT, ENCODINGS
    from mmsn.files import write_table

    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        start, busy = time.perf_counter(), time.process_time()
        cohort = build(tables, {name: VARIABLES / f"{name}.sql" for name in SIX}, CohortSettings(), threads)
        write_table(keep or Path(folder) / "images.parquet", cohort.images, distinct=DISTINCT, encodings=ENCODINGS)
        write_table(Path(folder) / "exclusions.parquet", cohort.exclusions, distinct=DISTINCT, encodings=ENCODINGS)
        seconds, processor = time.perf_counter() - start, time.process_time() - busy
    return seconds, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peer(images: int, sample: int, threads: int, ours_seconds: float) -> None:
    """Time the row loops on a sample, print the ratio, and compare what both say."""
    tables = tables_of(images, ".csv")
    cohort_file = WORK / f"cohort-{images}.parquet"
    run(tables, threads, keep=cohort_file)
    cohort = read_table(cohort_file, ["dicom_id", "mort", "icu"]).to_pandas().set_index("dicom_id")
    columns = ["dicom_id", "subject_id", "StudyDate"]
    metadata = pd.read_csv(tables.metadata, usecols=columns).query("dicom_id in @cohort.index")
    some = metadata.sample(min(sample, len(metadata)), random_state=0)
    admissions = pd.read_csv(tables.admissions, usecols=ADMISSION_TYPES.keys(), dtype=ADMISSION_TYPES)
    stays = pd.read_csv(tables.icustays, usecols=STAY_TYPES.keys(), dtype=STAY_TYPES)

    start = time.perf_counter()
    died, in_icu = row_loops(some, admissions, stays)
    seconds = time.perf_counter() - start
    whole = seconds * images / len(some)
    print(
        f"\nrow loops, {len(some):,} of {images:,} images against all {len(admissions):,} admissions: {seconds:.1f} s,"
    )
    print(f"so {whole / 60:.1f} min for all (linear in images); the notebook's own log says {NOTEBOOK_MINUTES} min")
    print(f"ratio {whole / ours_seconds:,.0f} to the median of plain CSV")
    there = cohort.loc[some["dicom_id"]]
    agree = ((there["mort"] == "died").to_numpy() == died) & ((there["icu"] == "icu").to_numpy() == in_icu)
    print(f"mortality and ICU agree on {agree.sum():,} of {len(some):,} ({sum(died)} died, {sum(in_icu)} in ICU)")
    if not agree.all():
        raise SystemExit("the join and the row loops disagree")


def row_loops(images: pd.DataFrame, admissions: pd.DataFrame, stays: pd.DataFrame) -> tuple[list[bool], list[bool]]:
    """Mortality and ICU of each image the released way: filter the patient's rows, walk them, keep the last answer."""
    died, in_icu = [], []
    for _, image in images.iterrows():
        answer = False
        for _, row in admissions[admissions["subject_id"] == image["subject_id"]].iterrows():
            if day(row["admittime"]) <= image["StudyDate"] <= day(row["dischtime"]):
                answer = row["hospital_expire_flag"] == 1
        died.append(answer)
    for _, image in images.iterrows():
        answer = False
        for _, row in stays[stays["subject_id"] == image["subject_id"]].iterrows():
            if day(row["intime"]) <= image["StudyDate"] <= day(row["outtime"]):
                answer = True
        in_icu.append(answer)
    return died, in_icu


def day(moment: str) -> int:
    """2180-05-06 23:15:00 as 21800506."""
    return int(moment[:10].replace("-", ""))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=MIMIC_IMAGES, help="images; MIMIC-CXR's number where not given")
    parser.add_argument("--scale", action="store_true", help="also ten times the images; no peer then")
    parser.add_argument("--repeats", type=int, default=5, help="runs of ours")
    parser.add_argument("--threads", type=int, default=2, help="processor cores for ours")
    parser.add_argument("--sample", type=int, default=2000, help="images that the peer's row loops take")
    return parser.parse_args()


if __name__ == "__main__":
    main()
