"""Types of options: text in, a checked value out."""

import click


class PairType(click.ParamType[tuple[str, str]]):
    """`key=value`; the value may hold further `=`."""

    name = "k=v"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split at the first `=`."""
        key, equals, rest = str(value).partition("=")
        if not equals or not key:
            self.fail(f"{value!r} is not written as key=value", param, ctx)
        return key, rest


PAIR = PairType()
