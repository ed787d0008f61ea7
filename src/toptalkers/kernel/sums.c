/* Sums by talker: an open-addressed table, and the texts that are values of their keys. */
#include "kernel.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { TEXT_WORDS = 7 }; /* those of the text of a usual address take as much memory as a row of the default question */
enum { FIRST_SLOTS = 1 << 12, FIRST_TEXTS = 1 << 8 };

/* Large tables are read at random: with huge pages that takes half the time. */
void *zeroed_room(size_t bytes) {
    void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        return NULL;
#ifdef MADV_HUGEPAGE
    madvise(room, bytes, MADV_HUGEPAGE); /* only a request: without huge pages it is slower, not wrong */
#endif
    return room;
}

void free_room(void *room, size_t bytes) {
    if (room)
        munmap(room, bytes);
}

/* Room that keeps what it holds, and is zeroed behind that. */
static void *larger_room(void *room, size_t bytes, size_t larger_bytes) {
#ifdef MREMAP_MAYMOVE
    void *larger = mremap(room, bytes, larger_bytes, MREMAP_MAYMOVE);
    return larger == MAP_FAILED ? NULL : larger;
#else
    void *larger = zeroed_room(larger_bytes);
    if (!larger)
        return NULL;
    memcpy(larger, room, bytes);
    free_room(room, bytes);
    return larger;
#endif
}

