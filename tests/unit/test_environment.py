"""One set of pins: the lock file, the conda environment and what pyproject.toml asks for agree."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def _pins(lines):
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


LOCK = _pins((ROOT / "requirements.lock").read_text().split())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_lock_pins_every_dependency_within_its_bounds():
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(LOCK[canonicalize_name(requirement.name)]), requirement


def test_the_lock_holds_exact_versions_and_no_address():
    for line in (ROOT / "requirements.lock").read_text().split():
        assert re.fullmatch(r"[\w.-]+==[\w.+!-]+", line), line


def test_the_conda_environment_holds_the_same_versions():
    environment = yaml.safe_load((ROOT / "envs" / "mmsn.yaml").read_text())
    pins = _pins(environment["dependencies"][-1]["pip"])
    assert pins == {
        name: LOCK[name] for name in (canonicalize_name(Requirement(d).name) for d in PROJECT["dependencies"])
    }
