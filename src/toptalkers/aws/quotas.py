"""Service Quotas: how many vCPUs an account may run.

API operations: GetServiceQuota (servicequotas:GetServiceQuota). A run does without it when it is denied.
"""

from typing import Any, Literal

from toptalkers.aws.failures import explained

Market = Literal["on demand", "Spot"]

CODES: dict[Market, str] = {"on demand": "L-1216C47A", "Spot": "L-34B43A08"}
"""The quotas of EC2 for vCPUs of standard instances, "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"
and "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests" (EC2 user guide). A new account begins with 5."""


class QuotaGateway:
    """Service Quotas, through the given client."""

    def __init__(self, client: Any) -> None:
        """Take the client of `service-quotas`."""
        self._client = client

    @explained("servicequotas")
    def vcpus(self, market: Market) -> int:
        """Return how many vCPUs of standard instances the account may run in this Region."""
        return int(self._client.get_service_quota(ServiceCode="ec2", QuotaCode=CODES[market])["Quota"]["Value"])
