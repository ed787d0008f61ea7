"""A pseudo-distributed Hadoop for tests and the bench: HDFS and YARN daemons on 127.0.0.1, and a `hadoop` command."""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toptalkers.hadoop.jars import fetch_jars, parse_jar_list
from toptalkers.hadoop.logs import Counters, LogReader
from toptalkers.hadoop.runtime import find_java, write_settings
from toptalkers.machine.leash import leashed

DAEMONS = {
    "namenode": "org.apache.hadoop.hdfs.server.namenode.NameNode",
    "datanode": "org.apache.hadoop.hdfs.server.datanode.DataNode",
    "resourcemanager": "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager",
    "nodemanager": "org.apache.hadoop.yarn.server.nodemanager.NodeManager",
}

JVM_FLAGS = [
    "-Xmx512m",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",  # YARN's web server makes classes with Guice 4
]

START_TIMEOUT_S = 90

JAR_LIST = Path(__file__).with_name("daemon_jars.txt")
"""Hadoop's jars without the shaded client, because daemons need all of them."""

_QUICK = "-Xmx384m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"

QUICK_TASKS = {
    "mapreduce.map.memory.mb": "512",
    "mapreduce.reduce.memory.mb": "512",
    "mapreduce.task.io.sort.mb": "64",
    "mapreduce.map.java.opts": _QUICK,
    "mapreduce.reduce.java.opts": _QUICK,
}
"""Settings of small tasks, of which a test starts many."""


@dataclass(frozen=True)
class Hadoop:
    """Running daemons, and how to reach them.

    Attributes:
        launcher: a `hadoop` command that knows what mrjob asks of it: `version`, `fs` and `jar`.
        streaming_jar: the jar of Hadoop Streaming, for `hadoop jar`.
        environment: the environment of the launcher, with itself on the `PATH`.
        daemons: the process id of each daemon, by the names in `DAEMONS`.

    """

    launcher: Path
    streaming_jar: Path
    environment: Mapping[str, str]
    daemons: Mapping[str, int]

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run `hadoop ARGUMENTS` in a folder; raise CalledProcessError, with its output in the notes, if it fails."""
        done = subprocess.run(
            [str(self.launcher), *arguments],
            env=self.environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            done.check_returncode()
        except subprocess.CalledProcessError as error:
            error.add_note(done.stdout + done.stderr)
            raise
        return done

    def put(self, source: Path, target: str) -> None:
        """Copy a file, or a folder with all below it, to HDFS under a new name, and the folders that lead there."""
        if "/" in target:
            self.run("fs", "-mkdir", "-p", target.rpartition("/")[0])
        self.run("fs", "-put", str(source), target)

    def run_streaming(self, arguments: Sequence[str], cwd: Path | None = None) -> Counters:
        """Run one streaming job with the arguments of EMR's `hadoop-streaming`, in a folder; return its counters.

        They are by the names that Hadoop's log has: `CPU time spent (ms)` and `Peak Map Physical memory (bytes)` are in
        the group `Map-Reduce Framework`. Raises CalledProcessError if the job fails.
        """
        log = LogReader()
        for line in self.run("jar", str(self.streaming_jar), *arguments, cwd=cwd).stdout.splitlines(keepends=True):
            log.read_line(line)
        return log.counters

    def parts(self, folder: str, into: Path) -> list[bytes]:
        """Return the content of the part files of a folder in HDFS, copied into a new folder of this machine first."""
        self.run("fs", "-get", folder, str(into))
        return [path.read_bytes() for path in sorted(into.glob("part-*"))]


@contextlib.contextmanager
def pseudo_distributed(
    directory: Path, *, node_mib: int = 4096, tasks: Mapping[str, str] = QUICK_TASKS
) -> Iterator[Hadoop]:
    """Start the four daemons below an empty directory; at the end they and all their containers are stopped.

    `node_mib` is the memory that containers may have together, `tasks` are the settings of maps and reducers.
    """
    jars = fetch_jars(parse_jar_list(JAR_LIST.read_text()))
    java = find_java()
    conf_dir = directory / "conf"
    settings = _settings(directory, jars)
    settings["yarn-site.xml"]["yarn.nodemanager.resource.memory-mb"] = str(node_mib)
    settings["mapred-site.xml"] |= tasks
    write_settings(conf_dir, settings)
    # The HDFS daemons need their web pages on the class path; empty folders are enough.
    for name in ("hdfs", "datanode", "static"):
        (conf_dir / "webapps" / name).mkdir(parents=True)
    class_path = os.pathsep.join([str(conf_dir), *map(str, jars)])
    environment = {
        **os.environ,
        "JAVA_HOME": str(java.parent.parent),
        "HADOOP_CONF_DIR": str(conf_dir),
        "HADOOP_HOME": str(directory),
        "PATH": os.pathsep.join([str(directory / "bin"), os.environ["PATH"]]),
    }
    launcher = _write_launcher(directory / "bin" / "hadoop", [str(java), *JVM_FLAGS, "-cp", class_path])
    streaming_jar = next(jar for jar in jars if jar.name.startswith("hadoop-streaming-"))
    logs = directory / "logs"
    logs.mkdir()
    run_daemon = [str(java), *JVM_FLAGS, "-cp", class_path]
    subprocess.run(
        [*run_daemon, DAEMONS["namenode"], "-format", "-nonInteractive"],
        env=environment,
        check=True,
        capture_output=True,
    )
    daemons: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, main_class in DAEMONS.items():
            with (logs / f"{name}.log").open("wb") as log:
                daemons[name] = subprocess.Popen(
                    leashed([*run_daemon, main_class]),  # ends when the tests are killed, too
                    env=environment,
                    cwd=directory,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        _wait_until_ready(daemons, logs)
        pids = {name: process.pid for name, process in daemons.items()}
        hadoop = Hadoop(launcher, streaming_jar, environment, pids)
        hadoop.run("fs", "-mkdir", "-p", ".")  # the user's home, to which paths without a scheme are relative
        yield hadoop
    finally:
        _stop(daemons)


def _settings(directory: Path, jars: Sequence[Path]) -> dict[str, dict[str, str]]:
    ports = iter(_free_ports(9))

    def address() -> str:
        return f"127.0.0.1:{next(ports)}"

    class_path = ",".join(map(str, jars))
    return {
        "core-site.xml": {
            "fs.defaultFS": f"hdfs://{address()}",
            "hadoop.tmp.dir": str(directory / "tmp"),
            "hadoop.security.token.service.use_ip": "true",
        },
        "hdfs-site.xml": {
            "dfs.replication": "1",
            "dfs.namenode.http-address": address(),
            "dfs.datanode.address": "127.0.0.1:0",
            "dfs.datanode.http.address": "127.0.0.1:0",
            "dfs.datanode.ipc.address": "127.0.0.1:0",
            "dfs.namenode.safemode.extension": "0",
            # A client that closes a file a little too early asks again only after this time, else 400 ms.
            "dfs.client.block.write.locateFollowingBlock.initial.delay.ms": "10",
        },
        "yarn-site.xml": {
            "yarn.resourcemanager.address": address(),
            "yarn.resourcemanager.scheduler.address": address(),
            "yarn.resourcemanager.resource-tracker.address": address(),
            "yarn.resourcemanager.admin.address": address(),
            "yarn.resourcemanager.webapp.address": address(),
            "yarn.resourcemanager.scheduler.class": "org.apache.hadoop.yarn.server.resourcemanager"
            ".scheduler.capacity.CapacityScheduler",
            "yarn.nodemanager.hostname": "127.0.0.1",
            "yarn.nodemanager.address": "127.0.0.1:0",
            "yarn.nodemanager.localizer.address": address(),
            "yarn.nodemanager.webapp.address": "127.0.0.1:0",
            "yarn.nodemanager.aux-services": "mapreduce_shuffle",
            "yarn.nodemanager.resource.cpu-vcores": "4",
            "yarn.nodemanager.vmem-check-enabled": "false",
            "yarn.nodemanager.pmem-check-enabled": "false",
            "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": "99.9",
            "yarn.nodemanager.log-dirs": str(directory / "userlogs"),
            "yarn.nodemanager.process-kill-wait.ms": "500",
            "yarn.nodemanager.delete.debug-delay-sec": "3600",  # keeps containers' logs for a failing test
            "yarn.scheduler.minimum-allocation-mb": "256",
            "yarn.application.classpath": class_path,
            # With heartbeats of one second, a small job would mostly wait.
            "yarn.resourcemanager.nodemanagers.heartbeat-interval-ms": "100",
        },
        "mapred-site.xml": {
            "mapreduce.framework.name": "yarn",
            "mapreduce.application.classpath": class_path,
            "mapreduce.shuffle.port": "0",
            "yarn.app.mapreduce.am.resource.mb": "512",
            "yarn.app.mapreduce.am.command-opts": _QUICK,
            "yarn.app.mapreduce.am.staging-dir": "/staging",
            "yarn.app.mapreduce.am.scheduler.heartbeat.interval-ms": "100",
            "mapreduce.client.progressmonitor.pollinterval": "200",
        },
        "capacity-scheduler.xml": {
            "yarn.scheduler.capacity.root.queues": "default",
            "yarn.scheduler.capacity.root.default.capacity": "100",
            "yarn.scheduler.capacity.maximum-am-resource-percent": "0.5",
            "yarn.scheduler.capacity.root.default.state": "RUNNING",
        },
    }


def _write_launcher(path: Path, java_command: Sequence[str]) -> Path:
    java = shlex.join(java_command)
    path.parent.mkdir()
    path.write_text(
        f"""#!/bin/sh
