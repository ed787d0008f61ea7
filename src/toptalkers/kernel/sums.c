/* Sums by talker: an open-addressed table, and the texts of addresses that are not IPv4. */
#include "kernel.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { FIRST_SLOTS = 1 << 12, FIRST_ADDRESSES = 1 << 8 };

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

static inline uint64_t hash_key(const uint32_t *part, size_t parts, uint64_t texts, uint64_t seed) {
    uint64_t hash = seed ^ texts << 32;
    for (size_t i = 0; i < parts; i++) {
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

static size_t slot_bytes(const sums *table) { return (table->mask + 1) * table->row_bytes; }

bool sums_init(sums *table, uint64_t seed, shape of) {
    memset(table, 0, sizeof *table);
    table->of = of;
    table->sums_at = (sizeof(row) + of.parts * sizeof(uint32_t) + 7) / 8 * 8;
    table->row_bytes = table->sums_at + 2 * of.sums * sizeof(int64_t);
    table->seed = seed;
    table->file = 1;
    table->mask = FIRST_SLOTS - 1;
    table->slots = zeroed_room(slot_bytes(table));
    table->address_slots = calloc(2 * FIRST_ADDRESSES, sizeof *table->address_slots);
    table->address_mask = 2 * FIRST_ADDRESSES - 1;
    return table->slots && table->address_slots;
}

void sums_free(sums *table) {
    free_room(table->slots, slot_bytes(table));
    free(table->addresses);
    free(table->address_slots);
}

void sums_clear(sums *table) {
    /* It keeps its size: it was filled once, and will be again. */
    memset(table->slots, 0, slot_bytes(table));
    memset(table->address_slots, 0, (table->address_mask + 1) * sizeof *table->address_slots);
    table->rows = table->addresses_known = 0;
}

/* Functions with `parts` and `row_bytes` are compiled twice: for the default question's, known to the compiler, and for
 * any. */
static bool is_usual(const sums *table) { return table->of.parts == 3 && table->row_bytes == 32; }

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
        copy_rows(table, &larger, table->of.parts, table->row_bytes);
    free_room(table->slots, slot_bytes(table));
    table->slots = larger.slots;
    table->mask = larger.mask;
    return true;
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
        uint32_t difference = one->texts ^ whose->texts;
        for (size_t i = 0; i < parts; i++)
            difference |= one->part[i] ^ whose->part[i];
        if (!difference)
            return one;
    }
}

static bool add(sums *table, const waiting_sum *what) {
    row *one = is_usual(table) ? find(table, &what->whose, what->hash, 3, 32)
                               : find(table, &what->whose, what->hash, table->of.parts, table->row_bytes);
    if (!one)
        return false;
    if (one->file != table->file) {
        settle(table, one);
        one->file = table->file;
    }
    int64_t *pending = sums_of(table, one) + table->of.sums;
    for (size_t i = 0; i < table->of.sums; i++)
        pending[i] += what->values[i];
    return true;
}

