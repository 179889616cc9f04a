"""The first page says what a newcomer can rely on."""

import re
from pathlib import Path

from mmsn.study_command import merged

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_no_placeholder_is_left():
    assert not re.findall(r"\b[A-Z]{3,}_[A-Z]{2,}\b", README.replace("IMAGENET_STAT", ""))


def test_every_file_and_overlay_that_it_names_exists():
    for name in re.findall(r"`((?:workflow|benchmarks|profiles)/[\w./-]+\.\w+)`", README):
        assert (ROOT / name).is_file(), name


def test_every_make_target_that_it_names_exists():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_settings_that_it_names_exist():
    config = merged([ROOT / "config.yaml"])
    assert {"mimic_iv", "mimic_cxr", "chexpert", "nih_14"} <= set(config["data"])
    assert "split" in config["cohort"]
