"""Names: how long a snapshot of a large network takes, and how large it is."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping

from bench.measure import Command, alternate
from bench.named_answers import named_answers
from bench.part import Context, Section, columns, table
from bench.tools import TOPTALKERS
from tests.tiny_ec2 import TinyEc2, environment, tiny_ec2

INTERFACES, QUICK_INTERFACES = 50_000, 5_000
SNAPSHOT_RUNS = 3


def run(context: Context) -> Section:
    """Measure."""
    return Section("\n\n".join([_snapshot(context), named_answers(context)]))


def _snapshot(context: Context) -> str:
    """Take snapshots of many interfaces, from a server on this machine that answers at once."""
    number = QUICK_INTERFACES if context.is_quick else INTERFACES
    file, plain = context.work / "network.json.gz", context.work / "network.json"
    runs = SNAPSHOT_RUNS
    with tiny_ec2() as calm, tiny_ec2() as throttling:
        throttling.throttle_every = 10
        servers = {"`snapshot`": calm, "`snapshot`, every tenth call throttled": throttling}
        commands = {}
        for name, server in servers.items():
            fill(server, number)
            words = [TOPTALKERS, "snapshot", "--output", str(file)]
            commands[name] = Command(words, environment=environment(server))
        timings = alternate(commands, runs, warm_up=False)
        calls = {name: len(server.requests) // runs for name, server in servers.items()}
        rows = [[name, calls[name], *columns(timing)] for name, timing in timings.items()]
        subprocess.run([TOPTALKERS, "snapshot", "--output", str(plain)], env=_with(environment(calm)), check=True)
    read = "from toptalkers.names.snapshot import read_snapshot; from pathlib import Path; import sys;"
    name = "reading it: `read_snapshot`"
    words = [sys.executable, "-c", f"{read} read_snapshot(Path(sys.argv[1]))", str(file)]
    rows.append([name, "0", *columns(alternate({name: Command(words)}, runs)[name])])
    sizes = f"{file.stat().st_size / 1e6:.1f} MB compressed, {plain.stat().st_size / 1e6:.0f} MB of JSON"
    scope = json.loads(plain.read_bytes())["scopes"][0]
    has = ", ".join(f"{len(scope[one]):,} {one}" for one in ("interfaces", "instances", "groups", "subnets"))
    head = ("whole process", "calls", "median", "spread", "CPU", "peak memory")
    return (
        f"An EC2 on this machine with {has}, in pages of 1,000, that answers at once: EC2 itself takes seconds for a"
        f" page. The file: {sizes}. {runs} runs each.\n\n{table(head, rows)}"
    )


def _with(more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, **more}


def fill(server: TinyEc2, number: int) -> None:
    """Give an EC2 so many interfaces: half of them of instances in Auto Scaling groups, with the usual tags."""
    interfaces, reservations = [], []
    drawn = random.Random(0)  # noqa: S311 - not for secrets

    def draw(kind: str) -> str:
        return f"{kind}-0{drawn.getrandbits(64):016x}"

    groups, subnets = [draw("sg") for _ in range(200)], [draw("subnet") for _ in range(48)]
    for one in range(number):
        own = draw("i")
        address = f"10.{one >> 16}.{one >> 8 & 255}.{one & 255}"
        fleet, subnet = one % 200, one % 48
        is_instance = one % 2 == 0
        tags = {"Name": f"fleet-{fleet}", "app": f"app-{fleet % 40}", "team": f"team-{fleet % 9}"}
        description = (
            ""
            if is_instance
            else f"AWS Lambda VPC ENI-function-{fleet}-0b7c1f7e-97f6-4f2c-8b0e-{drawn.getrandbits(48):012x}"
        )
        kind = "interface" if is_instance else "lambda"
        attached = f"<attachTime>2026-11-23T10:00:00.000Z</attachTime><instanceId>{own}</instanceId>"
        interfaces.append(
            f"<item><networkInterfaceId>{draw('eni')}</networkInterfaceId><subnetId>{subnets[subnet]}</subnetId>"
            f"<vpcId>vpc-0</vpcId><availabilityZone>us-east-1a</availabilityZone>"
            f"<description>{description}</description><ownerId>123456789012</ownerId>"
            "<status>in-use</status><macAddress>0a:00:00:00:00:01</macAddress>"
            f"<privateIpAddress>{address}</privateIpAddress><interfaceType>{kind}</interfaceType>"
            f"<groupSet><item><groupId>{groups[fleet]}</groupId><groupName>fleet-{fleet}</groupName></item></groupSet>"
            f"{f'<attachment>{attached}</attachment>' if is_instance else ''}<tagSet/>"
            f"<privateIpAddressesSet><item><privateIpAddress>{address}</privateIpAddress><primary>true</primary></item>"
            "</privateIpAddressesSet></item>"
        )
        if is_instance:
            set_of_tags = _tags({**tags, "aws:autoscaling:groupName": f"fleet-{fleet}"})
            reservations.append(
                f"<item><instancesSet><item><instanceId>{own}</instanceId>"
                f"<instanceState><name>running</name></instanceState>{set_of_tags}</item></instancesSet></item>"
            )
    server.rendered = {"interfaces": interfaces, "reservations": reservations}
    server.put(
        groups=[
            {"groupId": one, "groupName": f"fleet-{number}", "vpcId": "vpc-0"} for number, one in enumerate(groups)
        ],
        subnets=[
            {"subnetId": one, "vpcId": "vpc-0", "availabilityZoneId": f"use1-az{number % 6 + 1}"}
            for number, one in enumerate(subnets)
        ],
        vpcs=[{"vpcId": "vpc-0", "cidrBlock": "10.0.0.0/8"}],
    )


def _tags(tags: Mapping[str, str]) -> str:
    items = "".join(f"<item><key>{key}</key><value>{value}</value></item>" for key, value in tags.items())
    return f"<tagSet>{items}</tagSet>"
