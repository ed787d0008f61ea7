/* Records in columns, as Parquet keeps them. Each row is examined like the columns of a line.
 *
 * The values of a row need not lie side by side: `at` has a start and an end for each column (`find_column`). A text of
 * a dictionary is copied once per batch, with what is read of it. A number is given as it is; it is written as decimals
 * only where its text is looked at (`use_text`). Only rows that may be shown as a misfit are put together as a line.
 */
#include "reader.h"

#include <errno.h>
#include <stdlib.h>

/* Room for a number with its sign, per column. */
enum { SLOT = 24 };

/* How many bytes of dictionaries are copied at most. */
enum { MOST_COPIED = 1 << 24 };

int counter_begin_columns(counter *c, const char *names) {
    reader *r = c->reader;
    end_stretch(r, c->tally[RECORDS_READ] - r->extra);
    r->by_header = r->in_columns = true;
    c->failed |= !set_layout(r, names, strlen(names));
    r->weight_column = c->failed ? ABSENT : find_column(r, "records");
    return c->failed ? -1 : 0;
}

/* A text of a dictionary, copied: where it starts and ends, the IPv4 address that it is, or -1, and the number of its kept
 * text, or NO_VALUE. */
typedef struct {
    uint32_t at[2];
    int64_t ipv4;
    uint32_t kept;
} copied_text;

/* A column while a batch is read. */
typedef struct {
    column_data data;
    uint32_t slot_ends; /* where a number's decimals end */
    bool is_written;    /* whether they are looked at */
    copied_text *copied; /* NULL if the dictionary is not copied */
} batch_column;

/* `bytes` holds a `-`, the columns' slots, copied dictionaries, and behind `texts_at` the other texts of a row. */
typedef struct {
    batch_column *columns;
    int64_t *ipv4, *numbers; /* as in the reader, by the number of `at` */
    uint32_t **kept;
    size_t number;
    uint8_t *bytes, *shown; /* `shown`: the row as a line */
    size_t room, shown_room, texts_at;
} batch;

static bool has_room(uint8_t **bytes, size_t *room, size_t length) {
    if (length <= *room)
        return true;
    uint8_t *larger = realloc(*bytes, length + length / 2);
    if (!larger)
        return false;
    *bytes = larger;
    *room = length + length / 2;
    return true;
}

static bool begin_batch(batch *b, const layout *l, const column_data *columns, size_t number, size_t rows) {
    b->number = number;
    b->columns = calloc(number + !number, sizeof *b->columns);
    size_t length = 1 + SLOT * number;
    b->ipv4 = malloc((2 * number + 1) * sizeof *b->ipv4);
    b->numbers = malloc((2 * number + 1) * sizeof *b->numbers);
    b->kept = calloc(2 * number + 1, sizeof *b->kept);
    if (!b->columns || !b->ipv4 || !b->numbers || !b->kept || !has_room(&b->bytes, &b->room, length))
        return false;
    b->bytes[0] = '-';
    memset(b->ipv4, -1, (2 * number + 1) * sizeof *b->ipv4);
    memset(b->numbers, -1, (2 * number + 1) * sizeof *b->numbers);
    for (size_t i = 0; i < number; i++) {
        batch_column *one = &b->columns[i];
        const column_data *data = &columns[i];
        one->data = *data;
        one->slot_ends = (uint32_t)(1 + SLOT * (i + 1));
        one->is_written = i >= 64 || l->texts >> i & 1;
        if (data->storage != DICTIONARY || !data->texts_length || data->texts_length > (int64_t)rows)
            continue;
        int32_t first = data->offsets[0];
        size_t bytes = (size_t)(data->offsets[data->texts_length] - first);
        if (length + bytes > MOST_COPIED)
            continue;
        one->copied = malloc((size_t)data->texts_length * sizeof *one->copied);
        if (!one->copied || !has_room(&b->bytes, &b->room, length + bytes))
            return false;
        if (bytes)
            memcpy(b->bytes + length, data->texts + first, bytes);
        for (int64_t text = 0; text < data->texts_length; text++) {
            uint32_t ipv4, from = (uint32_t)length + (uint32_t)(data->offsets[text] - first);
            column copy = {b->bytes + from, (size_t)(data->offsets[text + 1] - data->offsets[text])};
            one->copied[text] = (copied_text){{from, from + (uint32_t)copy.length + 1}, -1, NO_VALUE};
            if (parse_ipv4(copy, &ipv4))
                one->copied[text].ipv4 = ipv4;
        }
        length += bytes;
    }
    b->texts_at = length;
    return true;
}

