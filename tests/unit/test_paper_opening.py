"""The report's opening: the result in a paragraph, then what was run, read from what jobs leave."""

from pathlib import Path

import pyarrow as pa
import pytest
from docutils.core import publish_parts

from mmsn.files import write_table
from mmsn.paper.claims import judge_claims
from mmsn.paper.opening import opening
from mmsn.paper.record import Record, read_record
from mmsn.study import Study
from mmsn.training.settings import ImagenetWeights
from tests.unit.paper_parts import GAINS, NOTHING, a_study, measured


@pytest.fixture(scope="module")
def study() -> Study:
    return a_study()


@pytest.fixture(scope="module")
def page(study: Study) -> str:
    record = Record({"torch": "9.9"}, "a machine", {"a GPU": 4}, ("9.9",), ("abc",), {"pretrain": 1.25})
    found = measured(study, GAINS)
    return opening(study, found, judge_claims(study, found), record)


def test_the_opening_is_one_paragraph_of_result_then_what_was_run(page: str) -> None:
    body = publish_parts(page, writer="html", settings_overrides={"report_level": 2, "halt_level": 2})["html_body"]
    result = page.split("What was run")[0]
    for words in ("1,000 test images of 300 patients", "MSN + EHR (mean of 2 sets) 0.7", "Of 3 controls 3 are beaten"):
        assert words in result
    assert "cannot say: too few seeds (1, at least 3 are needed)" in result
    for heading in ("The result", "What was run", "Conformance", "Results", "Controls", "Limits"):
        assert f">{heading}</h" in body
    assert "pretrain 1.25" in body
    assert "<details>" in body


def test_the_opening_leaves_out_where_anything_lies() -> None:
    labels = {"mass": "Lung Lesion"}
    study = a_study(
        data={"mimic_iv": "/secret/place", "mimic_cxr": "/secret/place"},
        external={"my-set": {"images": "/secret/images.csv", "root": "/secret", "labels": labels, "head": "mimic"}},
        images={"stage_to": "/secret/disk"},
    )
    backbone = study.backbones["vit-small"].model_copy(update={"imagenet": ImagenetWeights(weights="/secret/weights")})
    study = study.model_copy(update={"backbones": {**study.backbones, "vit-small": backbone}})
    page = opening(study, NOTHING, judge_claims(study, NOTHING), Record({}, "", {}, (), (), {}))
    assert "secret" not in page
    assert "Lung Lesion" in page


def test_hours_and_devices_are_read_from_what_jobs_leave(tmp_path: Path) -> None:
    (tmp_path / "benchmarks/pretrain/vit").mkdir(parents=True)
    (tmp_path / "benchmarks/pretrain/vit/seed0.tsv").write_text("s\th:m:s\n5400\t1:30:00\n")
    (tmp_path / "benchmarks/study.tsv").write_text("s\th:m:s\n36\t0:00:36\n")
    (tmp_path / "pretrain/vit/seed0").mkdir(parents=True)
    (tmp_path / "pretrain/vit/seed0/resolved.yaml").write_text("device: A100\ntorch: 2.11.0\ncode_digest: abc\n")
    record = read_record(tmp_path / "pretrain", ["vit/seed0", "vit/seed1"], tmp_path / "benchmarks")
    assert record.hours == {"pretrain": 1.5, "study": 0.01}
    assert (dict(record.devices), record.torch, record.code) == ({"A100": 1}, ("2.11.0",), ("abc",))


def test_hours_of_a_training_that_was_stopped_count_all_its_epochs(tmp_path: Path) -> None:
    run, benchmarks = tmp_path / "pretrain/vit/seed0", tmp_path / "benchmarks"
    (benchmarks / "pretrain/vit").mkdir(parents=True)
    run.mkdir(parents=True)
    (benchmarks / "pretrain/vit/seed0.tsv").write_text("s\th:m:s\n1800\t0:30:00\n")  # since the last start
    (run / "resolved.yaml").write_text("images: 7200\n")
    write_table(run / "history.parquet", pa.table({"images_per_second": [1.0, 2.0, 4.0]}))  # 2, 1 and 0.5 hours
    assert read_record(tmp_path / "pretrain", ["vit/seed0"], benchmarks).hours == {"pretrain": 3.5}
    (benchmarks / "pretrain/vit/seed0.tsv").write_text("s\th:m:s\n14400\t4:00:00\n")  # one start: validation too
    assert read_record(tmp_path / "pretrain", ["vit/seed0"], benchmarks).hours == {"pretrain": 4.0}
