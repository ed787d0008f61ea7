"""`toptalkers sample`: made-up, realistic flow logs."""

from pathlib import Path
from typing import Literal

import click

from toptalkers.cli.progress import progress_bar
from toptalkers.cli.talk import say


@click.command()
@click.option("--records", type=click.IntRange(min=1), required=True, metavar="N", help="How many records.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR", help="The folder to fill."
)
@click.option(
    "--seed", type=int, default=1, show_default=True, metavar="N", help="The same seed makes the same records."
)
@click.option(
    "--layout", type=click.Choice(["default", "rich", "aws-s3"]), default="default", show_default=True,
    help="default: no headers; rich: more fields, with headers; aws-s3: default, with AWS's folders and headers.",
)  # fmt: skip
@click.option(
    "--file-format", type=click.Choice(["text", "parquet"]), default="text", show_default=True,
    help="text: lines, compressed with gzip; parquet: with the columns of AWS's Parquet files.",
)  # fmt: skip
@click.option("--dirty", is_flag=True, help="Add the defects of real files: broken lines, changing headers, ...")
def sample(
    *,
    records: int,
    out: Path,
    seed: int,
    layout: Literal["default", "rich", "aws-s3"],
    file_format: Literal["text", "parquet"],
    dirty: bool,
) -> None:
    """Write the flow logs of a small made-up company, to try things out.

    Two files are beside them, and nothing that reads the folder counts them: truth.json has the conversations that
    were really sent, and snapshot.json what the addresses belong to, for --names.

    \b
    Example:
      toptalkers sample --records 1000000 --out sample/
      toptalkers run-local sample/
      toptalkers run-local sample/ --names sample/snapshot.json --by src.asg,dst.sg,service
      toptalkers sample --records 1000000 --out delivered/ --layout aws-s3 --file-format parquet
    """
    from toptalkers.sample.writer import write_sample

    with progress_bar("writing", records, unit="records") as advance:
        shown = 0

        def progress(written: int) -> None:
            nonlocal shown
            advance(written - shown)
            shown = written

        report = write_sample(
            out,
            records=records,
            seed=seed,
            layout=layout,
            dirty=dirty,
            file_format=file_format,
            progress=progress,
        )
    say(f"{report.records:,} records in {len(report.files):,} file{'s' if len(report.files) > 1 else ''} under {out}")
