"""Laboratory values as EHR variables, from tables of any size: ours beside pandas, on generated labevents.

`hosp/labevents` of the asked-for sizes is generated for the synthetic cohort of benchmarks/cohort_join.py (377,110
images), in random order, which no index and no sorting helps with; kept in benchmarks/cached/. Each run is a fresh
process that builds the whole cohort, CSV to images.parquet: first with the six base variables, then with the last
creatinine and the last haemoglobin before each study besides. What the second takes more is theirs; DuckDB streams the
file once for each of the two, both at once on two cores, and memory must not depend on its size.

The peer reads the columns it needs into memory with pandas, filters them and joins with merge_asof: the usual way. Both
must give the same values.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import pandas as pd

from cohort_join import MIMIC_IMAGES, SIX, VARIABLES, WORK, tables_of
from mmsn.cohort.settings import CohortSettings
from mmsn.cohort.sources import Tables
from mmsn.files import read_table
from mmsn.synthetic.measurements import TESTS, Samples, labevents
from mmsn.synthetic.tables import append_csv

LABORATORY = {"creatinine": (50912, 0.1, 20.0), "haemoglobin": (51222, 1.0, 25.0)}
"""Item and plausible range, for the peer."""
BATCH = 1_000_000
DAY = 86_400


class Measured(NamedTuple):
    """One run in a process of its own."""

    seconds: float
    processor: float
    peak: float
    """MB."""


def main() -> None:
    arguments = _arguments()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{os.cpu_count()} cores, {arguments.threads} used; load before: {load}\n")
    print(
        f"{'labevents':>11} {'file':>8} {'GB':>5} {'median s':>9} {'CPU s':>6} {'added s':>8} {'rows/s':>11} {'MB':>6}"
    )
    tables = tables_of(arguments.images, ".csv")
    base = ours(tables, arguments)
    print(
        f"{'none':>11} {'':>8} {'':>5} {base.seconds:>9.1f} {base.processor:>6.1f} {'':>8} {'':>11} {base.peak:>6,.0f}"
    )
    for rows in arguments.rows:
        for suffix in (".csv", ".csv.gz"):
            path = labevents_of(tables, rows, suffix)
            run = ours(replace(tables, streamed={"hosp/labevents": path}), arguments)
            added = max(run.seconds - base.seconds, 0.1)
            size = path.stat().st_size / 1e9
            print(
                f"{rows:>11,} {suffix:>8} {size:>5.2f} {run.seconds:>9.1f} {run.processor:>6.1f} {added:>8.1f} "
                f"{2 * rows / added:>11,.0f} {run.peak:>6,.0f}",
                flush=True,
            )
    compare(replace(tables, streamed={"hosp/labevents": labevents_of(tables, max(arguments.rows), ".csv")}), arguments)


def labevents_of(tables: Tables, rows: int, suffix: str) -> Path:
    """A file of `rows` results within 10 days before to 3 days after random studies; made where it is not there yet."""
    path = WORK / f"labevents-{rows}" / f"labevents{suffix}"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"unfinished{suffix}")
    rng = np.random.default_rng(rows)
    patient, moment = _studies(tables)
    with append_csv(temporary) as append:
        for first in range(0, rows, BATCH):
            count = min(BATCH, rows - first) // len(TESTS)
            study = rng.integers(0, len(patient), count)
            when = moment[study] - rng.integers(-3 * DAY, 10 * DAY, count)
            samples = Samples(patient[study], np.zeros(count, np.int64), when)
            append(labevents(rng, samples, "2.2", first))
    temporary.replace(path)
    return path


def _studies(tables: Tables) -> tuple[np.ndarray, np.ndarray]:
    """Patient and second since 1970 of every image."""
    metadata = pd.read_csv(tables.metadata, usecols=["subject_id", "StudyDate"])
    day = pd.to_datetime(metadata["StudyDate"].astype(str), format="%Y%m%d").to_numpy().astype("datetime64[s]")
    return metadata["subject_id"].to_numpy(), day.astype(np.int64) + DAY // 2


def ours(tables: Tables, arguments: argparse.Namespace) -> Measured:
    """Medians of seconds and processor seconds, largest peak."""
    runs = [in_fresh_process(run, tables, arguments.threads, None) for _ in range(arguments.repeats)]
    seconds, processor, peaks = zip(*runs, strict=True)
    return Measured(median(seconds), median(processor), max(peaks))


def in_fresh_process(work, *arguments) -> Measured:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(work, *arguments).result()


def run(tables: Tables, threads: int, keep: Path | None) -> Measured:
    """One cohort; with the laboratory's variables where there is a table of theirs."""
    from mmsn.cohort.build import build
    from mmsn.files import write_table

    names = (*SIX, *LABORATORY) if tables.streamed else SIX
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        start, busy = time.perf_counter(), time.process_time()
        cohort = build(tables, {name: VARIABLES / f"{name}.sql" for name in names}, CohortSettings(), threads)
        write_table(keep or Path(folder) / "images.parquet", cohort.images)
        return _measured(start, busy)


