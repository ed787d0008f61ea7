"""The installed package is the tested one: the wheel, outside of the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.render import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["the machine's compiler", "no compiler", "pure"])
def installed(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Build the wheel and unpack it; without a compiler, pip installs one, or the wheel is pure."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    environment = {**os.environ}
    if request.param != "the machine's compiler":
        environment |= {"PATH": str(folder), "CC": ""}
    if request.param == "pure":
        environment |= {"TOPTALKERS_PURE": "1"}
    command = [*pip, "wheel", "--no-deps", "--wheel-dir", str(folder / "dist"), str(ROOT)]
    subprocess.run(command, env=environment, check=True)
    wheel = next((folder / "dist").glob("*.whl"))
    assert "-py3-none-" in wheel.name
    assert wheel.name.endswith("-any.whl") == (request.param == "pure")
    with zipfile.ZipFile(wheel) as archive:
        for name in ("kernel/kernel.so", "job/kernel-x86_64.so", "job/kernel-aarch64.so"):
            assert (f"toptalkers/{name}" in archive.namelist()) == (request.param != "pure"), name
    subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "site"), str(wheel)], check=True)
    return folder / "site"


def run(installed: Path, *arguments: str) -> str:
    """Run the wheel's toptalkers from an empty folder."""
    code = (
        "import toptalkers, sys; assert toptalkers.__file__.startswith(sys.argv.pop(1)), toptalkers.__file__\n"
        "from toptalkers.__main__ import main; main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", code, str(installed), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=installed, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_counts_its_own_sample(installed: Path) -> None:
    """The installed package has the scripts, the jobs and the sample that its commands need."""
    sample = str(installed / "toptalkers/sample/data")
    answer = run(installed, "run-local", sample)
    assert answer.count("\n") > 100
    assert run(installed, "run-local", "--engine", "mrjob", sample) == answer
    assert (installed / "toptalkers/py.typed").exists()


def test_wheel_renders_the_repositorys_template(installed: Path) -> None:
    """The installed package renders the same as cloudformation/ in the repository."""
    code = "from toptalkers.capture.template import render_template; print(render_template(), end='')"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == (ROOT / "cloudformation/toptalkers.json").read_text()
