/* Sums by talker: an open-addressed table, and the texts of addresses that are not IPv4. */
#include "kernel.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { FIRST_SLOTS = 1 << 12, FIRST_ADDRESSES = 1 << 8 };

/* Large tables are looked at here and there: with large pages that takes half the time. */
void *zeroed_room(size_t bytes) {
    void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        return NULL;
#ifdef MADV_HUGEPAGE
    madvise(room, bytes, MADV_HUGEPAGE); /* a wish; where it is not granted, nothing is lost but time */
#endif
    return room;
}

void free_room(void *room, size_t bytes) {
    if (room)
        munmap(room, bytes);
}

static uint64_t mixed(uint64_t bits) {
    bits ^= bits >> 32;
    bits *= 0xd6e8feb86659fd93u;
    bits ^= bits >> 32;
    bits *= 0xd6e8feb86659fd93u;
    return bits ^ bits >> 32;
}

static size_t place(const sums *table, talker whose) {
    uint64_t addresses = (uint64_t)whose.src << 32 | whose.dst;
    uint64_t rest = (uint64_t)whose.port << 8 | whose.kinds;
    return mixed((addresses ^ table->seed) * 0x9e3779b97f4a7c15u + rest) & table->mask;
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
    return mixed(hash ^ word);
}

static bool is_of(const talker_sum *one, talker whose) {
    return one->src == whose.src && one->dst == whose.dst && one->port == whose.port && one->kinds == whose.kinds;
}

static size_t slot_bytes(const sums *table) { return (table->mask + 1) * sizeof *table->slots; }

bool sums_init(sums *table, uint64_t seed) {
    memset(table, 0, sizeof *table);
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
    /* Kept as large as it is: it was filled once, and will be again. */
    memset(table->slots, 0, slot_bytes(table));
    memset(table->address_slots, 0, (table->address_mask + 1) * sizeof *table->address_slots);
    table->rows = table->addresses_known = 0;
}

static bool grow(sums *table) {
    size_t old_bytes = slot_bytes(table);
    talker_sum *old = table->slots, *end = old + table->mask + 1;
    talker_sum *larger = zeroed_room(2 * old_bytes);
    if (!larger)
        return false;
    table->slots = larger;
    table->mask = 2 * table->mask + 1;
    for (talker_sum *one = old; one < end; one++) {
        if (one->state == FREE)
            continue;
        size_t at = place(table, (talker){one->src, one->dst, one->port, one->kinds});
        while (larger[at].state != FREE)
            at = (at + 1) & table->mask;
        larger[at] = *one;
    }
    free_room(old, old_bytes);
    return true;
}

talker_sum *sums_of(sums *table, talker whose) {
    for (size_t at = place(table, whose);; at = (at + 1) & table->mask) {
        talker_sum *one = &table->slots[at];
        if (one->state == FREE) {
            if (table->rows >= table->mask / 4 * 3) {
                if (!grow(table))
                    return NULL;
                return sums_of(table, whose);
            }
            table->rows++;
            *one = (talker_sum){.src = whose.src, .dst = whose.dst, .port = whose.port, .kinds = whose.kinds};
            one->state = USED;
            return one;
        }
        if (is_of(one, whose))
            return one;
    }
}

bool sums_add_soon(sums *table, talker whose, int64_t value) {
    bool fits = true;
    waiting_sum *one = &table->waiting[table->waits++ % WAITING];
    if (table->waits > WAITING)
        fits = sums_add(table, one->whose, one->value);
    *one = (waiting_sum){whose, value};
    __builtin_prefetch(&table->slots[place(table, whose)], 1);
    return fits;
}

bool sums_add_waiting(sums *table) {
    bool fits = true;
    size_t waits = table->waits < WAITING ? table->waits : WAITING;
    table->waits = 0;
    for (size_t i = 0; i < waits; i++)
        fits &= sums_add(table, table->waiting[i].whose, table->waiting[i].value);
    return fits;
}

bool settle(const sums *table, talker_sum *one) {
    if (one->file && one->file != table->file) {
        one->sum += one->pending;
        one->pending = 0;
        one->file = 0;
        one->state = COUNTED_ONCE;
    }
    return one->state == COUNTED_ONCE;
}

bool sums_add(sums *table, talker whose, int64_t value) {
    talker_sum *one = sums_of(table, whose);
    if (!one)
        return false;
    if (one->file != table->file) {
        settle(table, one);
        one->file = table->file;
    }
    one->pending += value;
    return true;
}

