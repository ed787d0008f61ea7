/* Divides the lines on standard input into blocks, and prints them; then adds each line up twice, and prints the sums.
 *
 *   divide_stdin SKIPPED PARTS SUMS
 *
 * SKIPPED and PARTS are those of `blocks_divide` in kernel.h, SUMS has a digit per sum: enum sum. test_platforms.py compiles
 * it for other platforms.
 */
#include "kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 16 << 20, ROOM = 32 << 10, FRAME = 12, SHORTEST = 4 };

int main(int argc, char **argv)
{
    static uint8_t lines[MOST], blocks[MOST / SHORTEST * (FRAME + SHORTEST)], room[ROOM];
    uint8_t sums[MOST_SUMS];
    int64_t printed;

    if (argc != 4 || strlen(argv[3]) > MOST_SUMS)
        return 2;
    size_t width = strlen(argv[3]), length = fread(lines, 1, MOST, stdin);
    for (size_t i = 0; i < width; i++)
        sums[i] = (uint8_t)(argv[3][i] - '0');
    size_t skipped = (size_t)atoi(argv[1]);
    printed = blocks_divide(lines, length, skipped, width, (uint32_t)atoi(argv[2]), blocks);
    if (printed < 0)
        return 1;
    fwrite(blocks, 1, (size_t)printed, stdout);
    adder *a = adder_new(sums, width, 1);
    if (!a)
        return 1;
    for (int twice = 0; twice < 2; twice++)
        if (adder_add(a, lines, length) != ADDED_UP)
            return 1;
    while ((printed = adder_print(a, room, ROOM)) > 0)
        fwrite(room, 1, (size_t)printed, stdout);
    if (printed || adder_clear(a))
        return 1;
    adder_free(a);
    return 0;
}
