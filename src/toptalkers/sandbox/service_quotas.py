"""The account's quotas of EC2, which MiniStack lacks: an ASGI application that answers Service Quotas' reads.

It knows the two quotas that limit a cluster, with the codes of AWS's list ("Amazon EC2 endpoints and quotas").
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

TARGET = "ServiceQuotasV20190624."

VARIABLE = "TOPTALKERS_SANDBOX_QUOTA"
"""The environment variable that tells MiniStack's process the number of vCPUs of both quotas."""

MANY = 1920
"""The vCPUs of both quotas unless a user asks for others; an account that has been used for a while has as many."""

QUOTAS = {
    "L-1216C47A": "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
    "L-34B43A08": "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
}
"""The quotas, code to name."""

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]


def with_service_quotas(application: Application, vcpus: int, account: str, region: str) -> Application:
    """Put Service Quotas before an application.

    Args:
        application: gets all other requests.
        vcpus: the value of both quotas.
        account: the account in ARNs.
        region: the Region in ARNs.

    """

    def describe(code: str) -> dict[str, Any]:
        return {
            "ServiceCode": "ec2",
            "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
            "QuotaArn": f"arn:aws:servicequotas:{region}:{account}:ec2/{code}",
            "QuotaCode": code,
            "QuotaName": QUOTAS[code],
            "Value": float(vcpus),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }

    def answer(operation: str, request: Any) -> tuple[int, dict[str, Any]]:
        if request.get("ServiceCode") != "ec2":
            return _missing("The request failed because the specified service does not exist.")
        if operation in ("GetServiceQuota", "GetAWSDefaultServiceQuota"):
            code = request.get("QuotaCode")
            if code in QUOTAS:
                return 200, {"Quota": describe(code)}
            return _missing("The request failed because the specified quota does not exist.")
        if operation == "ListServiceQuotas":
            return 200, {"Quotas": [describe(code) for code in QUOTAS]}
        return 400, {"__type": "UnknownOperationException", "message": f"the sandbox does not know {operation!r}"}

    async def serve(scope: Any, receive: Receive, send: Send) -> None:
        target = dict(scope.get("headers", ())).get(b"x-amz-target", b"").decode("latin-1")
        if not target.startswith(TARGET):
            await application(scope, receive, send)
            return
        message = await receive()  # the guard has the whole body in one message, and knows that it is JSON
        request = json.loads(message.get("body") or b"{}")
        status, found = answer(target.removeprefix(TARGET), request if isinstance(request, dict) else {})
        headers = [(b"content-type", b"application/x-amz-json-1.1")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(found).encode()})

    return serve


def _missing(message: str) -> tuple[int, dict[str, Any]]:
    return 400, {"__type": "NoSuchResourceException", "Message": message, "message": message}
