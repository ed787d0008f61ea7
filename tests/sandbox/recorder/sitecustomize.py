"""Record the calls to AWS of every `toptalkers` command in a sandbox: Python imports this at its start.

Appends one JSON object per call to the file that TOPTALKERS_TEST_CALLS names: command, service, operation, request.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any


def _record() -> None:
    import botocore.client

    from toptalkers.permissions import COMMANDS

    words = sys.orig_argv
    name = next((one for one in words if one in COMMANDS), "")
    if "toptalkers" not in " ".join(words[:4]) or not name:
        return
    client_type: Any = botocore.client.BaseClient
    call = client_type._make_api_call

    def recorded(client: Any, operation: str, request: object) -> object:
        service = client.meta.service_model.service_name
        with Path(os.environ["TOPTALKERS_TEST_CALLS"]).open("a") as file:
            print(json.dumps([name, service, operation, request], default=str), file=file)
        return call(client, operation, request)

    client_type._make_api_call = recorded


if os.environ.get("TOPTALKERS_TEST_CALLS") and "sandbox" not in sys.orig_argv:
    _record()