bool sums_add_soon(sums *table, const talker *whose, const int64_t *values) {
    waiting_sum *one = &table->waiting[table->waits++ % WAITING];
    bool fits = table->waits <= WAITING || add(table, one);
    one->whose = *whose;
    one->hash = is_usual(table) ? hash_key(whose->part, 3, whose->texts, table->seed)
                                : hash_key(whose->part, table->of.parts, whose->texts, table->seed);
    for (size_t i = 0; i < table->of.sums; i++)
        one->values[i] = values[i];
    __builtin_prefetch(table->slots + (one->hash & table->mask) * table->row_bytes, 1);
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

static bool grow_addresses(sums *table) {
    size_t room = table->addresses_room ? 2 * table->addresses_room : FIRST_ADDRESSES, slots = 2 * room;
    text_address *larger = realloc(table->addresses, room * sizeof *larger);
    if (!larger)
        return false;
    table->addresses = larger;
    uint32_t *larger_slots = calloc(slots, sizeof *larger_slots);
    if (!larger_slots)
        return false;
    free(table->address_slots);
    table->addresses_room = room;
    table->address_slots = larger_slots;
    table->address_mask = slots - 1;
    for (size_t number = 0; number < table->addresses_known; number++) {
        size_t at = larger[number].hash & table->address_mask;
        while (larger_slots[at])
            at = (at + 1) & table->address_mask;
        larger_slots[at] = (uint32_t)number + 1;
    }
    return true;
}

static uint32_t *address_slot(const sums *table, const uint8_t *text, size_t length, uint64_t hash) {
    for (size_t at = hash & table->address_mask;; at = (at + 1) & table->address_mask) {
        uint32_t *slot = &table->address_slots[at];
        if (!*slot)
            return slot;
        const text_address *known = &table->addresses[*slot - 1];
        if (known->hash == hash && known->length == length && !memcmp(known->text, text, length))
            return slot;
    }
}

int64_t sums_known_address(const sums *table, const uint8_t *text, size_t length) {
    return (int64_t)*address_slot(table, text, length, hash_bytes(text, length, table->seed)) - 1;
}

int64_t sums_address(sums *table, const uint8_t *text, size_t length) {
    uint64_t hash = hash_bytes(text, length, table->seed);
    uint32_t *slot = address_slot(table, text, length, hash);
    if (*slot)
        return *slot - 1;
    if (table->addresses_known == table->addresses_room) {
        if (!grow_addresses(table))
            return -1;
        slot = address_slot(table, text, length, hash);
    }
    text_address *added = &table->addresses[table->addresses_known++];
    added->hash = hash;
    added->length = (uint8_t)length;
    memcpy(added->text, text, length);
    *slot = (uint32_t)table->addresses_known;
    return *slot - 1;
}

static bool add_totals(counter *c, const int64_t *values) {
    totals *total = &c->total;
    for (size_t i = 0; i < c->table.of.sums; i++) {
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

int64_t counter_total(const counter *c) {
    int64_t largest = 0;
    for (size_t i = 0; i < c->table.of.sums; i++)
        largest = c->total.sums[i] > largest ? c->total.sums[i] : largest;
    return c->total.are_too_large ? -1 : largest;
}

int counter_absorb(counter *into, counter *from) {
    sums *table = &from->table;
    into->total.are_too_large |= from->total.are_too_large;
    bool is_sound = add_totals(into, from->total.sums);
    into->total_before = into->total;
    if (!is_sound)
        return 0;
    uint32_t *numbers = malloc((table->addresses_known + 1) * sizeof *numbers);
    if (!numbers)
        return -1;
    for (size_t number = 0; number < table->addresses_known; number++) {
        const text_address *known = &table->addresses[number];
        int64_t in_other = sums_address(&into->table, known->text, known->length);
        if (in_other < 0) {
            free(numbers);
            return -1;
        }
        numbers[number] = (uint32_t)in_other;
    }
    bool fits = true;
    for (EACH_ROW(one, table)) {
        if (!settle(table, one))
            continue;
        talker whose = {.texts = one->texts};
        for (size_t part = 0; part < table->of.parts; part++)
            whose.part[part] = one->texts >> part & 1 ? numbers[one->part[part]] : one->part[part];
        fits = fits && sums_add_soon(&into->table, &whose, sums_of(table, one));
    }
    fits &= sums_add_waiting(&into->table);
    free(numbers);
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
            if (values[i] < 0 || values[i] > INT64_MAX - total[i])
                return 0;
            total[i] += values[i];
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

size_t counter_rows(const counter *c) { return c->table.rows + c->table.addresses_known; }

size_t counter_talkers(counter *c) {
    size_t talkers = 0;
    for (EACH_ROW(one, &c->table))
        talkers += settle(&c->table, one);
    return talkers;
}
