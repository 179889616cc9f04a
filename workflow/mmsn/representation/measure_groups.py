"""Predictions of every run -> macro AUROC by subgroup with gaps, and calibration. Needs no embedding."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from mmsn.console import progress
from mmsn.errors import UserError
from mmsn.lineage import check_same_split
from mmsn.reporting.number_format import count
from mmsn.reporting.predictions import Predictions, check_same_test_set
from mmsn.reporting.reader import Reader
from mmsn.reporting.runs import RunDescription
from mmsn.reporting.settings import StatisticsSettings
from mmsn.representation.calibration import MEASURES, Calibration, Resamples, calibration
from mmsn.representation.cohort import read_cohort, rows_of
from mmsn.representation.intervals import centred_interval
from mmsn.representation.measured import CALIBRATION, MACRO, Measured, MeasuredFacts, counted, measured_table
from mmsn.representation.parallel import side_by_side
from mmsn.representation.settings import SubgroupSettings
from mmsn.representation.subgroups import GAP, VARIABLES, Groups, gap_of, group_aurocs, grouped, values_of
from mmsn.statistics.bootstrap import patient_draws, percentile_interval
from mmsn.statistics.ranking import Floats, Ranking, checked, rank_all

_LOWEST: Final = {"brier": 0.0, "ece": 0.0}


def measure_groups(
    runs: Sequence[RunDescription],
    images: Path,
    settings: SubgroupSettings,
    statistics: StatisticsSettings,
    threads: int | None = None,
) -> pa.Table:
    """Measure every run on the same groups and the same resamples of test patients; rows of `measured.SCHEMA`.

    Raises:
        UserError: a file is missing, of another split or of another test set; fewer than two patients; scores that are
            no probabilities.
    """
    cohort = read_cohort(images)
    measurer: GroupMeasurer | None = None
    reader = Reader()
    first: tuple[str, Predictions] | None = None
    found = []
    for run in progress(runs, "predictions measured by group"):
        predictions = _read(reader, run, images)
        if measurer is None or first is None:
            rows = rows_of(cohort, predictions.images, str(run.predictions), images)
            groups = {
                variable: values_of(rows, variable, settings.age_bands).tolist() if variable in rows else None
                for variable in VARIABLES
            }
            first, measurer = (run.id, predictions), GroupMeasurer(predictions, groups, settings, statistics, threads)
        check_same_test_set(first[1], predictions, (first[0], run.id))
        found.append((run, list(measurer.measure(predictions.scores))))
    assert measurer is not None  # `--runs` of no run is refused where it is read
    facts = MeasuredFacts(statistics.resamples, statistics.level, measurer.sentences())
    return measured_table(found, statistics.baseline, facts)


class GroupMeasurer:
    """Measures runs on one test set; groups and resamples are made once."""

    def __init__(
        self,
        test_set: Predictions,
        groups: dict[str, list[str] | None],
        settings: SubgroupSettings,
        statistics: StatisticsSettings,
        threads: int | None = None,
    ) -> None:
        """Form the groups and draw the resamples.

        Args:
            test_set: any run's predictions; only targets and patients are used.
            groups: variable -> [N] group of each image; None where the study has no such variable.
            settings: of groups and calibration.
            statistics: of the resamples.
            threads: as many as this process may use when None.

        Raises:
            UserError: fewer than two test patients.
        """
        self.test_set, self.settings, self.level = test_set, settings, statistics.level
        self._targets = test_set.judged
        self._threads = threads
        self._patients = len(np.unique(test_set.patients))
        if self._patients < 2:
            raise UserError(f"{self._patients} patient in the test set; intervals need at least two: enlarge it")
        self.absent = [variable for variable, values in groups.items() if values is None]
        self.groups = [
            grouped(variable, values, test_set.patients, self._targets, test_set.labels, settings.min_patients)
            for variable, values in groups.items()
            if values is not None
        ]
        self._resamples = patient_draws(test_set.patients, statistics.resamples, statistics.seed)
        self._patient = self._resamples.units
        self._of_patients = np.ascontiguousarray(self._resamples.counts.T, dtype=np.float64)  # [R, P]

    def measure(self, scores: Floats) -> Iterator[Measured]:
        """Every measure of one run's scores [N, L]."""
        for variable in self.absent:
            yield Measured(variable, "all", "auroc", excluded="the study has no such variable")
        rankings = rank_all(*checked(self._targets, scores, self.test_set.labels))
        for groups in self.groups:
            yield from self._by_group(groups, rankings)
        yield from self._calibration(scores)

    def sentences(self) -> dict[str, list[str]]:
        """What the captions say of the test set, and of labels that groups cannot be compared on."""
        images = f"{count(len(self.test_set.images))} test images of {count(self._patients)} patients"
        said = {
            groups.variable: [
                f"Macro AUROC over the {int(groups.labels.sum())} labels that have a positive and a negative image in "
                f"every group, of {images}.",
                *([f"Other labels, and the groups that lack a class: {groups.left_out}."] if groups.left_out else []),
            ]
            for groups in self.groups
        }
        fewest = self.settings.min_class
        rule = f"Mean over the labels with {fewest} positive and {fewest} negative images of {images}."
        return {**said, CALIBRATION: [rule, f"Calibration error: {self.settings.bins} bins of equal width."]}

    def _by_group(self, groups: Groups, rankings: Sequence[Ranking]) -> Iterator[Measured]:
        found = group_aurocs(groups, rankings, self._resamples, self._threads)
        for group in groups.groups:
            where = group.images, group.patients
            if group.excluded:
                yield Measured(groups.variable, group.name, "auroc", *where, excluded=group.excluded)
            else:
                value, replicates = found[group.name]
                ends = percentile_interval(replicates, self.level)
                yield Measured(groups.variable, group.name, "auroc", *where, value, *ends)
        if len(found) < 2:
            yield Measured(groups.variable, GAP, "auroc", excluded="fewer than two groups to compare")
            return
        together = np.logical_or.reduce([group.rows for group in groups.compared])
        where = counted(self.test_set.patients[together])
        yield Measured(groups.variable, GAP, "auroc", *where, *gap_of(found, self.level))

    def _calibration(self, scores: Floats) -> Iterator[Measured]:
        """Each label's measures, after their means over the labels that have them."""
        found = side_by_side(lambda place: self._of_label(place, scores), range(scores.shape[1]), self._threads)
        parts = [one for one in found if isinstance(one, Calibration)]
        whole = len(self.test_set.images), self._patients
        for measure in MEASURES:
            if parts:
                yield self._measured(MACRO, measure, parts, whole)
            else:
                yield Measured(CALIBRATION, MACRO, measure, *whole, excluded="no label can be judged")
        for label, target, one in zip(self.test_set.labels, self._targets.T, found, strict=True):
            where = counted(self.test_set.patients[~np.isnan(target)])
            for measure in MEASURES:
                if isinstance(one, Calibration):
                    yield self._measured(label, measure, [one], where)
                else:
                    yield Measured(CALIBRATION, label, measure, *where, excluded=one)

    def _of_label(self, place: int, scores: Floats) -> Calibration | str:
        """A label's calibration, or why it has none."""
        target = self._targets[:, place]
        known = ~np.isnan(target)
        untaught = self.test_set.untrained.get(self.test_set.labels[place])
        reason = f"{untaught} to train on" if untaught else self._too_few(target)
        if reason:
            return reason
        resamples = Resamples(self._of_patients, self._patient[known])
        try:
            return calibration(target[known], scores[known, place], resamples, self.settings.bins)
        except ValueError as error:
            return str(error)

    def _measured(self, group: str, measure: str, parts: Sequence[Calibration], where: tuple[int, int]) -> Measured:
        value = float(np.mean([part.value[measure] for part in parts]))
        replicates = np.mean([part.replicates[measure] for part in parts], axis=0)
        ends = centred_interval(value, replicates, self.level, _LOWEST.get(measure, -np.inf))
        return Measured(CALIBRATION, group, measure, *where, value, *ends)

    def _too_few(self, target: Floats) -> str:
        counts = {"positive": int((target == 1).sum()), "negative": int((target == 0).sum())}
        short = [f"{name} images: {number}" for name, number in counts.items() if number < self.settings.min_class]
        return f"{', '.join(short)}; {self.settings.min_class} are needed" if short else ""


def _read(reader: Reader, run: RunDescription, images: Path) -> Predictions:
    if not run.predictions.exists():
        raise UserError(f"{run.predictions} does not exist; evaluate run {run.id} first")
    predictions = reader.read(run.predictions)
    check_same_split(images, run.predictions, predictions.split, "evaluate it again")
    if predictions.scores.min() < 0 or predictions.scores.max() > 1:
        raise UserError(f"{run.predictions}: column score: values outside 0..1 are no probabilities; evaluate it again")
    return predictions
