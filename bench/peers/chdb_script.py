"""What a ClickHouse user would write for the question, with chdb. Usage: chdb_script.py FOLDER.

ClickHouse's CSV refuses a space between columns; of the formats that take it, this is the quickest.
"""

import sys

import chdb

answer = chdb.query(
    f"""
    SELECT
        concat(if(position(src, ':') > 0, concat('[', src, ']'), src), ':',
               if(position(dst, ':') > 0, concat('[', dst, ']'), dst), ':', port) AS talker,
        count() AS n
    FROM (
        SELECT splitByChar(' ', line) AS columns, columns[4] AS src, columns[5] AS dst, columns[7] AS port
        FROM file('{sys.argv[1]}/*.gz', LineAsString, 'line String')
        WHERE columns[14] = 'OK' AND columns[13] = 'ACCEPT' AND toUInt32OrDefault(port, 65536::UInt32) <= 1024
    )
    GROUP BY src, dst, port
    ORDER BY n DESC, talker
    SETTINGS engine_file_skip_empty_files = 1
    """,
    "TSVRaw",
)
sys.stdout.buffer.write(answer.bytes())
