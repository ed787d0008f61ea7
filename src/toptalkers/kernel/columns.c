/* Records in columns, as Parquet keeps them: each row becomes the columns of a line, and is examined like one. */
#include "reader.h"

#include <errno.h>
#include <stdlib.h>

enum { LONGEST_VALUE = LONGEST_NUMBER + 1 }; /* of a number with its sign, or `-` */

int counter_begin_columns(counter *c, const char *names) {
    reader *r = c->reader;
    end_stretch(r, c->tally[RECORDS_READ] - r->extra);
    r->by_header = r->in_columns = true;
    c->failed |= !set_layout(r, names, strlen(names));
    r->weight_column = c->failed ? ABSENT : column_of(r->columns, "records");
    return c->failed ? -1 : 0;
}

static inline bool has_value(const column_data *data, int64_t at) {
    return !data->valid || data->valid[at >> 3] >> (at & 7) & 1;
}

/* A row's text, or one of a dictionary. */
static inline column text_of(const column_data *data, int64_t number) {
    int32_t from = data->offsets[number];
    return (column){data->texts + from, (size_t)(data->offsets[number + 1] - from)};
}

static inline uint8_t *put_number(uint8_t *to, int64_t number) {
    if (number < 0)
        *to++ = '-';
    return print_number(to, number < 0 ? -(uint64_t)number : (uint64_t)number);
}

/* Room for a line. */
typedef struct {
    uint8_t *bytes;
    size_t room;
} line;

static bool has_room(line *l, size_t length) {
    if (length <= l->room)
        return true;
    uint8_t *larger = realloc(l->bytes, length + length / 2);
    if (!larger)
        return false;
    l->bytes = larger;
    l->room = length + length / 2;
    return true;
}

/* Write a row's values, separated by spaces, and where they start. Returns the length, which is more than LONGEST_LINE
 * if the rest was left out; -1 without memory. */
static int64_t put_row(reader *r, const column_data *columns, size_t number, int64_t place, line *l) {
    size_t length = 0;
    for (size_t i = 0; i < number; i++) {
        const column_data *data = &columns[i];
        int64_t at = data->offset + place;
        column text = {(const uint8_t *)"-", 1};
        r->at[i] = (uint32_t)length;
        if (data->storage != MISSING && has_value(data, at)) {
            switch (data->storage) {
            case INT_32:
            case INT_64: {
                if (!has_room(l, length + LONGEST_VALUE + 1))
                    return -1;
                int64_t value = data->storage == INT_32 ? ((const int32_t *)data->values)[at]
                                                        : ((const int64_t *)data->values)[at];
                uint8_t *end = put_number(l->bytes + length, value);
                *end++ = ' ';
                length = (size_t)(end - l->bytes);
                continue;
            }
            case TEXTS:
                text = text_of(data, at);
                break;
            default: {
                int32_t index = ((const int32_t *)data->values)[at];
                if (index >= 0 && index < data->texts_length)
                    text = text_of(data, index);
            }
            }
        }
        if (length + text.length > LONGEST_LINE)
            return LONGEST_LINE + 1;
        if (!has_room(l, length + text.length + 1))
            return -1;
        memcpy(l->bytes + length, text.text, text.length);
        length += text.length;
        l->bytes[length++] = ' ';
    }
    r->at[number] = (uint32_t)length;
    return (int64_t)length - 1;
}

static inline void add_tally(int64_t *tally, int64_t weight) {
    if (__builtin_add_overflow(*tally, weight, tally))
        *tally = INT64_MAX;
}

static void count_row(counter *c, const uint8_t *base, int64_t length) {
    reader *r = c->reader;
    bool is_too_long = length > LONGEST_LINE;
    enum tally verdict = MALFORMED_COLUMNS;
    r->weight = 1;
    if (!is_too_long && r->now.usable) {
        verdict = COUNTED;
        if (r->weight_column != ABSENT) {
            int64_t weight = parse_number((column){base + r->at[r->weight_column],
                                                   r->at[r->weight_column + 1] - r->at[r->weight_column] - 1});
            if (weight > 0)
                r->weight = weight;
            else
                verdict = MALFORMED_NUMBER;
        }
        if (verdict == COUNTED)
            verdict = examine(c, base, r->at);
    }
    int64_t record = c->tally[RECORDS_READ] - r->extra;
    add_tally(&c->tally[RECORDS_READ], r->weight);
    add_tally(&c->tally[verdict], r->weight);
    add_tally(&r->extra, r->weight - 1);
    if (verdict >= MALFORMED_COLUMNS)
        note_malformed(r, record, base, (size_t)length, is_too_long);
    else if (record >= r->lines.next_sample)
        take_sample(r, record, base, (size_t)length);
}

int counter_feed_columns(counter *c, const column_data *columns, size_t number, size_t rows) {
    reader *r = c->reader;
    line l = {0};
    if (!r->in_columns || number != (size_t)r->now.columns) {
        errno = EINVAL;
        return -1;
    }
    for (size_t i = 0; i < rows && !c->failed; i++) {
        int64_t length = put_row(r, columns, number, (int64_t)i, &l);
        if (length < 0)
            c->failed = true;
        else
            count_row(c, l.bytes, length);
    }
    free(l.bytes);
    c->failed |= !sums_add_waiting(&c->table);
    errno = c->failed ? ENOMEM : 0;
    return c->failed ? -1 : 0;
}
