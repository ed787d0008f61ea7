"""The plan of a dry run, and the rule of thumb for costs: both pure, both right."""

import json
from typing import Any

import pytest

from toptalkers.aws.stack import Change
from toptalkers.aws.stream import Stream
from toptalkers.capture.costs import VENDED_TO_LOGS, estimate_costs, tiered
from toptalkers.capture.prediction import predict_changes
from toptalkers.capture.template import render_template

OURS: dict[str, Any] = json.loads(render_template())


def names(old: dict[str, str], new: dict[str, str]) -> list[str]:
    return [one.resource for one in predict_changes(OURS, old, OURS, new)]


@pytest.mark.parametrize(
    ("parameters", "changed"),
    [
        ({}, []),
        ({"Shards": "4"}, ["Stream"]),
        ({"RetentionDays": "3"}, ["FlowLogGroup"]),
        ({"LogFormat": "${srcaddr}"}, ["Function"]),
        ({"EmrSecurityConfiguration": "mine"}, ["EmrSecurity"]),
    ],
)
def test_a_parameter_changes_what_names_it(parameters: dict[str, str], changed: list[str]) -> None:
    """References, conditions and substitutions are followed, and nothing else is called changed."""
    assert names({}, parameters) == changed


def test_added_changed_removed() -> None:
    """Resources are compared under their conditions; removed ones come last."""
    old = {"Resources": {"A": {"Type": "T"}, "B": {"Type": "T", "Properties": {"x": 1}}}}
    new = {
        "Parameters": {"P": {"Default": "no"}},
        "Conditions": {"Yes": {"Fn::Equals": [{"Ref": "P"}, "yes"]}, "No": {"Fn::Not": [{"Condition": "Yes"}]}},
        "Resources": {
            "B": {"Type": "T", "Properties": {"x": {"Fn::If": ["Yes", 1, 2]}, "y": {"Ref": "AWS::NoValue"}}},
            "C": {"Type": "T", "Condition": "Yes"},
            "D": {"Type": "T", "Condition": "No"},
        },
    }
    assert predict_changes(old, {}, new, {}) == (
        Change("change", "B", "T"),
        Change("add", "D", "T"),
        Change("remove", "A", "T"),
    )
    assert predict_changes(old, {}, new, {"P": "yes"}) == (Change("add", "C", "T"), Change("remove", "A", "T"))


def test_prices_go_down_by_tiers() -> None:
    """Each tier's price counts for what is within it alone."""
    assert tiered(100, VENDED_TO_LOGS) == 50
    assert tiered(10_240 + 20_480 + 20_480 + 100, VENDED_TO_LOGS) == 5120 + 5120 + 2048 + 5


def test_the_direct_way_costs_half() -> None:
    """What 100 GB a month cost over the stream and directly is what the docs say."""
    stream = Stream("s", "ACTIVE", 1, is_on_demand=False)
    over_stream = sum(one.dollars for one in estimate_costs(logs_gb_day=100 / 30, direct_gb_day=0, stream=stream))
    direct = sum(one.dollars for one in estimate_costs(logs_gb_day=0, direct_gb_day=100 / 30, stream=None))
    assert 60 < over_stream < 63
    assert 25 < direct < 26
