"""Buckets that the stack does not make: those that it takes over, and those that clusters may read.

CloudFormation refuses to make a bucket policy where there is one. So a bucket that is taken over gets its settings
from here: what the template declares for a bucket of its own is merged with what is there. Statements and lifecycle
rules of others are never removed.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from toptalkers import locations
from toptalkers.aws.account import Account
from toptalkers.aws.bucket import BucketSettings
from toptalkers.aws.failures import AwsError
from toptalkers.aws.identity import Identity
from toptalkers.capture.our_stack import OurStack
from toptalkers.capture.resolve import Resolver
from toptalkers.errors import ToptalkersError, UsageError

_INSTEAD = ", instead of the one of that name"


@dataclass(frozen=True, slots=True)
class BucketPlan:
    """What is changed of the settings of a bucket that is taken over.

    Attributes:
        name: the name of the bucket.
        owner: the number of its account.
        before: its settings now.
        after: its settings when the plan is executed.
        changes: one line per change.
        notes: what else there is to say.
        shortened: prefixes with objects that would expire sooner, by the parameter that says when.

    """

    name: str
    owner: str
    before: BucketSettings
    after: BucketSettings
    changes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    shortened: tuple[tuple[str, str], ...] = ()


def bucket_name(text: str) -> str:
    """Return the name of a bucket, given by its name, or by the S3 URI of anything in it.

    Raises:
        UsageError: it is not the name of a bucket.

    """
    name = text.removeprefix("s3://").partition("/")[0]
    if not re.fullmatch(locations.BUCKET_NAME, name) or ("/" in text and not text.startswith("s3://")):
        raise UsageError(f"{text!r} is not the name of a bucket", hint="give NAME or s3://NAME/...")
    return name


def plan_bucket(
    account: Account, bucket: str, template: Mapping[str, Any], parameters: Mapping[str, str], stack: OurStack | None
) -> BucketPlan:
    """Plan what a bucket lacks of the settings that a template declares for the stack's own; this only reads.

    Args:
        account: the account and Region that the bucket must be in.
        bucket: its name.
        template: the template.
        parameters: the parameters of the stack by name.
        stack: the stack as it is; None if it is new.

    Raises:
        ToptalkersError: there is no such bucket, it is in another Region, it belongs to another account, or it may not
            be read.

    """
    me = account.identity.get()
    region = account.buckets.region(bucket, me.account_id)
    if region is None:
        raise ToptalkersError(f"there is no bucket {bucket!r}", hint="'aws s3 ls' lists those of the account")
    if region != account.region:
        raise ToptalkersError(
            f"the bucket {bucket!r} is in {region}, and the stack in {account.region}",
            hint=f"--region {region} makes the stack there",
        )
    before = account.buckets.settings(bucket, me.account_id)
    resolver = _resolver(account, me, bucket, template, parameters, stack)
    declared = template["Resources"]["Bucket"]["Properties"]
    properties = resolver.resolve(declared)
    statements = resolver.resolve(template["Resources"]["BucketPolicy"]["Properties"])["PolicyDocument"]["Statement"]
    changes: list[str] = []
    notes: list[str] = []

    policy, sids = merge_policy(before.policy, statements)
    there = {one.get("Sid") for one in _statements(before.policy)}
    changes += [f"policy: statement {one}{_INSTEAD if one in there else ''}" for one in sids]

    wanted_rules = [_rule(one) for one in properties["LifecycleConfiguration"]["Rules"]]
    rules, new = merge_rules(before.rules, wanted_rules)
    there = {one.get("ID") for one in before.rules}
    changes += [f"lifecycle: {_describe_rule(one)}{_INSTEAD if one['ID'] in there else ''}" for one in new]
    shortened = [
        (prefix, parameter)
        for prefix, parameter in _shortened(before.rules, new, declared["LifecycleConfiguration"]["Rules"])
        if next(account.storage.list(bucket, prefix), None)
    ]

    block = {**before.public_access_block, **properties["PublicAccessBlockConfiguration"]}
    if block != before.public_access_block:
        changes.append("public access: blocked")

    [wanted] = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    encryption, said = _merge_encryption(before.encryption, wanted)
    (changes if encryption is not before.encryption else notes).extend([said] if said else [])

    [ownership] = [one["ObjectOwnership"] for one in properties["OwnershipControls"]["Rules"]]
    if ownership != before.ownership:
        changes.append(f"ownership: {ownership}, so that access control lists have no effect")

    after = replace(
        before, policy=policy, rules=rules, public_access_block=block, encryption=encryption, ownership=ownership
    )
    return BucketPlan(bucket, me.account_id, before, after, tuple(changes), tuple(notes), tuple(shortened))


def _shortened(
    have: Iterable[Mapping[str, Any]], new: Iterable[Mapping[str, Any]], declared: Iterable[Mapping[str, Any]]
) -> Iterable[tuple[str, str]]:
    """Yield the prefixes whose objects would expire sooner than before, each with the parameter that says when."""
    before = {
        one["Filter"].get("Prefix"): one.get("Expiration", {}).get("Days")
        for one in map(_with_filter, have)
        if one["Status"] == "Enabled"
    }
    days = {one["Id"]: one.get("ExpirationInDays") for one in declared}
    for one in new:
        by = days[one["ID"]]
        prefix = one["Filter"]["Prefix"]
        if isinstance(by, Mapping) and one["Expiration"]["Days"] < (before.get(prefix) or math.inf):
            yield prefix, str(by["Ref"])


def mend_bucket(account: Account, plan: BucketPlan) -> None:
    """Execute a plan; a setting that is as it should be is not written."""
    before, after, of = plan.before, plan.after, (plan.name, plan.owner)
    if after.ownership != before.ownership:
        account.buckets.put_ownership(*of, after.ownership)
    if after.public_access_block != before.public_access_block:
        account.buckets.put_public_access_block(*of, after.public_access_block)
    if after.encryption != before.encryption:
        account.buckets.put_encryption(*of, after.encryption)
    if after.policy != before.policy:
        account.buckets.put_policy(*of, after.policy)
    if after.rules != before.rules:
        account.buckets.put_rules(*of, after.rules, after.size_rule)


def mend_bucket_policy(account: Account, stack: OurStack) -> tuple[str, ...]:
    """Put back the statements of the template that the policy of a stack's bucket lacks; return their Sids.

    AWS writes a policy of its own when a flow log to the bucket is made by somebody who may, and that "overwrites any
    existing policy" (VPC user guide, "Amazon S3 bucket permissions for flow logs"). Its statements stay.

    Raises:
        AwsError: the policy may not be read or written.

    """
    template = account.stacks.template(stack.arn)
    declared = template.get("Resources", {}).get("BucketPolicy")
    if declared is None:
        return ()
    me = account.identity.get()
    resolver = _resolver(account, me, stack.bucket, template, stack.parameters, stack)
    statements = resolver.resolve(declared["Properties"])["PolicyDocument"]["Statement"]
    policy, sids = merge_policy(account.buckets.policy(stack.bucket, me.account_id), statements)
    if sids:
        account.buckets.put_policy(stack.bucket, me.account_id, policy)
    return sids


def _resolver(
    account: Account,
    me: Identity,
    bucket: str,
    template: Mapping[str, Any],
    parameters: Mapping[str, str],
    stack: OurStack | None,
) -> Resolver:
    """Make a resolver that works out the template's bucket as if it had this name."""

    def physical(name: str) -> str:
        # Such as the ARN of the key that the stack makes, which is only known when it has been made.
        resource = name.partition(".")[0]
        own = account.stacks.physical_id(stack.arn, resource) if stack else None
        if template["Resources"].get(resource, {}).get("Type") == "AWS::KMS::Key":
            return f"arn:{me.partition}:kms:{account.region}:{me.account_id}:key/{own or 'of-the-stack'}"
        return own or name

    values = {
        "AWS::Partition": me.partition,
        "AWS::Region": account.region,
        "AWS::AccountId": me.account_id,
        "AWS::StackName": stack.name if stack else "",
        "Bucket": bucket,
        "Bucket.Arn": f"arn:{me.partition}:s3:::{bucket}",
    }
    return Resolver(template, {**parameters, **values}, physical)