static void end_batch(batch *b) {
    for (size_t i = 0; b->columns && i < b->number; i++)
        free(b->columns[i].copied);
    free(b->ipv4);
    free(b->numbers);
    free(b->kept);
    free(b->columns);
    free(b->bytes);
    free(b->shown);
}

/* Whether a row has a value; of a dictionary, also whether the value is in it. */
static inline bool has_value(const column_data *data, int64_t at) {
    if (data->storage == MISSING || (data->valid && !(data->valid[at >> 3] >> (at & 7) & 1)))
        return false;
    return data->storage != DICTIONARY || (uint64_t)((const int32_t *)data->values)[at] < (uint64_t)data->texts_length;
}

/* Write a number so that it ends in front of `end`, two digits at a time. Returns where it begins. */
static inline uint8_t *put_number(uint8_t *end, int64_t number) {
    static const char PAIRS[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445"
                                "46474849505152535455565758596061626364656667686970717273747576777879808182838485868788899091"
                                "9293949596979899";
    uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;
    for (; left >= 100; left /= 100)
        memcpy(end -= 2, PAIRS + 2 * (left % 100), 2);
    if (left >= 10)
        memcpy(end -= 2, PAIRS + 2 * left, 2);
    else
        *--end = (uint8_t)('0' + left);
    if (number < 0)
        *--end = '-';
    return end;
}

/* Find or write a row's values, and say where they start and end. A number whose text is not looked at becomes an empty
 * text, unless `all` are to be written. Returns how long the row is as a line, which is more than LONGEST_LINE if the
 * rest was left out; -1 without memory. */
static int64_t take_row(batch *b, uint32_t *at, int64_t place, bool all) {
    size_t length = 0, texts_at = b->texts_at;
    for (size_t i = 0; i < b->number; i++, at += 2) {
        batch_column *one = &b->columns[i];
        const column_data *data = &one->data;
        int64_t row_at = data->offset + place, number = row_at;
        if (!has_value(data, row_at)) {
            b->ipv4[2 * i] = b->numbers[2 * i] = -1;
            b->kept[2 * i] = NULL;
            at[0] = 0;
            at[1] = 2;
        } else if (one->copied) {
            copied_text *text = &one->copied[((const int32_t *)data->values)[row_at]];
            memcpy(at, text->at, sizeof text->at);
            b->ipv4[2 * i] = text->ipv4;
            b->kept[2 * i] = &text->kept;
        } else if (data->storage == INT_32 || data->storage == INT_64) {
            number = data->storage == INT_32 ? ((const int32_t *)data->values)[row_at]
                                             : ((const int64_t *)data->values)[row_at];
            b->numbers[2 * i] = number < 0 ? -1 : number;
            if (number < 0 || one->is_written || all) {
                at[0] = (uint32_t)(put_number(b->bytes + one->slot_ends, number) - b->bytes);
                at[1] = one->slot_ends + 1;
            } else {
                at[0] = 1;
                at[1] = 2;
            }
        } else {
            if (data->storage == DICTIONARY)
                number = ((const int32_t *)data->values)[row_at];
            int32_t from = data->offsets[number];
            size_t width = (size_t)(data->offsets[number + 1] - from);
            if (length + width > LONGEST_LINE)
                return LONGEST_LINE + 1;
            if (!has_room(&b->bytes, &b->room, texts_at + width))
                return -1;
            if (width)
                memcpy(b->bytes + texts_at, data->texts + from, width);
            at[0] = (uint32_t)texts_at;
            texts_at += width;
            at[1] = (uint32_t)texts_at + 1;
        }
        length += at[1] - at[0];
        if (length > (size_t)LONGEST_LINE + 1)
            return LONGEST_LINE + 1;
    }
    return (int64_t)length - 1;
}

/* Put a row together as a line. False without memory. */
static bool show_row(batch *b, const uint32_t *at, int64_t length) {
    if (!has_room(&b->shown, &b->shown_room, (size_t)length + 1))
        return false;
    uint8_t *to = b->shown;
    for (size_t i = 0; i < b->number; i++, at += 2) {
        memcpy(to, b->bytes + at[0], at[1] - at[0] - 1);
        to += at[1] - at[0] - 1;
        *to++ = ' ';
    }
    return true;
}

static inline void add_tally(int64_t *tally, int64_t weight) {
    if (__builtin_add_overflow(*tally, weight, tally))
        *tally = INT64_MAX;
}

/* Examine a row with its weight, which must be a number above 0. */
static enum tally examine_row(counter *c, const uint8_t *base) {
    reader *r = c->reader;
    const uint32_t *at = r->at;
    if (!r->now.usable)
        return MALFORMED_COLUMNS;
    if (r->weight_column != ABSENT) {
        int64_t weight = take_number(r, r->weight_column, COLUMN(r->weight_column));
        if (weight <= 0)
            return MALFORMED_NUMBER;
        r->weight = weight;
    }
    return examine(c, base, at);
}

static bool count_row(counter *c, batch *b, int64_t place) {
    reader *r = c->reader;
    int64_t length = take_row(b, r->at, place, false);
    bool is_whole = length + SLOT * (int64_t)b->number > LONGEST_LINE;
    if (is_whole)
        length = take_row(b, r->at, place, true);
    if (length < 0)
        return false;
    bool is_too_long = length > LONGEST_LINE;
    r->weight = 1;
    enum tally verdict = is_too_long ? MALFORMED_COLUMNS : examine_row(c, b->bytes);
    int64_t record = c->tally[RECORDS_READ] - r->extra;
    add_tally(&c->tally[RECORDS_READ], r->weight);
    add_tally(&c->tally[verdict], r->weight);
    add_tally(&r->extra, r->weight - 1);
    bool is_malformed = verdict >= MALFORMED_COLUMNS;
    if (!is_malformed && record < r->lines.next_sample)
        return true;
    if (!is_too_long && !is_whole)
        length = take_row(b, r->at, place, true);
    if (length < 0 || (!is_too_long && !show_row(b, r->at, length)))
        return false;
    if (is_too_long)
        note_malformed(r, record, b->bytes, 0, true); /* too long to be shown */
    else if (is_malformed)
        note_malformed(r, record, b->shown, (size_t)length, false);
    else
        take_sample(r, record, b->bytes, b->shown, (size_t)length);
    return true;
}

int counter_feed_columns(counter *c, const column_data *columns, size_t number, size_t rows) {
    reader *r = c->reader;
    if (!r->in_columns || number != (size_t)r->now.columns) {
        errno = EINVAL;
        return -1;
    }
    batch b = {0};
    c->failed |= !begin_batch(&b, &r->now, columns, number, rows);
    r->ipv4 = b.ipv4;
    r->numbers = b.numbers;
    r->kept = b.kept;
    for (size_t i = 0; i < rows && !c->failed; i++)
        c->failed = !count_row(c, &b, (int64_t)i);
    r->ipv4 = r->numbers = NULL;
    r->kept = NULL;
    end_batch(&b);
    c->failed |= !sums_add_waiting(&c->table);
    errno = c->failed ? ENOMEM : 0;
    return c->failed ? -1 : 0;
}