def compare(tables: Tables, arguments: argparse.Namespace) -> None:
    """Run the peer on the largest size, print what it takes, and compare every value."""
    ours_file, theirs_file = (WORK / f"labevents-{name}.parquet" for name in ("ours", "pandas"))
    run(tables, arguments.threads, ours_file)
    peer = in_fresh_process(merge_asof, tables, ours_file, theirs_file)
    print(
        f"\npandas, {max(arguments.rows):,} rows of plain CSV, the two variables alone: {peer.seconds:.1f} s, "
        f"{peer.processor:.1f} CPU s, peak {peer.peak:,.0f} MB"
    )
    mine, theirs = (read_table(file, list(LABORATORY)).to_pandas() for file in (ours_file, theirs_file))
    apart = int((~((mine == theirs) | (mine.isna() & theirs.isna()))).to_numpy().sum())
    known = ", ".join(f"{name} known for {mine[name].notna().mean():.0%}" for name in mine)
    print(f"values that differ: {apart} of {mine.size:,} ({known})")
    if apart:
        raise SystemExit("the streamed statement and merge_asof disagree")


def merge_asof(tables: Tables, cohort: Path, output: Path) -> Measured:
    """The two variables of the cohort's images, with all rows in memory."""
    images = read_table(cohort, ["dicom_id", "subject_id", "study_time"]).to_pandas()
    start, busy = time.perf_counter(), time.process_time()
    columns = ["labevent_id", "subject_id", "itemid", "charttime", "valuenum"]
    rows = pd.read_csv(tables.streamed["hosp/labevents"], usecols=columns, parse_dates=["charttime"])
    studies = images.dropna(subset=["study_time"]).sort_values("study_time")
    for name, (item, low, high) in LABORATORY.items():
        tests = rows[(rows["itemid"] == item) & rows["valuenum"].between(low, high)]
        tests = tests.sort_values(["charttime", "labevent_id"])[["subject_id", "charttime", "valuenum"]]
        last = pd.merge_asof(
            studies[["dicom_id", "subject_id", "study_time"]],
            tests.astype({"charttime": studies["study_time"].dtype}),
            left_on="study_time",
            right_on="charttime",
            by="subject_id",
            tolerance=pd.Timedelta(hours=48),
        )
        images[name] = images["dicom_id"].map(last.set_index("dicom_id")["valuenum"])
    images.to_parquet(output)
    return _measured(start, busy)


def _measured(start: float, busy: float) -> Measured:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Measured(time.perf_counter() - start, time.process_time() - busy, peak)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000], help="rows of labevents")
    parser.add_argument("--images", type=int, default=MIMIC_IMAGES, help="images of the cohort")
    parser.add_argument("--repeats", type=int, default=3, help="runs of ours")
    parser.add_argument("--threads", type=int, default=2, help="processor cores for ours")
    return parser.parse_args()


if __name__ == "__main__":
    main()
