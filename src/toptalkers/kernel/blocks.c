/* The shuffle of a cluster, in blocks of lines (job/blocks.py): a mapper divides its lines into parts by their keys, and a
 * reducer adds up the lines of a part. job/blocks.py and job/sum_blocks.py have the same rules in Python. */
#include "reader.h"

#include <errno.h>
#include <stdlib.h>

enum { BLOCK_BYTES = 64 << 10, BYTE_VALUES = 256, LENGTH_BYTES = 4, MOST_KEY_BYTES = LONGEST_KEY * (LONGEST_TEXT + 1) };

/* CRC-32 as zlib computes it, a byte at a time. */
static void fill_crc_table(uint32_t table[BYTE_VALUES]) {
    for (uint32_t byte = 0; byte < BYTE_VALUES; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
        table[byte] = value;
    }
}

static uint32_t crc_of(const uint32_t table[BYTE_VALUES], const uint8_t *bytes, size_t length) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < length; i++)
        crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 0xff];
    return ~crc;
}

/* Where the key of a line ends, before so many sums; NULL if it has fewer. `end` is where its line feed is. */
static const uint8_t *end_of_key(const uint8_t *line, const uint8_t *end, size_t width) {
    for (const uint8_t *at = end; at > line;) {
        if (*--at == '\t' && !--width)
            return at;
    }
    return NULL;
}

/* --- dividing --- */

typedef struct {
    const uint8_t *line;
    uint32_t length, part;
} divided_line;

static uint8_t *print_length(uint8_t *to, size_t length) {
    for (int shift = 24; shift >= 0; shift -= 8)
        *to++ = (uint8_t)(length >> shift);
    return to;
}

/* Write the lines of a part, which follow each other in `all`, as blocks. */
static uint8_t *print_part(uint8_t *to, const divided_line *all, const uint32_t *order, size_t number) {
    uint8_t *length_at = NULL;
    for (size_t i = 0; i < number; i++) {
        const divided_line *one = &all[order[i]];
        if (!length_at) {
            to = print_length(to, LENGTH_BYTES);
            to = print_length(to, one->part);
            length_at = to;
            to += LENGTH_BYTES;
        }
        memcpy(to, one->line, one->length);
        to += one->length;
        size_t length = (size_t)(to - length_at) - LENGTH_BYTES;
        if (length >= BLOCK_BYTES || i + 1 == number) {
            print_length(length_at, length);
            length_at = NULL;
        }
    }
    return to;
}

int64_t blocks_divide(const uint8_t *lines, size_t length, size_t skipped, size_t width, uint32_t parts, uint8_t *room) {
    size_t number = 0, known = 0;
    const uint8_t *end = lines + length;
    if (length && end[-1] != '\n') {
        errno = EINVAL;
        return -1;
    }
    for (const uint8_t *at = lines; at < end; at++, number++)
        at = memchr(at, '\n', (size_t)(end - at));
    divided_line *all = malloc((number + 1) * sizeof *all);
    uint32_t *order = malloc((number + 1) * sizeof *order);
    uint32_t *starts = calloc((size_t)parts + 2, sizeof *starts);
    int64_t written = -1;
    if (all && order && starts) {
        uint32_t table[BYTE_VALUES];
        fill_crc_table(table);
        for (const uint8_t *at = lines; known < number;) {
            const uint8_t *line = at + skipped, *line_end = memchr(at, '\n', (size_t)(end - at));
            const uint8_t *key_end = line < line_end ? end_of_key(line, line_end, width) : NULL;
            if (!key_end) {
                errno = EINVAL;
                break;
            }
            uint32_t part = crc_of(table, line, (size_t)(key_end - line)) % parts;
            all[known++] = (divided_line){line, (uint32_t)(line_end + 1 - line), part};
            starts[part + 2]++;
            at = line_end + 1;
        }
        if (known == number) {
            for (size_t part = 2; part < (size_t)parts + 2; part++)
                starts[part] += starts[part - 1];
            for (size_t i = 0; i < number; i++)
                order[starts[all[i].part + 1]++] = (uint32_t)i;
            uint8_t *to = room;
            for (size_t part = 0; part < parts; part++)
                to = print_part(to, all, order + starts[part], starts[part + 1] - starts[part]);
            written = to - room;
        }
    }
    free(all);
    free(order);
    free(starts);
    return written;
}

/* --- adding up --- */

struct adder {
    distinct *keys;
    int64_t *values; /* of each key, by its number, all sums */
    size_t room;     /* for so many keys */
    size_t printed;  /* so many keys */
    uint64_t seed;
    uint32_t sums;
    uint8_t sum[MOST_SUMS]; /* enum sum: ADDED, FIRST, LAST */
};

