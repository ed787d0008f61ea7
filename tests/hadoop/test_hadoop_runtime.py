"""Running one streaming job in a JVM: its report, and no leftovers."""

import contextlib
import os
import stat
import time
from pathlib import Path

import pytest

from tests.hadoop.conftest import Embedded
from toptalkers.errors import ToptalkersError
from toptalkers.hadoop.logs import HadoopEvent
from toptalkers.hadoop.runtime import S3Endpoint, run_streaming, write_settings

pytestmark = pytest.mark.hadoop

IN_OUT = ["-input", "in", "-output", "out"]


def test_progress_counters_and_logs(embedded: Embedded) -> None:
    """A job's events, its scripts' counters and messages are returned; links and settings are removed."""
    embedded.write(
        {
            "in/a": "a\nb\n",
            "scripts/count.py": "import sys\nfor _ in sys.stdin:\n"
            "    print('reporter:counter:toptalkers,lines,2', file=sys.stderr)\n"
            "print('a word', file=sys.stderr)\n",
        }
    )
    events: list[HadoopEvent] = []
    arguments = ["-files", "scripts/count.py", *IN_OUT, "-mapper", "python3 count.py", "-reducer", "cat"]
    result = run_streaming(arguments, work_dir=embedded.directory, map_slots=2, on_event=events.append)
    assert result.exit_code == 0, result.why_failed()
    assert result.why_failed() is None
    assert result.counters["Map-Reduce Framework"]["Map input records"] == 2
    assert result.counters["toptalkers"] == {"lines": 4}
    assert events[-1] == HadoopEvent(result.job_id or "", 100, 100)
    assert result.stderr.read_text() == "a word\n"
    assert sorted(path.name for path in embedded.directory.iterdir()) == ["in", "logs", "out", "scripts"]


def test_nothing_is_written_elsewhere(embedded: Embedded) -> None:
    """All of Hadoop's own directories are in the job's directory, so that simultaneous runs cannot collide."""
    embedded.write({"in/a": "a\n"})
    result = embedded.run("-D", "mapreduce.job.reduces=0", *IN_OUT, "-mapper", "env")
    assert result.exit_code == 0, result.why_failed()
    seen = dict(line.rstrip("\t").split("=", 1) for line in embedded.output()[0].decode().splitlines() if "=" in line)
    for name in ("mapreduce_job_dir", "mapreduce_job_jar", "mapreduce_cluster_local_dir"):
        if name in seen:
            assert seen[name].removeprefix("file:").startswith(f"{embedded.directory}/.hadoop-"), name
    assert "mapreduce_job_dir" in seen


def test_scripts_of_files_can_be_executed(embedded: Embedded) -> None:
    """A script without an exec bit runs under its own name, because Hadoop copies it and sets one."""
    embedded.write({"in/a": "a\n", "scripts/same.py": "#!/usr/bin/env python3\nprint(input())\n"})
    result = embedded.run("-files", "scripts/same.py#renamed", *IN_OUT, "-mapper", "renamed", "-reducer", "cat")
    assert result.exit_code == 0, result.why_failed()
    assert embedded.output() == [b"a\t\n"]


def test_a_file_of_the_same_name_wins(embedded: Embedded) -> None:
    """A file that is already in the working directory is neither replaced by a file of `-files` nor removed."""
    embedded.write({"in/a": "a\n", "scripts/say.py": "print('new')\n", "say.py": "print('old')\n"})
    result = embedded.run("-files", "scripts/say.py", *IN_OUT, "-mapper", "python3 say.py", "-reducer", "cat")
    assert result.exit_code == 0, result.why_failed()
    assert embedded.output() == [b"old\t\n"]
    assert (embedded.directory / "say.py").exists()


def test_a_mapper_that_dies_shows_its_traceback(embedded: Embedded) -> None:
    """The first traceback, with its causes, is the reason; the user need not search the log."""
    embedded.write(
        {
            "in/a": "a\n",
            "die.py": "try:\n    {}['key']\nexcept KeyError as error:\n    raise ValueError('no key') from error\n",
        }
    )
    result = embedded.run("-files", "die.py", *IN_OUT, "-mapper", "python3 die.py", "-reducer", "cat")
    assert result.exit_code == 1
    why = result.why_failed() or ""
    assert why.startswith("Traceback (most recent call last):")
    assert "KeyError: 'key'" in why
    assert why.endswith("ValueError: no key")


def test_a_script_s_last_word_explains_its_exit_code(embedded: Embedded) -> None:
    """Without a traceback, as for argparse's usage error, the reason ends with the script's message."""
    embedded.write({"in/a": "a\n", "refuse.py": "import sys\nsys.exit('wrong ports')\n"})
    result = embedded.run("-files", "refuse.py", *IN_OUT, "-mapper", "python3 refuse.py", "-reducer", "cat")
    assert result.why_failed() == (
        "java.lang.RuntimeException: PipeMapRed.waitOutputThreads(): subprocess failed with code 1: wrong ports"
    )


def test_an_interrupted_job_leaves_no_process(embedded: Embedded) -> None:
    """An exception in the middle, such as Ctrl-C, ends the JVM and the scripts that it runs."""
    pid_file = embedded.directory / "pid"
    embedded.write(
        {
            "in/a": "a\n",
            "stay.py": f"import os, time\nopen({str(pid_file)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n",
        }
    )

    def interrupt(_: HadoopEvent) -> None:
        for _attempt in range(100):
            if pid_file.exists() and pid_file.read_text():
                raise KeyboardInterrupt
            time.sleep(0.1)

    arguments = ["-files", "stay.py", *IN_OUT, "-mapper", "python3 stay.py", "-reducer", "cat"]
    with pytest.raises(KeyboardInterrupt):
        run_streaming(arguments, work_dir=embedded.directory, map_slots=1, on_event=interrupt)
    script = int(pid_file.read_text())
    with contextlib.suppress(ProcessLookupError):  # a zombie until its new parent reaps it
        for _ in range(50):
            os.kill(script, 0)
            time.sleep(0.1)
        pytest.fail("the script still runs")
    assert not [path for path in embedded.directory.iterdir() if path.is_symlink() or path.name.startswith(".")]


def test_settings_are_the_user_s_alone(tmp_path: Path) -> None:
    """No other user can read a secret key, and values that Hadoop would expand are refused."""
    conf_dir = tmp_path / "conf"
    write_settings(conf_dir, {"core-site.xml": {"fs.s3a.secret.key": "<&>"}})
    path = conf_dir / "core-site.xml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "<value>&lt;&amp;&gt;</value>" in path.read_text()
    with pytest.raises(ValueError, match=r"fs\.s3a\.secret\.key"):
        write_settings(tmp_path / "other", {"core-site.xml": {"fs.s3a.secret.key": "${user.home}"}})
    assert "secret" not in repr(S3Endpoint("http://127.0.0.1:1", "us-east-1", "key", "secret"))


def test_a_directory_that_hadoop_cannot_take(tmp_path: Path) -> None:
    """A blank in the path would break the shuffle in the middle of a job; it is refused before."""
    with pytest.raises(ToptalkersError, match="of this name"):
        run_streaming([], work_dir=tmp_path / "my files", map_slots=1)
    assert list(tmp_path.iterdir()) == []
