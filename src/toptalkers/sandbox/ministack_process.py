"""MiniStack as a process of the sandbox: `python -m toptalkers.sandbox.ministack_process FD`.

FD is a listening socket, inherited from the sandbox, so that no other process can take the port first. All other
settings come from the environment. MiniStack's own `main()` would listen by itself, without the guard.
"""

import asyncio
import importlib
import os
import re
import signal
import socket
import sys
from typing import Any

from toptalkers.sandbox.guard import guarded
from toptalkers.sandbox.guarded import die_with_parent
from toptalkers.sandbox.service_quotas import MANY, VARIABLE, with_service_quotas


def main() -> None:
    """Serve until killed."""
    # Its process group holds the processes of functions, too.
    die_with_parent(lambda: os.killpg(os.getpgid(0), signal.SIGKILL))
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    from toptalkers.sandbox.ministack_additions import add_to_ministack

    add_to_ministack()
    descriptor = int(sys.argv[1])
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        port = listener.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{descriptor}"]
    config.keep_alive_timeout = 75
    config.loglevel = os.environ.get("LOG_LEVEL", "INFO")
    application = with_service_quotas(
        vars(importlib.import_module("ministack.app"))["app"],
        int(os.environ.get(VARIABLE, MANY)),
        os.environ["MINISTACK_ACCOUNT_ID"],
        os.environ["MINISTACK_REGION"],
    )
    asyncio.run(serve(guarded(application, find_secret, port), config))  # type: ignore[arg-type]


def find_secret(access_key: str) -> str | None:
    """Return the secret of the root user, of a user's access key or of a role's session; None for any other."""
    evaluator: Any = importlib.import_module("ministack.core.iam_evaluator")
    account = access_key if re.fullmatch(r"[0-9]{12}", access_key) else None
    found = evaluator.resolve_credential(access_key, account or evaluator.find_iam_access_key_account(access_key))
    return getattr(found, "secret_access_key", None)


if __name__ == "__main__":
    main()
