/* Rows in columns, as Arrow keeps them, in the order of a digest: by the first parts of the key, and where these are
 * equal, in the order of the answer. Texts and addresses are numbers into dictionaries, so each is printed only once. */
#include "reader.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_ADDRESSES = 1 << 10, BLOCK_ROWS = 256, MINUTE_MS = 60000 };

/* Sorted by the places of four parts, the last half of `high` being that of the first part. */
typedef struct {
    uint64_t low, high;
    row *whose;
} export_entry;

enum { EXPORT_WORDS = sizeof(export_entry) / 8, SORTED_PARTS = 4 };
_Static_assert(sizeof(export_entry) % 8 == 0, "entries are moved as words");

/* A column of the group that was made last. */
typedef struct {
    bool is_wide, is_text, has_none;
    void *values;
    uint8_t *valid;
    uint32_t *known; /* of each value its number in the dictionary, + 1 */
    int32_t *offsets;
    uint8_t *texts;
    size_t number, text_room; /* number: of texts */
} export_column;

/* A value that is a text has a number: a text's is its rank among all texts; those of IPv4 addresses come behind. */
struct export {
    const counter *c;
    key_order *order;
    uint64_t *entries;
    size_t room, rows, given, most;
    uint64_t *addresses; /* by a hash: an IPv4 address above its number + 1, or 0 */
    size_t addresses_known, address_mask;
    uint32_t *place; /* of each value among all addresses, from 1 */
    export_column columns[LONGEST_KEY + MOST_SUMS];
};

static bool is_address_part(enum part kind) { return kind < NETWORK_PART; }

/* --- IPv4 addresses and their numbers --- */

static inline uint64_t *address_slot(const export *e, uint32_t address) {
    size_t at = (address * 0x9e3779b97f4a7c15u ^ e->c->table.seed) * 0xd6e8feb86659fd93u >> 32;
    while (e->addresses[at & e->address_mask] && e->addresses[at & e->address_mask] >> 32 != address)
        at++;
    return &e->addresses[at & e->address_mask];
}

static bool note_address(export *e, uint32_t address) {
    uint64_t *slot = address_slot(e, address);
    if (*slot)
        return true;
    if (e->addresses_known >= e->address_mask / 2) {
        uint64_t *before = e->addresses;
        size_t slots = e->address_mask + 1;
        e->addresses = calloc(2 * slots, sizeof *before);
        if (!e->addresses) {
            e->addresses = before;
            return false;
        }
        e->address_mask = 2 * slots - 1;
        for (size_t i = 0; i < slots; i++) {
            if (before[i])
                *address_slot(e, (uint32_t)(before[i] >> 32)) = before[i];
        }
        free(before);
        slot = address_slot(e, address);
    }
    *slot = (uint64_t)address << 32 | ++e->addresses_known;
    return true;
}

/* The number of a value that is a text, and not `-`. */
static inline uint32_t value_of(const export *e, const row *one, size_t part) {
    const sums *table = &e->c->table;
    if (one->texts >> part & 1)
        return text_at(table, one->part[part])->note;
    return (uint32_t)(table->texts_known + (uint32_t)*address_slot(e, one->part[part]) - 1);
}

static inline bool is_none_part(const row *one, size_t part) {
    return one->texts >> part & 1 && one->part[part] == NO_VALUE;
}

/* --- order --- */

typedef struct {
    uint64_t rank;
    uint32_t value;
} ranked_value;

static int by_rank(const void *one, const void *other) {
    uint64_t a = ((const ranked_value *)one)->rank, b = ((const ranked_value *)other)->rank;
    return a < b ? -1 : a > b;
}

