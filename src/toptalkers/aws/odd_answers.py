"""Answers that no AWS service gives: a proxy's page, an empty body, JSON of other types. Clients refuse them here."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botocore.client import BaseClient
from botocore.parsers import ResponseParserError

_HTML = re.compile(rb"\s*<(?:!doctype )?html", re.IGNORECASE)


def refuse_odd_answers(client: BaseClient) -> None:
    """Make a client raise ResponseParserError for an answer that cannot come from its service.

    In a page of HTML and in an empty body botocore finds no member of the answer, so that a listing would say that
    nothing is there. From JSON it passes on whatever types it finds.
    """
    client.meta.events.register("before-parse", _refuse_html)
    client.meta.events.register("after-call", _refuse_types)
    if client.meta.service_model.service_name == "s3":
        client.meta.events.register("after-call.s3.ListObjectsV2", _require_listing)


def _refuse_html(response_dict: Mapping[str, Any], **_: object) -> None:
    body = response_dict["body"]
    if isinstance(body, bytes) and response_dict["status_code"] == 200 and _HTML.match(body):
        raise ResponseParserError("it is a page of HTML")


def _require_listing(parsed: Mapping[str, Any], **_: object) -> None:
    if "Error" not in parsed and "IsTruncated" not in parsed:
        raise ResponseParserError("it is no listing")


def _refuse_types(http_response: Any, parsed: Any, model: Any, **_: object) -> None:
    # Values read from XML have the types of the model, until botocore makes more of them (it parses a template).
    is_xml = model.service_model.resolved_protocol in ("ec2", "query", "rest-xml")
    if http_response.status_code < 300 and model.output_shape and not is_xml:
        _require_types(parsed, model.output_shape)


_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "timestamp": (datetime,),
}


def _require_types(value: Any, shape: Any) -> None:
    fits: bool = isinstance(value, _TYPES.get(shape.type_name, object))
    if not fits:
        raise ResponseParserError(f"{shape.name} is a {type(value).__name__}")
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if value.get(name) is not None:
                _require_types(value[name], member)
    elif shape.type_name == "list":
        for one in value:
            _require_types(one, shape.member)
    elif shape.type_name == "map":
        for one in value.values():
            _require_types(one, shape.value)