static inline uint64_t hash_key(const uint32_t *part, size_t parts, uint64_t texts, uint64_t seed) {
    uint64_t hash = seed ^ texts << 32;
    size_t i = 0;
    for (; parts > 3 && i + 1 < parts; i += 2) { /* of a long key two at a time */
        hash = (hash ^ ((uint64_t)part[i] << 32 | part[i + 1])) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    for (; i < parts; i++) {
        hash = (hash ^ part[i]) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    return hash;
}

uint64_t hash_bytes(const uint8_t *bytes, size_t length, uint64_t seed) {
    uint64_t hash = seed ^ length, word;
    for (; length >= 8; bytes += 8, length -= 8) {
        memcpy(&word, bytes, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    word = 0;
    memcpy(&word, bytes, length);
    hash ^= word;
    for (int i = 0; i < 2; i++)
        hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93u;
    return hash ^ hash >> 32;
}

static size_t slot_bytes(const sums *table) {
    return (table->index ? table->room : table->mask + 1) * table->row_bytes;
}

static size_t index_bytes(const sums *table) { return (table->mask + 1) * sizeof *table->index; }

bool sums_init(sums *table, uint64_t seed, const shape *of) {
    memset(table, 0, sizeof *table);
    table->of = *of;
    table->sums_at = (sizeof(row) + of->parts * sizeof(uint32_t) + 7) / 8 * 8;
    table->row_bytes = table->sums_at + (of->is_log ? 1 : 2) * of->sums * sizeof(int64_t);
    table->seed = seed;
    table->file = 1;
    table->mask = FIRST_SLOTS - 1;
    table->room = FIRST_SLOTS;
    if (!of->is_recipe && !(table->index = zeroed_room(index_bytes(table))))
        return false;
    table->slots = zeroed_room(slot_bytes(table));
    table->text_slots = calloc(2 * FIRST_TEXTS, sizeof *table->text_slots);
    table->text_mask = 2 * FIRST_TEXTS - 1;
    table->text_room = 8 * FIRST_TEXTS;
    table->texts = malloc(table->text_room * sizeof *table->texts);
    bool fits = table->slots && table->text_slots && table->texts;
    for (size_t part = 0; part < LONGEST_KEY; part++) {
        table->last_text[part] = NO_VALUE;
        if (part < of->parts && of->part[part] == NETWORK_PART)
            fits &= (table->networks[part] = calloc(NETWORKS_KEPT, sizeof(known_network))) != NULL;
    }
    return fits;
}

void sums_free(sums *table) {
    free_room(table->slots, slot_bytes(table));
    free_room(table->index, index_bytes(table));
    free(table->texts);
    free(table->text_slots);
    for (size_t part = 0; part < LONGEST_KEY; part++)
        free(table->networks[part]);
}

void sums_clear(sums *table) {
    /* It keeps its size: it was filled once, and will be again. */
    memset(table->slots, 0, table->index ? table->rows * table->row_bytes : slot_bytes(table));
    if (table->index)
        memset(table->index, 0, index_bytes(table));
    memset(table->text_slots, 0, (table->text_mask + 1) * sizeof *table->text_slots);
    table->rows = table->file_from = table->texts_known = table->text_words = 0;
    for (size_t part = 0; part < LONGEST_KEY; part++) {
        table->last_text[part] = NO_VALUE;
        if (table->networks[part])
            memset(table->networks[part], 0, NETWORKS_KEPT * sizeof(known_network));
    }
}

/* --- rows in slots --- */

/* Functions with `parts` and `row_bytes` are compiled twice: for the default question's, known to the compiler, and for
 * the recipe's key with several sums. */
static bool is_usual(const sums *table) { return !table->index && table->row_bytes == 32; }

static inline void copy_rows(const sums *table, const sums *to, size_t parts, size_t row_bytes) {
    for (EACH_ROW(one, table)) {
        size_t at = hash_key(one->part, parts, one->texts, table->seed) & to->mask;
        while (((row *)(void *)(to->slots + at * row_bytes))->state != FREE)
            at = (at + 1) & to->mask;
        memcpy(to->slots + at * row_bytes, one, row_bytes);
    }
}

static bool grow(sums *table) {
    sums larger = *table;
    larger.mask = 2 * table->mask + 1;
    larger.slots = zeroed_room(slot_bytes(&larger));
    if (!larger.slots)
        return false;
    if (is_usual(table))
        copy_rows(table, &larger, 3, 32);
    else
        copy_rows(table, &larger, 3, table->row_bytes);
    free_room(table->slots, slot_bytes(table));
    table->slots = larger.slots;
    table->mask = larger.mask;
    return true;
}

static inline bool is_row_of(const row *one, const talker *whose, size_t parts) {
    uint32_t difference = one->texts ^ whose->texts;
    for (size_t i = 0; i < parts; i++)
        difference |= one->part[i] ^ whose->part[i];
    return !difference;
}

/* Find a talker's row, made when there is none; NULL without memory. */
static inline row *find(sums *table, const talker *whose, uint64_t hash, size_t parts, size_t row_bytes) {
    if (table->rows >= table->mask / 4 * 3 && !grow(table))
        return NULL;
    for (size_t at = hash & table->mask;; at = (at + 1) & table->mask) {
        row *one = (row *)(void *)(table->slots + at * row_bytes);
        if (one->state == FREE) {
            table->rows++;
            one->state = USED;
            one->texts = whose->texts;
            memcpy(one->part, whose->part, parts * sizeof *one->part);
            return one;
        }
        if (is_row_of(one, whose, parts))
            return one;
    }
}

/* --- rows behind an index --- */

static inline row *row_at(const sums *table, size_t number) {
    return (row *)(void *)(table->slots + number * table->row_bytes);
}

static bool grow_index(sums *table) {
    sums larger = *table;
    larger.mask = 2 * table->mask + 1;
    larger.index = zeroed_room(index_bytes(&larger));
    if (!larger.index)
        return false;
    for (size_t i = 0; i <= table->mask; i++) {
        size_t at = table->index[i] >> 32 & larger.mask;
        while (larger.index[at])
            at = (at + 1) & larger.mask;
        larger.index[at] = table->index[i];
    }
    free_room(table->index, index_bytes(table));
    table->index = larger.index;
    table->mask = larger.mask;
    return true;
}

static row *add_row(sums *table, const talker *whose) {
    if (table->rows == table->room) {
        size_t bytes = slot_bytes(table);
        void *larger = table->rows < UINT32_MAX / 2 ? larger_room(table->slots, bytes, 2 * bytes) : NULL;
        if (!larger)
            return NULL;
        table->slots = larger;
        table->room *= 2;
    }
    row *one = row_at(table, table->rows++);
    one->state = USED;
    one->file = 0;
    one->texts = whose->texts;
    memcpy(one->part, whose->part, table->of.parts * sizeof *one->part);
    return one;
}

/* As `find`. */
static row *find_indexed(sums *table, const talker *whose, uint64_t hash) {
    if (table->rows >= table->mask / 4 * 3 && !grow_index(table))
        return NULL;
    for (size_t at = hash >> 32 & table->mask;; at = (at + 1) & table->mask) {
        uint64_t slot = table->index[at];
        if (!slot) {
            row *one = add_row(table, whose);
            table->index[at] = one ? hash >> 32 << 32 | table->rows : 0;
            return one;
        }
        row *one = row_at(table, (uint32_t)slot - 1);
        if (slot >> 32 == hash >> 32 && is_row_of(one, whose, table->of.parts))
            return one;
    }
}

/* Fetch the row to which a slot points that was fetched before: most probably the one that will be added to. */
static inline void fetch_row(const sums *table, const waiting_sum *what) {
    uint32_t number = (uint32_t)table->index[what->hash >> 32 & table->mask];
    if (!number)
        return;
    const uint8_t *one = table->slots + (number - 1) * table->row_bytes;
    __builtin_prefetch(one, 1);
    __builtin_prefetch(one + table->row_bytes - 1, 1);
}

/* --- a log --- */

static bool add_to_log(sums *table, const talker *whose, const int64_t *values) {
    row *one = add_row(table, whose);
    if (!one)
        return false;
    one->state = COUNTED_ONCE;
    memcpy(sums_of(table, one), values, table->of.sums * sizeof *values);
    return true;
}

bool sums_clear_index(sums *table) {
    sums larger = *table;
    while (table->rows >= larger.mask / 4 * 3)
        larger.mask = 2 * larger.mask + 1;
    if (larger.mask == table->mask) {
        memset(table->index, 0, index_bytes(table));
        return true;
    }
    larger.index = zeroed_room(index_bytes(&larger));
    if (!larger.index)
        return false;
    free_room(table->index, index_bytes(table));
    table->index = larger.index;
    table->mask = larger.mask;
    return true;
}

bool sums_merge_log(sums *table) {
    size_t rows = table->rows;
    if (!table->of.is_log)
        return true;
    if (!sums_clear_index(table))
        return false;
    table->rows = 0;
    for (size_t i = 0; i < rows; i++) {
        talker whose = {.texts = row_at(table, i)->texts};
        int64_t values[MOST_SUMS];
        memcpy(whose.part, row_at(table, i)->part, table->of.parts * sizeof *whose.part);
        memcpy(values, sums_of(table, row_at(table, i)), table->of.sums * sizeof *values);
        size_t before = table->rows;
        row *one = find_indexed(table, &whose, hash_key(whose.part, table->of.parts, whose.texts, table->seed));
        int64_t *sum = sums_of(table, one); /* there is room for all: it does not grow */
        one->state = COUNTED_ONCE;
        for (size_t at = 0; at < table->of.sums; at++)
            sum[at] = table->rows > before ? values[at] : sum[at];
        for (size_t at = 0; at < table->of.sums && table->rows == before; at++)
            add_value(table, at, &sum[at], values[at]);
    }
    table->file_from = table->rows;
    return true;
}

/* --- either --- */

static bool add(sums *table, const waiting_sum *what) {
    row *one = is_usual(table) ? find(table, &what->whose, what->hash, 3, 32)
               : table->index  ? find_indexed(table, &what->whose, what->hash)
                               : find(table, &what->whose, what->hash, 3, table->row_bytes);
    if (!one)
        return false;
    if (one->file != table->file) {
        settle(table, one);
        one->file = table->file;
    }
    int64_t *pending = sums_of(table, one) + table->of.sums;
    for (size_t i = 0; i < table->of.sums; i++)
        add_value(table, i, &pending[i], what->values[i]);
    return true;
}

bool sums_add_soon(sums *table, const talker *whose, const int64_t *values) {
    if (table->of.is_log)
        return add_to_log(table, whose, values);
    waiting_sum *one = &table->waiting[table->waits++ % WAITING];
    bool fits = table->waits <= WAITING || add(table, one);
    one->whose.texts = whose->texts;
    if (is_usual(table)) {
        memcpy(one->whose.part, whose->part, 3 * sizeof *whose->part);
        one->hash = hash_key(whose->part, 3, whose->texts, table->seed);
    } else {
        memcpy(one->whose.part, whose->part, table->of.parts * sizeof *whose->part);
        one->hash = hash_key(whose->part, table->of.parts, whose->texts, table->seed);
    }
    for (size_t i = 0; i < table->of.sums; i++)
        one->values[i] = values[i];
    if (!table->index) {
        __builtin_prefetch(table->slots + (one->hash & table->mask) * table->row_bytes, 1);
        return fits;
    }
    __builtin_prefetch(&table->index[one->hash >> 32 & table->mask]);
    if (table->waits > WAITING / 2)
        fetch_row(table, &table->waiting[(table->waits - 1 - WAITING / 2) % WAITING]);
    return fits;
}

bool sums_add_waiting(sums *table) {
    bool fits = true;
    size_t waits = table->waits < WAITING ? table->waits : WAITING;
    table->waits = 0;
    for (size_t i = 0; i < waits; i++)
        fits &= add(table, &table->waiting[i]);
    return fits;
}

void sums_end_file(sums *table, bool counts) {
    if (table->of.is_log) {
        table->rows = counts ? table->rows : table->file_from;
        table->file_from = table->rows;
        return;
    }
    if (!counts) {
        for (EACH_ROW(one, table)) {
            if (one->file == table->file) {
                memset(sums_of(table, one) + table->of.sums, 0, table->of.sums * sizeof(int64_t));
                one->file = 0;
            }
        }
    }
    if (++table->file >> FILE_BITS) { /* numbers are used up: settle all rows, and begin anew */
        table->file = 0;
        for (EACH_ROW(one, table))
            settle(table, one);
        table->file = 1;
    }
}

static bool grow_text_slots(sums *table) {
    size_t slots = 2 * (table->text_mask + 1);
    uint32_t *larger = calloc(slots, sizeof *larger);
    if (!larger)
        return false;
    free(table->text_slots);
    table->text_slots = larger;
    table->text_mask = slots - 1;
    for (EACH_TEXT(one, table)) {
        size_t at = one->hash & table->text_mask;
        while (larger[at])
            at = (at + 1) & table->text_mask;
        larger[at] = number_of(table, one) + 1;
    }
    return true;
}

/* Room for so many words more. */
static bool grow_texts(sums *table, size_t words) {
    if (table->text_words + words <= table->text_room)
        return true;
    size_t room = 2 * table->text_room + words;
    uint64_t *larger = room < NO_VALUE ? realloc(table->texts, room * sizeof *larger) : NULL;
    if (!larger)
        return false;
    table->texts = larger;
    table->text_room = room;
    return true;
}

static uint32_t *text_slot(const sums *table, const uint8_t *bytes, size_t length, uint64_t hash) {
    for (size_t at = hash & table->text_mask;; at = (at + 1) & table->text_mask) {
        uint32_t *slot = &table->text_slots[at];
        if (!*slot)
            return slot;
        const kept_text *known = text_at(table, *slot - 1);
        if (known->hash == hash && known->length == length && !memcmp(known->bytes, bytes, length))
            return slot;
    }
}

kept_text *sums_known_text(const sums *table, const uint8_t *bytes, size_t length) {
    uint32_t slot = *text_slot(table, bytes, length, hash_bytes(bytes, length, table->seed));
    return slot ? text_at(table, slot - 1) : NULL;
}

kept_text *sums_text(sums *table, const uint8_t *bytes, size_t length) {
    uint64_t hash = hash_bytes(bytes, length, table->seed);
    uint32_t *slot = text_slot(table, bytes, length, hash);
    if (*slot)
        return text_at(table, *slot - 1);
    if (table->texts_known >= table->text_mask / 2) {
        if (!grow_text_slots(table))
            return NULL;
        slot = text_slot(table, bytes, length, hash);
    }
    size_t words = text_words(length);
    if (!grow_texts(table, words))
        return NULL;
    kept_text *added = text_at(table, (uint32_t)table->text_words);
    *added = (kept_text){.hash = hash, .length = (uint16_t)length};
    memcpy(added->bytes, bytes, length);
    *slot = (uint32_t)table->text_words + 1;
    table->text_words += words;
    table->texts_known++;
    return added;
}

static bool add_totals(counter *c, const int64_t *values) {
    totals *total = &c->total;
    for (size_t i = 0; i < c->table.of.sums; i++) {
        if (c->table.of.largest >> i & 1)
            continue;
        if (values[i] < 0 || values[i] > INT64_MAX - total->sums[i])
            total->are_too_large = true;
        else
            total->sums[i] += values[i];
    }
    return !total->are_too_large;
}

bool counter_add(counter *c, const talker *whose, const int64_t *values) {
    return !add_totals(c, values) || sums_add_soon(&c->table, whose, values);
}

int64_t counter_totals(const counter *c, int64_t *of_each) {
    int64_t largest = 0;
    for (size_t i = 0; i < MOST_SUMS; i++) {
        of_each[i] = c->total.sums[i];
        largest = of_each[i] > largest ? of_each[i] : largest;
    }
    return c->total.are_too_large ? -1 : largest;
}

int counter_absorb(counter *into, counter *from) {
    sums *table = &from->table;
    into->total.are_too_large |= from->total.are_too_large;
    bool is_sound = add_totals(into, from->total.sums);
    into->total_before = into->total;
    if (!is_sound)
        return 0;
    for (EACH_TEXT(known, table)) {
        const kept_text *in_other = sums_text(&into->table, known->bytes, known->length);
        if (!in_other)
            return -1;
        known->note = number_of(&into->table, in_other);
    }
    bool fits = true;
    for (EACH_ROW(one, table)) {
        if (!settle(table, one))
            continue;
        talker whose = {.texts = one->texts};
        for (size_t part = 0; part < table->of.parts; part++) {
            uint32_t number = one->part[part];
            bool is_text = one->texts >> part & 1 && number != NO_VALUE;
            whose.part[part] = is_text ? text_at(table, number)->note : number;
        }
        fits = fits && sums_add_soon(&into->table, &whose, sums_of(table, one));
    }
    fits &= sums_add_waiting(&into->table);
    sums_end_file(&into->table, true);
    counter_clear(from);
    return fits ? 0 : -1;
}

int counter_is_packed(counter *c, const uint8_t *rows, size_t length) {
    const uint8_t *end = rows + length;
    int64_t total[MOST_SUMS] = {0}, values[MOST_SUMS];
    while (rows < end) {
        if (!(rows = unpack_row(&c->table, rows, end, NULL, values)))
            return 0;
        for (size_t i = 0; i < c->table.of.sums; i++) {
            if (values[i] < 0 || values[i] > (c->table.of.largest >> i & 1 ? FIRST_FROM : INT64_MAX - total[i]))
                return 0;
            total[i] += c->table.of.largest >> i & 1 ? 0 : values[i];
        }
    }
    return 1;
}

int counter_add_packed(counter *c, const uint8_t *rows, size_t length) {
    const uint8_t *end = rows + length;
    while (rows < end) {
        talker whose;
        int64_t values[MOST_SUMS];
        rows = unpack_row(&c->table, rows, end, &whose, values);
        if (!rows || !counter_add(c, &whose, values))
            return -1;
    }
    c->total_before = c->total;
    if (!sums_add_waiting(&c->table))
        return -1;
    sums_end_file(&c->table, true);
    return 0;
}

size_t counter_pack(counter *c, uint8_t *room) {
    uint8_t packed[LONGEST_ROW];
    size_t bytes = 0;
    for (EACH_ROW(one, &c->table)) {
        if (settle(&c->table, one))
            bytes += pack_row(&c->table, one, sums_of(&c->table, one), room ? room + bytes : packed);
    }
    return bytes;
}

void counter_clear(counter *c) {
    sums_clear(&c->table);
    c->total = c->total_before = (totals){0};
}

size_t memory_in_rows(const sums *table, size_t rows) { return (rows * table->row_bytes + 31) / 32; }

size_t counter_rows(const counter *c) {
    return memory_in_rows(&c->table, c->table.rows) + (c->table.text_words + TEXT_WORDS - 1) / TEXT_WORDS;
}

size_t counter_talkers(counter *c) {
    size_t talkers = 0;
    if (!sums_merge_log(&c->table))
        return SIZE_MAX;
    for (EACH_ROW(one, &c->table))
        talkers += settle(&c->table, one);
    return talkers;
}