/* Rank all addresses. Other texts get places, too, which do not matter. */
static bool place_addresses(export *e) {
    const sums *table = &e->c->table;
    size_t values = table->texts_known + e->addresses_known, at = 0;
    ranked_value *all = malloc((values + 1) * sizeof *all);
    e->place = malloc((values + 1) * sizeof *e->place);
    if (!all || !e->place || values >= UINT32_MAX) {
        free(all);
        return false;
    }
    for (EACH_TEXT(one, table))
        all[at++] = (ranked_value){rank_other_address(e->order, one), one->note};
    for (size_t i = 0; i <= e->address_mask; i++) {
        uint64_t slot = e->addresses[i];
        if (slot)
            all[at++] = (ranked_value){rank_ipv4(e->order, (uint32_t)(slot >> 32)),
                                       (uint32_t)(table->texts_known + (uint32_t)slot - 1)};
    }
    qsort(all, values, sizeof *all, by_rank);
    for (size_t i = 0; i < values; i++)
        e->place[all[i].value] = (uint32_t)i + 1;
    free(all);
    return true;
}

/* The place of a part's value, from 1; 0 for none. */
static inline uint64_t place_of(const export *e, const row *one, size_t part) {
    if (is_none_part(one, part))
        return 0;
    enum part kind = e->c->table.of.part[part];
    if (is_address_part(kind))
        return e->place[value_of(e, one, part)];
    return kind == TEXT_PART ? value_of(e, one, part) + 1 : one->part[part] + 1;
}

/* Sort entries whose places are equal by their first sums and the rest of their keys. */
static bool sort_equals(const export *e, export_entry *all) {
    row_entry *held = NULL;
    size_t room = 0;
    for (size_t from = 0, to; from < e->rows; from = to) {
        for (to = from + 1; to < e->rows && all[to].high == all[from].high && all[to].low == all[from].low;)
            to++;
        size_t number = to - from;
        if (number == 1)
            continue;
        if (number > room) {
            room = 2 * number;
            free(held);
            if (!(held = malloc(2 * room * sizeof *held)))
                return false;
        }
        for (size_t i = 0; i < number; i++)
            held[i] = (row_entry){.rank = (uint64_t)below_largest(&e->c->table, all[from + i].whose), .whose = all[from + i].whose};
        sort_by_rank(held, number, held + room);
        sort_equal_ranks(e->order, held, number, 0, held + room);
        for (size_t i = 0; i < number; i++)
            all[from + i].whose = held[i].whose;
    }
    free(held);
    return true;
}

static bool sort_export(export *e) {
    sums *table = (sums *)&e->c->table;
    e->room = (e->rows + 1) * sizeof(export_entry);
    if (!(e->entries = zeroed_room(e->room)))
        return false;
    export_entry *to = (export_entry *)(void *)e->entries;
    for (EACH_ROW(one, table)) {
        if (one->state != COUNTED_ONCE)
            continue;
        uint64_t place[SORTED_PARTS] = {0};
        for (size_t part = 0; part < SORTED_PARTS && part < table->of.parts; part++)
            place[part] = place_of(e, one, part);
        *to++ = (export_entry){place[2] << 32 | place[3], place[0] << 32 | place[1], one};
    }
    return sort_words(&e->entries, e->room, e->rows, EXPORT_WORDS, offsetof(export_entry, whose)) &&
           sort_equals(e, (export_entry *)(void *)e->entries);
}

/* --- columns --- */

static bool begin_column(export *e, size_t at) {
    const shape *of = &e->c->table.of;
    export_column *one = &e->columns[at];
    enum part kind = at < of->parts ? of->part[at] : NUMBER_PART;
    bool is_sum = at >= of->parts, is_time = kind >= MINUTE_PART && kind <= DAY_PART;
    one->is_wide = is_sum || is_time;
    one->is_text = !is_sum && (is_address_part(kind) || kind == TEXT_PART);
    one->values = malloc(e->most * (one->is_wide ? sizeof(int64_t) : sizeof(int32_t)));
    one->valid = is_sum ? NULL : malloc(e->most / 8 + 1);
    size_t values = e->c->table.texts_known + (is_address_part(kind) ? e->addresses_known : 0);
    one->known = one->is_text ? malloc((values + 1) * sizeof *one->known) : NULL;
    one->offsets = one->is_text ? malloc((e->most + 1) * sizeof *one->offsets) : NULL;
    return one->values && (is_sum || one->valid) && (!one->is_text || (one->known && one->offsets));
}

