"""What commands get their doors to AWS from; a test hands in its own as `obj=`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toptalkers.aws.gateways import Gateways


class Factory:
    """Makes gateways; boto3 is imported when that is asked for, not before."""

    def gateways(self, *, region: str | None, profile: str | None) -> "Gateways":
        """Open the account and Region that are named, or those that the AWS CLI would take."""
        from toptalkers.aws.account import Clients
        from toptalkers.aws.gateways import Gateways
        from toptalkers.cli.talk import say

        return Gateways(Clients(region=region, profile=profile, tell=say))
