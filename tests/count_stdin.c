/* Counts the flow log on standard input with the kernel, all ports and actions, and prints the tally, the ranking, and
 * the lines of the mapper.
 *
 *   count_stdin FIELDS HEADERLESS METRIC
 *
 * The first two are those of `question` in kernel.h. test_platforms.py compiles it for other platforms.
 */
#include "kernel.h"

#include <stdio.h>
#include <string.h>

enum { PIECE = 65537, LINES = 1 << 20 };

int main(int argc, char **argv)
{
    static uint8_t ports[1 << 16], room[LINES];
    int64_t tally[TALLIES], printed;
    size_t length, at = 0;

    if (argc != 4)
        return 2;
    memset(ports, 1, sizeof ports);
    question asked = {
        .fields = argv[1], .headerless = argv[2], .sums = argv[3],
        .ports = ports,
        .since = INT64_MIN, .until = INT64_MAX, .seed = 1
    };
    counter *c = counter_new(&asked);
    if (!c)
        return 1;
    while ((length = fread(room, 1, PIECE, stdin)) > 0)
        if (counter_feed(c, room, length))
            return 1;
    if (counter_end_lines(c, tally))
        return 1;
    counter_end_file(c, 1);
    for (int i = 0; i < TALLIES; i++)
        printf("%lld\n", (long long)tally[i]);
    ranking *ranked = ranking_new(c, 0);
    if (!ranked)
        return 1;
    while ((length = ranking_read(ranked, room, LINES)) > 0)
        fwrite(room, 1, length, stdout);
    ranking_free(ranked);
    while ((printed = counter_print(c, &at, room, LINES)) > 0)
        fwrite(room, 1, (size_t)printed, stdout);
    if (printed)
        return 1;
    counter_free(c);
    return 0;
}