/* Forget the group before. */
static void clear_column(export *e, size_t at) {
    const shape *of = &e->c->table.of;
    export_column *one = &e->columns[at];
    one->has_none = false;
    if (one->valid)
        memset(one->valid, 0, e->most / 8 + 1);
    if (!one->is_text)
        return;
    enum part kind = of->part[at];
    size_t values = e->c->table.texts_known + (is_address_part(kind) ? e->addresses_known : 0);
    memset(one->known, 0, values * sizeof *one->known);
    one->number = 0;
    one->offsets[0] = 0;
}

/* The number of a value in the dictionary, to which it is added if it is new; -1 without memory. */
static inline int32_t take_value(export *e, export_column *to, const row *one, size_t part) {
    uint32_t value = value_of(e, one, part);
    if (to->known[value])
        return (int32_t)to->known[value] - 1;
    const sums *table = &e->c->table;
    uint8_t printed[LONGEST_ADDRESS];
    const uint8_t *text = printed;
    size_t length;
    if (one->texts >> part & 1) {
        text = text_at(table, one->part[part])->bytes;
        length = text_at(table, one->part[part])->length;
    } else {
        length = (size_t)(print_ipv4(printed, one->part[part]) - printed);
    }
    size_t end = (size_t)to->offsets[to->number];
    if (end + length > to->text_room) {
        size_t room = 2 * to->text_room + 4 * LONGEST_TEXT;
        uint8_t *larger = realloc(to->texts, room);
        if (!larger)
            return -1;
        to->texts = larger;
        to->text_room = room;
    }
    memcpy(to->texts + end, text, length);
    to->known[value] = (uint32_t)++to->number;
    to->offsets[to->number] = (int32_t)(end + length);
    return (int32_t)to->number - 1;
}

/* Write a part of some rows. False without memory. */
static bool take_part_of_rows(export *e, size_t part, const export_entry *from, size_t at, size_t rows) {
    export_column *to = &e->columns[part];
    const sums *table = &e->c->table;
    int64_t *wide = (int64_t *)to->values + at;
    int32_t *narrow = (int32_t *)to->values + at;
    for (size_t i = 0; i < rows; i++) {
        const row *one = from[i].whose;
        bool is_none = is_none_part(one, part);
        to->has_none |= is_none;
        to->valid[(at + i) / 8] |= (uint8_t)(!is_none << (at + i) % 8);
        if (is_none && to->is_wide)
            wide[i] = 0;
        else if (is_none)
            narrow[i] = 0;
        else if (to->is_wide)
            wide[i] = (int64_t)one->part[part] * MINUTE_MS;
        else if (to->is_text && (narrow[i] = take_value(e, to, one, part)) < 0)
            return false;
        else if (!to->is_text && one->texts >> part & 1)
            narrow[i] = (int32_t)number_of_text(text_at(table, one->part[part]));
        else if (!to->is_text)
            narrow[i] = (int32_t)one->part[part];
    }
    return true;
}

static void take_sum_of_rows(export *e, size_t sum, const export_entry *from, size_t at, size_t rows) {
    const sums *table = &e->c->table;
    int64_t *to = (int64_t *)e->columns[table->of.parts + sum].values + at;
    for (size_t i = 0; i < rows; i++) {
        int64_t value = as_kept(&table->of, sum, sums_of(table, from[i].whose)[sum]);
        to[i] = table->of.sum[sum] == ADDED ? value : 1000 * value;
    }
}