static const int64_t LATEST_TIME = 253402300799; /* the last second of the year 9999 */

adder *adder_new(const uint8_t *sum, size_t width, uint64_t seed) {
    adder *a = width <= MOST_SUMS ? calloc(1, sizeof *a) : NULL;
    if (!a)
        return NULL;
    a->sums = (uint32_t)width;
    a->seed = seed;
    memcpy(a->sum, sum, width);
    if ((a->keys = distinct_new(seed)))
        return a;
    free(a);
    return NULL;
}

void adder_free(adder *a) {
    if (a->keys)
        distinct_free(a->keys);
    free(a->values);
    free(a);
}

/* Read a sum that ends where a tab or a line feed is; -1 if it is none. */
static int64_t read_value(const uint8_t *at, const uint8_t *end) {
    int64_t value = 0;
    if (at == end || end - at >= LONGEST_NUMBER)
        return -1;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *at - '0', &value))
            return -1;
    }
    return value;
}

static enum added add_values(adder *a, int32_t number, bool is_new, const int64_t *values) {
    int64_t *to = a->values + (size_t)number * a->sums;
    for (size_t i = 0; i < a->sums; i++) {
        if (is_new)
            to[i] = values[i];
        else if (a->sum[i] == FIRST)
            to[i] = values[i] < to[i] ? values[i] : to[i];
        else if (a->sum[i] == LAST)
            to[i] = values[i] > to[i] ? values[i] : to[i];
        else if (__builtin_add_overflow(to[i], values[i], &to[i]))
            return TOO_LARGE;
    }
    return ADDED_UP;
}

/* Room for the values of so many more keys; false without memory. */
static bool more_values(adder *a, size_t more) {
    size_t keys = distinct_keys(a->keys) + more;
    if (keys <= a->room)
        return true;
    size_t room = 2 * a->room < keys ? 2 * keys : 2 * a->room;
    int64_t *larger = realloc(a->values, room * a->sums * sizeof *larger);
    if (!larger)
        return false;
    a->values = larger;
    a->room = room;
    return true;
}

enum added adder_add(adder *a, const uint8_t *lines, size_t length) {
    const uint8_t *at = lines, *end = lines + length;
    text_key keys[KEYS_TOGETHER];
    int64_t values[KEYS_TOGETHER][MOST_SUMS];
    int32_t numbers[KEYS_TOGETHER];
    if (!length || end[-1] != '\n')
        return WRONG_LINE;
    while (at < end) {
        size_t together = 0;
        for (; together < KEYS_TOGETHER && at < end; together++) {
            const uint8_t *line_end = memchr(at, '\n', (size_t)(end - at));
            const uint8_t *key_end = end_of_key(at, line_end, a->sums);
            if (!key_end || key_end == at || key_end - at > MOST_KEY_BYTES)
                return WRONG_LINE;
            keys[together] = (text_key){at, (size_t)(key_end - at)};
            const uint8_t *from = key_end + 1;
            for (size_t i = 0; i < a->sums; i++) {
                const uint8_t *to = i + 1 < a->sums ? memchr(from, '\t', (size_t)(line_end - from)) : line_end;
                if ((values[together][i] = read_value(from, to)) < 0)
                    return WRONG_LINE;
                from = to + 1;
            }
            at = line_end + 1;
        }
        int32_t known = (int32_t)distinct_keys(a->keys);
        if (!more_values(a, together) || !distinct_number(a->keys, keys, together, numbers))
            return NO_ROOM;
        for (size_t i = 0; i < together; i++) {
            enum added result = add_values(a, numbers[i], numbers[i] >= known, values[i]);
            known += numbers[i] >= known;
            if (result != ADDED_UP)
                return result;
        }
    }
    return ADDED_UP;
}

int64_t adder_print(adder *a, uint8_t *room, size_t length) {
    uint8_t *to = room;
    for (text_key key; distinct_peek(a->keys, &key); distinct_skip(a->keys), a->printed++) {
        if (length - (size_t)(to - room) < key.length + a->sums * (LONGEST_NUMBER + 1) + 1)
            break;
        memcpy(to, key.bytes, key.length);
        to += key.length;
        const int64_t *values = a->values + a->printed * a->sums;
        for (size_t i = 0; i < a->sums; i++) {
            *to++ = '\t';
            if (a->sum[i] == ADDED)
                to = print_number(to, (uint64_t)values[i]);
            else if (values[i] <= LATEST_TIME)
                to = print_time(to, values[i]);
            else
                return -1;
        }
        *to++ = '\n';
    }
    return to - room;
}

int adder_clear(adder *a) {
    distinct_free(a->keys);
    a->printed = 0;
    return (a->keys = distinct_new(a->seed)) ? 0 : -1;
}
