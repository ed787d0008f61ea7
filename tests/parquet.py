"""Flow records as Parquet files, written by DuckDB: another tool than the one that reads them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from toptalkers.flowlog.fields import FIELDS, FieldType

AWS_TYPES = {FieldType.INT_32: "INTEGER", FieldType.INT_64: "BIGINT", FieldType.STRING: "VARCHAR"}
"""DuckDB's words for the types that AWS gives its columns."""


def write_parquet(
    path: Path,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    types: Mapping[str, str] | None = None,
    options: str = "",
) -> Path:
    """Write records, whose values are texts and `-` for none, with underscores in the names of their columns.

    `types` has DuckDB's type of each column by its name; by default all are texts.
    """
    types = types or {}
    names = [f'"{column.replace("-", "_")}"' for column in columns]
    typed = ", ".join(
        f"CAST(NULLIF({name}, '-') AS {types.get(column, 'VARCHAR')}) AS {name}"
        for name, column in zip(names, columns, strict=True)
    )
    values = ", ".join("({})".format(", ".join("'{}'".format(text.replace("'", "''")) for text in row)) for row in rows)
    _database.execute(
        f"COPY (SELECT {typed} FROM (VALUES {values}) AS records({', '.join(names)})) TO '{path}'"  # noqa: S608
        f" (FORMAT parquet {options})"
    )
    return path


def aws_types(columns: Sequence[str]) -> dict[str, str]:
    """The types that AWS gives columns."""
    return {column: AWS_TYPES[FIELDS[column].type] for column in columns}


_database = duckdb.connect()