int64_t export_next(export *e, column_data *columns) {
    const sums *table = &e->c->table;
    const shape *of = &table->of;
    const export_entry *all = (const export_entry *)(const void *)e->entries;
    size_t rows = e->rows - e->given < e->most ? e->rows - e->given : e->most;
    for (size_t i = 0; i < of->parts + of->sums; i++)
        clear_column(e, i);
    for (size_t at = 0; at < rows; at += BLOCK_ROWS) { /* so few that their rows are read from memory only once */
        size_t some = rows - at < BLOCK_ROWS ? rows - at : BLOCK_ROWS;
        const export_entry *from = all + e->given + at;
        for (size_t i = 0; i < some; i++) {
            __builtin_prefetch(from[i].whose);
            __builtin_prefetch(sums_of(table, from[i].whose));
        }
        for (size_t part = 0; part < of->parts; part++) {
            if (!take_part_of_rows(e, part, from, at, some))
                return -1;
        }
        for (size_t sum = 0; sum < of->sums; sum++)
            take_sum_of_rows(e, sum, from, at, some);
    }
    e->given += rows;
    for (size_t i = 0; i < of->parts + of->sums; i++) {
        const export_column *one = &e->columns[i];
        columns[i] = (column_data){.storage = one->is_wide ? INT_64 : one->is_text ? DICTIONARY : INT_32,
                                   .values = one->values, .valid = one->has_none ? one->valid : NULL,
                                   .offsets = one->offsets, .texts = one->texts,
                                   .texts_length = (int64_t)one->number};
    }
    return (int64_t)rows;
}

/* --- a new one --- */

/* Settle all rows, count them, and find their addresses. Returns 0, or the number of the error. */
static int look_through(export *e, sums *table) {
    const shape *of = &table->of;
    for (EACH_ROW(one, table)) {
        e->rows += settle(table, one);
        for (size_t part = 0; part < of->parts; part++) {
            bool is_text = one->texts >> part & 1;
            if (is_address_part(of->part[part]) && !is_text && !note_address(e, one->part[part]))
                return ENOMEM;
            if (of->part[part] != NUMBER_PART || is_none_part(one, part))
                continue;
            if ((is_text ? number_of_text(text_at(table, one->part[part])) : one->part[part]) > INT32_MAX)
                return ERANGE;
        }
    }
    return 0;
}

static int init_export(export *e, counter *c, size_t most) {
    const shape *of = &c->table.of;
    e->c = c;
    e->most = most;
    e->address_mask = FIRST_ADDRESSES - 1;
    e->addresses = calloc(FIRST_ADDRESSES, sizeof *e->addresses);
    if (of->is_recipe || !most || memchr(of->part, NETWORK_PART, of->parts) ||
        memchr(of->part, SIDE_PART, of->parts))
        return EINVAL;
    int error = e->addresses && sums_merge_log(&c->table) ? look_through(e, &c->table) : ENOMEM;
    if (error)
        return error;
    e->most = e->rows < most ? e->rows + !e->rows : most;
    if (!(e->order = key_order_new(&c->table)) || !place_addresses(e) || !sort_export(e))
        return ENOMEM;
    for (size_t i = 0; i < of->parts + of->sums; i++) {
        if (!begin_column(e, i))
            return ENOMEM;
    }
    return 0;
}

export *export_new(counter *c, size_t most) {
    export *e = calloc(1, sizeof *e);
    int error = e ? init_export(e, c, most) : ENOMEM;
    if (e && error) {
        export_free(e);
        e = NULL;
    }
    errno = error;
    return e;
}

void export_free(export *e) {
    for (size_t i = 0; i < sizeof e->columns / sizeof *e->columns; i++) {
        export_column *one = &e->columns[i];
        free(one->values);
        free(one->valid);
        free(one->known);
        free(one->offsets);
        free(one->texts);
    }
    free_room(e->entries, e->room);
    free(e->addresses);
    free(e->place);
    key_order_free(e->order);
    free(e);
}