void sums_end_file(sums *table, bool counts) {
    if (!counts) {
        for (talker_sum *one = table->slots; one <= table->slots + table->mask; one++) {
            if (one->state != FREE && one->file == table->file) {
                one->pending = 0;
                one->file = 0;
            }
        }
    }
    table->file++;
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

int64_t sums_known_address(const sums *table, const uint8_t *text, size_t length, uint64_t hash) {
    return (int64_t)*address_slot(table, text, length, hash) - 1;
}

int64_t sums_address(sums *table, const uint8_t *text, size_t length, uint64_t hash) {
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

static bool add_total(counter *c, int64_t value) {
    if (value < 0 || value > INT64_MAX - c->total)
        c->is_too_large = true;
    else
        c->total += value;
    return !c->is_too_large;
}

bool counter_add(counter *c, talker whose, int64_t value) {
    return !add_total(c, value) || sums_add_soon(&c->table, whose, value);
}

int64_t counter_total(const counter *c) { return c->is_too_large ? -1 : c->total; }

int counter_absorb(counter *into, counter *from) {
    sums *table = &from->table;
    into->is_too_large |= from->is_too_large;
    bool is_sound = add_total(into, from->total);
    into->total_before = counter_total(into);
    if (!is_sound)
        return 0;
    from->total = from->total_before = 0;
    uint32_t *numbers = malloc((table->addresses_known + 1) * sizeof *numbers);
    if (!numbers)
        return -1;
    for (size_t number = 0; number < table->addresses_known; number++) {
        const text_address *known = &table->addresses[number];
        int64_t in_other = sums_address(&into->table, known->text, known->length,
                                        hash_bytes(known->text, known->length, into->table.seed));
        if (in_other < 0) {
            free(numbers);
            return -1;
        }
        numbers[number] = (uint32_t)in_other;
    }
    bool fits = true;
    for (talker_sum *one = table->slots; fits && one <= table->slots + table->mask; one++) {
        if (one->state != FREE && settle(table, one)) {
            talker whose = {one->src, one->dst, one->port, one->kinds};
            if (whose.kinds & SRC_IS_TEXT)
                whose.src = numbers[whose.src];
            if (whose.kinds & DST_IS_TEXT)
                whose.dst = numbers[whose.dst];
            fits = sums_add_soon(&into->table, whose, one->sum);
        }
    }
    fits &= sums_add_waiting(&into->table);
    free(numbers);
    sums_end_file(&into->table, true);
    sums_clear(table);
    return fits ? 0 : -1;
}

/* --- packed rows: kinds, source, destination (4 bytes, or a length and a text), port, sum --- */

static uint8_t *pack_address(const sums *table, uint32_t address, bool is_text, uint8_t *to) {
    if (!is_text) {
        memcpy(to, &address, 4);
        return to + 4;
    }
    const text_address *known = &table->addresses[address];
    *to++ = known->length;
    memcpy(to, known->text, known->length);
    return to + known->length;
}

size_t pack_row(const sums *table, const talker_sum *one, int64_t value, uint8_t *row) {
    uint8_t *to = row;
    *to++ = one->kinds;
    to = pack_address(table, one->src, one->kinds & SRC_IS_TEXT, to);
    to = pack_address(table, one->dst, one->kinds & DST_IS_TEXT, to);
    memcpy(to, &one->port, 2);
    memcpy(to + 2, &value, 8);
    return (size_t)(to + 10 - row);
}

static const uint8_t *unpack_address(sums *table, bool is_text, const uint8_t *from, const uint8_t *end, uint32_t *address) {
    if (!is_text) {
        if (end - from < 4)
            return NULL;
        memcpy(address, from, 4);
        return from + 4;
    }
    if (end - from < 1 || *from > LONGEST_ADDRESS || end - from < 1 + *from)
        return NULL;
    int64_t number = sums_address(table, from + 1, *from, hash_bytes(from + 1, *from, table->seed));
    *address = (uint32_t)number;
    return number < 0 ? NULL : from + 1 + *from;
}

static const uint8_t *behind_address(bool is_text, const uint8_t *from, const uint8_t *end) {
    if (!is_text)
        return end - from < 4 ? NULL : from + 4;
    if (end - from < 1 || end - from < 1 + *from || !is_text_address(from + 1, *from))
        return NULL;
    return from + 1 + *from;
}

int is_packed(const uint8_t *rows, size_t length) {
    const uint8_t *from = rows, *end = rows + length;
    int64_t total = 0, value;
    while (from < end) {
        uint8_t kinds = *from++;
        if (kinds & ~(SRC_IS_TEXT | DST_IS_TEXT) || !(from = behind_address(kinds & SRC_IS_TEXT, from, end)) ||
            !(from = behind_address(kinds & DST_IS_TEXT, from, end)) || end - from < 10)
            return 0;
        memcpy(&value, from + 2, 8);
        from += 10;
        if (value < 0 || value > INT64_MAX - total)
            return 0;
        total += value;
    }
    return 1;
}

int counter_add_packed(counter *c, const uint8_t *rows, size_t length) {
    const uint8_t *from = rows, *end = rows + length;
    while (from < end) {
        talker whose = {.kinds = *from++};
        int64_t value;
        if (!(from = unpack_address(&c->table, whose.kinds & SRC_IS_TEXT, from, end, &whose.src)) ||
            !(from = unpack_address(&c->table, whose.kinds & DST_IS_TEXT, from, end, &whose.dst)) || end - from < 10)
            return -1;
        memcpy(&whose.port, from, 2);
        memcpy(&value, from + 2, 8);
        from += 10;
        if (!counter_add(c, whose, value))
            return -1;
    }
    c->total_before = counter_total(c);
    if (!sums_add_waiting(&c->table))
        return -1;
    sums_end_file(&c->table, true);
    return 0;
}

static size_t pack_all(counter *c, uint8_t *room) {
    uint8_t row[LONGEST_ROW];
    size_t bytes = 0;
    for (talker_sum *one = c->table.slots; one <= c->table.slots + c->table.mask; one++) {
        if (one->state != FREE && settle(&c->table, one))
            bytes += pack_row(&c->table, one, one->sum, room ? room + bytes : row);
    }
    return bytes;
}

size_t counter_packed_bytes(counter *c) { return pack_all(c, NULL); }

void counter_pack(counter *c, uint8_t *room) { pack_all(c, room); }

void counter_clear(counter *c) {
    sums_clear(&c->table);
    c->total = c->total_before = 0;
    c->is_too_large = false;
}

size_t counter_rows(const counter *c) { return c->table.rows + c->table.addresses_known; }