def merge_policy(
    policy: Mapping[str, Any], wanted: Sequence[Mapping[str, Any]]
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Add the wanted statements that a policy lacks; return the policy, and the Sids of those added or replaced.

    A statement with the Sid of a wanted one, but other content, is replaced. All others stay as they are.
    """
    have = _statements(policy)
    known = {(one.get("Sid"), _canonical(one)) for one in have}
    missing = [one for one in wanted if (one["Sid"], _canonical(one)) not in known]
    if not missing:
        return policy, ()
    sids = tuple(str(one["Sid"]) for one in missing)
    kept = [one for one in have if one.get("Sid") not in sids]
    return {"Version": "2012-10-17", **policy, "Statement": [*kept, *missing]}, sids


def _statements(policy: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = policy.get("Statement", [])
    return [found] if isinstance(found, Mapping) else list(found)


def _canonical(statement: Mapping[str, Any]) -> str:
    """Write a statement so that two with the same meaning are the same text (IAM user guide, "Grammar")."""

    def listed(value: Any) -> list[str]:
        return sorted(str(one) for one in (value if isinstance(value, list) else [value]))

    def conditions(test: str, tests: Mapping[str, Any]) -> dict[str, list[str]]:
        values = {name.lower(): listed(value) for name, value in tests.items()}
        return {name: [one.lower() for one in some] if test == "bool" else some for name, some in values.items()}

    def plain(key: str, value: Any) -> Any:
        if key == "Principal":
            value = {"AWS": "*"} if value == "*" else value
            return {kind: listed(who) for kind, who in value.items()}
        if key == "Condition":
            return {test.lower(): conditions(test.lower(), tests) for test, tests in value.items()}
        return [one.lower() for one in listed(value)] if key in ("Action", "NotAction") else listed(value)

    return json.dumps({key: plain(key, value) for key, value in statement.items() if key != "Sid"}, sort_keys=True)


def _rule(declared: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a lifecycle rule of CloudFormation into one of the S3 API."""
    rule: dict[str, Any] = {
        "ID": declared["Id"],
        "Status": declared["Status"],
        "Filter": {"Prefix": declared.get("Prefix", "")},
    }
    if "ExpirationInDays" in declared:
        rule["Expiration"] = {"Days": int(declared["ExpirationInDays"])}
    if "AbortIncompleteMultipartUpload" in declared:
        rule["AbortIncompleteMultipartUpload"] = declared["AbortIncompleteMultipartUpload"]
    return rule


def merge_rules(
    rules: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]
) -> tuple[tuple[Mapping[str, Any], ...], tuple[Mapping[str, Any], ...]]:
    """Add the wanted lifecycle rules that are missing, or are otherwise; return all rules, and those added or replaced.

    S3 does not take rules with the old `Prefix` beside rules with a `Filter` (S3 API reference, LifecycleRule), so old
    ones of others are written the new way.
    """
    have = {one.get("ID"): _with_filter(one) for one in rules}
    new = tuple(one for one in wanted if have.get(one["ID"]) != one)
    if not new:
        return tuple(rules), ()
    replaced = {one["ID"] for one in new}
    return (*(_with_filter(one) for one in rules if one.get("ID") not in replaced), *new), new


