"""Engines follow one protocol, and an option that cannot be honoured is refused, never ignored."""

import importlib
import inspect
from pathlib import Path

import pytest
from click.testing import CliRunner

from toptalkers.cli.main import cli
from toptalkers.engines import ENGINES, Engine

DEFAULT = str(Path(__file__).parents[1] / "flowlogs/default.log")


@pytest.mark.parametrize("name", ENGINES)
def test_each_engine_follows_the_protocol(name: str) -> None:
    """Its `count_files` takes the protocol's parameters and those that it honours; these may all be left out."""
    engine = importlib.import_module(ENGINES[name])
    parameters = inspect.signature(engine.count_files).parameters
    asked = [parameter for parameter in inspect.signature(Engine.count_files).parameters if parameter != "self"]
    assert list(parameters)[: len(asked)] == asked
    assert set(engine.HONOURS) <= set(parameters)
    assert all(parameters[option].default is None for option in engine.HONOURS)


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "local"])
def test_an_engine_refuses_what_it_does_not_honour(tmp_path: Path, name: str) -> None:
    """`--cache` with an engine that keeps no counts is wrong usage, in one line, and creates no folder."""
    done = CliRunner().invoke(cli, ["run-local", DEFAULT, "--engine", name, "--cache", str(tmp_path / "cache")])
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("Error: --cache: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "option",
    [
        ["--stack-name", "toptalkers"],
        ["--skip-unreadable"],
        ["--instance-type", "m7g.xlarge"],
        ["--core", "2"],
        ["--task", "2"],
        ["--vpc-nodes", "1000"],
        ["--spot"],
        ["--release", "emr-7.14.0"],
        ["--subnet", "subnet-1"],
        ["--key-name", "mine"],
        ["--tag", "team=network"],
        ["--keep-aggregate"],
        ["--keep-all-ports"],
        ["--no-wait"],
        ["--dry-run"],
        ["--region", "eu-central-1"],
        ["--profile", "mine"],
    ],
    ids=lambda option: option[0],
)
def test_a_hadoop_cluster_refuses_what_is_for_emr(option: list[str]) -> None:
    """Each option of a stack, an EMR cluster or an account is refused, even with its default value."""
    done = CliRunner().invoke(cli, ["run-emr", "--hadoop-cluster", "--input", "hdfs:///flowlogs/", *option])
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"Error: {option[0]}: ")
