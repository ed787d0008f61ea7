"""Why a job failed: one rule for the logs of this machine, of the sandbox and of EMR."""

import pytest

from toptalkers.hadoop.logs import Failure, explain_failure, read_log

TRACEBACK = 'Traceback (most recent call last):\n  File "count_flows.py", line 1, in <module>\nValueError: of a script'
OTHER = 'Traceback (most recent call last):\n  File "wrapper.py", line 1, in <module>\nOSError: of the client'
EXISTS = (
    "2026-11-23 18:22:00,000 ERROR org.apache.hadoop.streaming.StreamJob{thread}: Error Launching job : "
    "Output directory out already exists\nStreaming Command Failed!\n"
)
STACK = (
    "{prefix}java.lang.RuntimeException: Error in configuring object\n"
    "\tat org.apache.hadoop.util.ReflectionUtils.setJobConf(ReflectionUtils.java:112)\n"
    "Caused by: java.io.IOException: Cannot run program\n"
    "\tat java.lang.ProcessBuilder.start(ProcessBuilder.java:1143)\n"
    "\t... 18 more\n"
    "2026-11-23 18:22:01,000 WARN some.Logger: another matter\n"
    "Caused by: of the other matter\n"
)
EXIT_CODE = (
    "java.lang.RuntimeException: PipeMapRed.waitOutputThreads(): subprocess failed with code 2\n"
    "\tat org.apache.hadoop.streaming.PipeMapRed.waitOutputThreads(PipeMapRed.java:326)\n"
)


def explain(*scripts: str, syslog: str = "", stderr: str = "", controller: str = "") -> Failure | None:
    """Explain a failure by these logs."""
    logs = [read_log(f"script-{number}", text) for number, text in enumerate(scripts)]
    controller_log = read_log("controller", controller) if controller else None
    return explain_failure(
        scripts=logs, syslog=read_log("syslog", syslog), stderr=read_log("stderr", stderr), controller=controller_log
    )


def test_the_traceback_of_a_script_comes_first() -> None:
    """Of several tracebacks the first script's is told, whatever Hadoop and its client say besides."""
    found = explain("all is well\n", TRACEBACK, syslog=STACK.format(prefix=""), stderr=OTHER)
    assert found == Failure(TRACEBACK, "script-1", "traceback")


@pytest.mark.parametrize("where", ["syslog", "stderr", "controller"])
def test_a_traceback_of_the_client_comes_before_hadoops_reason(where: str) -> None:
    """Hadoop only knows that something failed."""
    logs = {"syslog": EXISTS.format(thread="")} | {where: OTHER}
    assert explain("last words\n", **logs) == Failure(OTHER, where, "traceback")


@pytest.mark.parametrize("thread", ["", " (main)"])
def test_hadoops_error_is_told_where_there_is_no_exception(thread: str) -> None:
    """In the pattern of this machine and in EMR's."""
    found = explain(syslog=EXISTS.format(thread=thread), stderr="some words\n")
    assert found == Failure("Error Launching job : Output directory out already exists", "syslog", "error")


@pytest.mark.parametrize("prefix", ["", "Error: ", 'Exception in thread "main" '])
def test_the_last_cause_of_a_stack_trace_is_told(prefix: str) -> None:
    """The causes of that trace only, not of what is logged after it."""
    found = explain(syslog=STACK.format(prefix=prefix))
    assert found == Failure("java.io.IOException: Cannot run program", "syslog", "error")


def test_the_exception_that_ended_the_job_comes_before_those_of_tasks() -> None:
    """A task is tried again after its own."""
    ended = "2026-11-23 18:22:02,000 WARN org.apache.hadoop.mapred.LocalJobRunner: job_local1_0001\n"
    found = explain(syslog=f"java.io.IOException: of a task\n{ended}java.lang.Exception: of the job\n")
    assert found == Failure("java.lang.Exception: of the job", "syslog", "error")


def test_an_exit_code_is_told_with_the_last_words_of_a_script() -> None:
    """By itself it explains nothing, which its kind says; the line of a script does."""
    reason = EXIT_CODE.partition("\n")[0]
    assert explain("", syslog=EXIT_CODE) == Failure(reason, "syslog", "exit code")
    found = explain("", "starting\nno such option: --x\n", syslog=EXIT_CODE)
    assert found == Failure(f"{reason}: no such option: --x", "syslog", "error")


def test_last_words_are_the_last_resort() -> None:
    """Three lines of the client, without what it always says; nothing at all when it is silent."""
    stderr = "one\ntwo\n\nthree\nfour\nSLF4J: No SLF4J providers were found.\nStreaming Command Failed!\n"
    assert explain("of a script\n", stderr=stderr) == Failure("two\nthree\nfour", "stderr", "last words")
    assert explain("of a script\n") is None