def _with_filter(rule: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(rule)
    prefix = found.pop("Prefix", "")
    return {**found, "Filter": found.get("Filter") or {"Prefix": prefix}}


def _describe_rule(rule: Mapping[str, Any]) -> str:
    where = rule["Filter"]["Prefix"] or "all objects"
    days = rule.get("Expiration", {}).get("Days")
    return f"{where} expires after {days} days" if days else f"{where}: {rule['ID']}"


def _merge_encryption(have: Mapping[str, Any], declared: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Return the encryption that a bucket is to have, and what to say of it. A key is never exchanged for S3's own."""
    default = "ServerSideEncryptionByDefault"
    rest = {key: value for key, value in declared.items() if key != default}
    wanted = {**have, **rest, f"Apply{default}": declared[default]}
    mine = have.get("ApplyServerSideEncryptionByDefault", {})
    key = wanted["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID")
    if key is None:
        if not mine:
            return wanted, "encryption: SSE-S3"
        own = mine.get("KMSMasterKeyID")
        return have, (
            f"it is encrypted with {own}: 'toptalkers deploy --kms-key {own}' lets the stack's roles use it"
            if own
            else ""
        )
    if mine.get("SSEAlgorithm", "").startswith("aws:kms") and mine.get("KMSMasterKeyID") == key:
        return have, ""
    return wanted, f"encryption: {key}"


def reading_statements(
    account: Account, stack: OurStack, buckets: Sequence[str], keys: Sequence[str]
) -> list[tuple[str, Mapping[str, Any]]]:
    """Return what the owners of buckets and keys must allow: for those of others, a role of the stack is not enough.

    Args:
        account: the account of the clusters.
        stack: the stack, as deployed.
        buckets: the names of buckets that clusters are to read.
        keys: the ARNs of the keys of such buckets.

    Returns:
        The bucket or key, and a statement for its policy, of those that another account has, or may have.

    """
    me = account.identity.get()
    to = {"Effect": "Allow", "Principal": {"AWS": stack.nodes_role}}
    found: list[tuple[str, Mapping[str, Any]]] = []
    for name in buckets:
        arn = f"arn:{me.partition}:s3:::{name}"
        if not _is_own(account, name, me):
            actions = ["s3:GetBucketLocation", "s3:ListBucket", "s3:GetObject"]
            found.append((f"s3://{name}", {**to, "Action": actions, "Resource": [arn, f"{arn}/*"]}))
    decrypting = {**to, "Action": ["kms:Decrypt", "kms:DescribeKey"], "Resource": "*"}
    return found + [(key, decrypting) for key in keys if f":{me.account_id}:" not in key]


def absent_buckets(account: Account, buckets: Sequence[str]) -> tuple[str, ...]:
    """Return those of some buckets that do not exist. One that we may not look at counts as existing."""
    if not buckets:
        return ()
    owner = account.identity.get().account_id
    absent = []
    for name in buckets:
        with suppress(AwsError):
            if account.buckets.region(name, owner) is None:
                absent.append(name)
    return tuple(absent)


def _is_own(account: Account, bucket: str, me: Identity) -> bool:
    """Whether a bucket is known to be the account's."""
    try:
        return account.buckets.region(bucket, me.account_id) is not None
    except AwsError:
        return False


def format_statements(statements: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """Format statements for others as lines."""
    lines: list[str] = []
    for what, statement in statements:
        lines.append(f"If {what} is another account's, its owner must add this statement to its policy:")
        lines += json.dumps(statement, indent=2).split("\n")
    return "\n".join(lines)
