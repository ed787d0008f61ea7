"""Write records as AWS delivers them in Parquet: its types, underscores in the names, nulls for `-`, gzip."""

import io
from collections.abc import Sequence

from toptalkers.flowlog.fields import FIELDS, FieldType, column_name
from toptalkers.flowlog.layout import Layout


def to_parquet(lines: Sequence[str], layout: Layout) -> bytes:
    """Return a Parquet file of record lines. Needs pyarrow."""
    import pyarrow as pa
    from pyarrow import parquet

    types = {FieldType.INT_32: pa.int32(), FieldType.INT_64: pa.int64(), FieldType.STRING: pa.string()}
    schema = pa.schema([(column_name(name), types[FIELDS[name].type]) for name in layout.columns])
    columns = zip(*(line.split(" ") for line in lines), strict=True) if lines else ((),) * len(layout)
    arrays = []
    for texts, field in zip(columns, schema, strict=True):
        read = str if field.type == pa.string() else int
        arrays.append(pa.array([None if text == "-" else read(text) for text in texts], field.type))
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_arrays(arrays, schema=schema), out, compression="gzip")
    return out.getvalue()
