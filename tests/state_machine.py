"""A small Step Functions: runs a state machine of the Amazon States Language with JSONata, as the language has it.

It knows what ours uses: Pass, Task, Map, Choice, Wait, Succeed and Fail; Assign, Output, Retry (as no retry) and Catch.
A variable that has no value yet is an error, as in Step Functions. Operations are called by the caller's function.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import jsonata
from botocore.exceptions import ClientError

STATE_FIELDS = {
    "Pass": {"Assign", "Output"},
    "Task": {"Resource", "Arguments", "Assign", "Output", "Retry", "Catch"},
    "Map": {"Items", "ItemProcessor", "Assign", "Output", "Catch", "MaxConcurrency"},
    "Choice": {"Choices", "Default"},
    "Wait": {"Seconds"},
    "Succeed": {"Output"},
    "Fail": {"Error", "Cause"},
}
"""What a state of each type may have (States Language specification), of what ours uses."""

RESULT_BYTES = 262_144
"""The largest result of a state (Step Functions quotas)."""


@dataclass
class Execution:
    """One execution: `call` is given the service, the operation and the arguments; `path` has the states entered."""

    machine: dict[str, Any]
    call: Callable[[str, str, dict[str, Any]], Any]
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    path: list[str] = field(default_factory=list)
    error: str = ""
    cause: str = ""
    output: Any = None

    def run(self, given: Any) -> str:
        """Run to the end, and return its status."""
        context = {"Execution": {"Id": "arn:execution", "StartTime": self._stamp()}}
        try:
            self.output = self._run(self.machine, given, {}, context)
        except _FailedError as failed:
            self.error, self.cause = failed.args
            return "FAILED"
        return "SUCCEEDED"

    def _stamp(self) -> str:
        return self.now().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def _run(self, machine: dict[str, Any], given: Any, variables: dict[str, Any], context: dict[str, Any]) -> Any:
        name = machine["StartAt"]
        while True:
            state = machine["States"][name]
            self.path.append(name)
            assert len(self.path) < 10_000, "it does not end"
            unknown = state.keys() - STATE_FIELDS[state["Type"]] - {"Type", "Next", "End", "Comment", "QueryLanguage"}
            assert not unknown, (name, unknown)
            states = {"input": given, "context": context}

            def value(
                what: Any, states: dict[str, Any] = states, name: str = name, variables: dict[str, Any] = variables
            ) -> Any:
                return self._value(what, {**variables, "states": states}, name)

            made, kind = given, state["Type"]
            taken: dict[str, Any] = state
            try:
                if kind == "Task":
                    made = states["result"] = self._task(state, value)
                elif kind == "Map":
                    made = states["result"] = [
                        self._run(state["ItemProcessor"], item, dict(variables), context)
                        for item in value(state["Items"])
                    ]
                elif kind == "Wait":
                    self.sleep(state["Seconds"])
                elif kind == "Choice":
                    chosen = [one["Next"] for one in state["Choices"] if value(one["Condition"]) is True]
                    name = chosen[0] if chosen else state["Default"]
                    continue
                elif kind == "Fail":
                    raise _FailedError(value(state["Error"]), value(state["Cause"]))
            except ClientError as error:
                if "Catch" not in state:
                    raise _FailedError(error.response["Error"]["Code"], error.response["Error"]["Message"]) from error
                (taken,) = state["Catch"]
                made = states["errorOutput"] = {
                    "Error": error.response["Error"]["Code"],
                    "Cause": error.response["Error"]["Message"],
                }
            assigned = {variable: value(one) for variable, one in taken.get("Assign", {}).items()}
            if "Output" in taken:
                made = value(taken["Output"])
            variables.update(assigned)
            if kind == "Succeed" or state.get("End"):
                return made
            name, given = taken["Next"], made

    def _task(self, state: dict[str, Any], value: Callable[[Any], Any]) -> Any:
        integration = state["Resource"]["Fn::Sub"]
        match = re.fullmatch(r"arn:\$\{AWS::Partition\}:states:::aws-sdk:([a-z0-9]+):([a-zA-Z0-9]+)", integration)
        assert match, integration
        result = self.call(match[1], match[2], value(state["Arguments"]))
        assert len(str(result)) < RESULT_BYTES
        return result

    def _value(self, what: Any, variables: dict[str, Any], name: str) -> Any:
        if isinstance(what, dict):
            return {key: self._value(one, variables, name) for key, one in what.items()}
        if isinstance(what, list):
            return [self._value(one, variables, name) for one in what]
        if not (isinstance(what, str) and what.startswith("{%") and what.endswith("%}")):
            return what
        text = what[2:-2].strip().replace("$millis()", str(int(self.now().timestamp() * 1000)))
        known = {*variables, *re.findall(r"\$(\w+) :=", text), *re.findall(r"\$(\w+)(?=[^()]*\) *{)", text)}
        named = set(re.findall(r"\$(\w+)\b(?! *\()", re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)))
        assert named <= known, f"{name}: {named - known} have no value"
        made = jsonata.Jsonata.jsonata(text).evaluate(None, variables)
        assert made is not None, f"{name}: {text} has no value"
        return made


class _FailedError(Exception):
    """An execution that has failed: an error and a cause."""