command=$1
shift
case $command in
version) echo Hadoop 3.4.2 ;;
fs) exec {java} org.apache.hadoop.fs.FsShell "$@" ;;
jar) exec {java} org.apache.hadoop.util.RunJar "$@" ;;
*) echo "hadoop: no such command here: $command" >&2; exit 2 ;;
esac
"""
    )
    path.chmod(0o755)
    return path


def _wait_until_ready(daemons: Mapping[str, subprocess.Popen[bytes]], logs: Path) -> None:
    """Wait until the ResourceManager and the NameNode each report their node in their logs."""
    said = {
        "namenode": "registerDatanode: from",
        "resourcemanager": "Node Transitioned from NEW to RUNNING",
    }
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        missing = [name for name, text in said.items() if text not in (logs / f"{name}.log").read_text()]
        if not missing:
            return
        dead = [name for name, process in daemons.items() if process.poll() is not None]
        if dead or time.monotonic() > deadline:
            tails = [f"{name}: {(logs / f'{name}.log').read_text()[-3000:]}" for name in dead or missing]
            raise RuntimeError("\n".join(["daemons died or are not ready:", *tails]))
        time.sleep(0.2)


def _stop(daemons: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """End the daemons; the NodeManager is asked, so that it ends its containers, which have their own sessions."""
    if node_manager := daemons.get("nodemanager"):
        node_manager.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            node_manager.wait(15)
    for process in daemons.values():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin:
            process.stdin.close()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]  # all open at once: all different
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
