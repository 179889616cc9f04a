"""Tiny NIH-14 and CheXpert folders that a test can be read with, and running a verb on them."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from mmsn.cohort.build import Cohort
from mmsn.cohort.external import chexpert, nih
from mmsn.cohort.external.command import app
from mmsn.cohort.external.settings import ChexpertSettings, NihSettings
from mmsn.cohort.external.sources import find_chexpert, find_nih

ENTRIES = "Data_Entry_2017_v2020.csv"
NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n"
)
NIH = {
    ENTRIES: NIH_HEADER
    + "00000001_000.png,Cardiomegaly|Effusion,0,1,57,M,PA,2682,2749,0.143,0.143\n"
    + "00000001_001.png,No Finding,1,1,58,M,PA,2682,2749,0.143,0.143\n"
    + "00000002_000.png,Mass,0,2,80,F,AP,2500,2048,0.171,0.171\n"
    + "00000003_000.png,Hernia,0,3,81,F,PA,2582,2991,0.143,0.143\n"
    + "00000004_000.png,No Finding,0,4,82,M,AP,2500,2048,0.168,0.168\n",
    "train_val_list.txt": "00000001_000.png\n00000001_001.png\n00000002_000.png\n",
    "test_list.txt": "00000003_000.png\n00000004_000.png\n",
}
LABEL_HEADER = (
    "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,"
    "Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices\n"
)
TRAIN_HEADER = f"Path,Sex,Age,Frontal/Lateral,AP/PA,{LABEL_HEADER}"
CHEXPERT = {
    "train.csv": TRAIN_HEADER
    + "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0\n"
    + "CheXpert-v1.0-small/train/patient00002/study2/view1_frontal.jpg,Male,87,Frontal,PA,,,-1.0,1.0,,,,,,,,,1.0,\n"
    + "CheXpert-v1.0-small/train/patient00002/study2/view2_lateral.jpg,Male,87,Lateral,,,,-1.0,1.0,,,,,,,,,1.0,\n"
    + "CheXpert-v1.0-small/train/patient00003/study1/view1_frontal.jpg,Unknown,0,Frontal,LL,,,,,,,,,,,,,,\n",
    "valid.csv": TRAIN_HEADER
    + "CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg,Male,73,Frontal,AP"
    + ",0.0,1.0,1.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n",
    "test.csv": f"Path,{LABEL_HEADER}"
    + "test/patient64741/study1/view1_frontal.jpg,0,1,1,1,0,0,0,0,0,0,0,0,0,1\n"
    + "test/patient64741/study1/view2_lateral.jpg,0,1,1,1,0,0,0,0,0,0,0,0,0,1\n",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write the files; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def but(files: dict[str, str], name: str, old: str, new: str) -> dict[str, str]:
    """The same files with one text of one of them changed."""
    assert old in files[name], f"{old} is not in {name}"
    return files | {name: files[name].replace(old, new)}


def nih_of(folder: Path, **settings: Any) -> Cohort:
    """NIH-14 of a folder."""
    return nih.build(find_nih(folder), NihSettings(**settings), threads=1)


def chexpert_of(folder: Path, **settings: Any) -> Cohort:
    """CheXpert of a folder."""
    chosen = ChexpertSettings(**settings)
    return chexpert.build(find_chexpert(folder, chosen), chosen, threads=1)


def values(cohort: Cohort, column: str) -> dict[str, Any]:
    """One column of images.parquet by dicom_id."""
    return dict(zip(cohort.images["dicom_id"].to_pylist(), cohort.images[column].to_pylist(), strict=True))


def counts(cohort: Cohort) -> dict[str, tuple[int, int | None]]:
    """Step of flow.json -> the count here and the published one."""
    return {entry["step"]: (entry["count"], entry["published"]) for entry in cohort.flow["steps"]}


def run(verb: str, folder: Path, results: Path, *more: object, **settings: object) -> tuple[int, list[str]]:
    """Run a verb on a folder: exit code and lines of the log; outputs go to `results`."""
    data = {"nih": "--nih-14", "chexpert": "--chexpert"}[verb]
    outputs = {"images": "images.parquet", "exclusions": "exclusions.parquet", "flow": "flow.json"}
    arguments = [verb, data, folder, "--settings", json.dumps(settings), *more]
    arguments += [part for name, file in outputs.items() for part in (f"--output-{name}", results / file)]
    log = results.with_suffix(".log")
    code = CliRunner().invoke(app, [*map(str, arguments), "--log", str(log)]).exit_code
    return code, [line.split(" ", 2)[2] for line in log.read_text().splitlines()]


def error_of(verb: str, folder: Path, *more: object, **settings: object) -> str:
    """The one line that a fault gives; nothing is written."""
    results = folder.parent / "results"
    code, lines = run(verb, folder, results, *more, **settings)
    assert (code, len(lines), results.exists()) == (2, 1, False), lines
    return lines[0]
