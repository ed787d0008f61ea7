/* The columns of an answer's lines as columns of numbers; answer/columns.py says what for, and answer/pure_columns.py does
 * the same in Python.
 *
 * Keys are texts, or rows of numbers. There are more than a core's cache holds, so some keys are looked up together: what
 * one needs comes from memory while others are hashed. */
#include <stdlib.h>
#include <string.h>

#include "kernel.h"

enum { FIRST_SLOTS = 1 << 11, FIRST_WORDS = 1 << 12, TOGETHER = KEYS_TOGETHER };

/* A key that is kept. */
typedef struct {
    uint32_t number, length;
    uint8_t bytes[];
} entry;

struct distinct {
    uint64_t *slots; /* by a hash: its upper half, and where the key's entry is, in words, + 1; 0 is free */
    size_t mask;     /* number of slots, a power of two, less one */
    uint64_t *entries;
    size_t words, room; /* of the entries */
    uint32_t keys;
    size_t taken; /* the words of those that were taken */
    uint64_t seed;
};

distinct *distinct_new(uint64_t seed) {
    distinct *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->seed = seed;
    d->mask = FIRST_SLOTS - 1;
    d->room = FIRST_WORDS;
    d->slots = calloc(FIRST_SLOTS, sizeof *d->slots);
    d->entries = malloc(FIRST_WORDS * sizeof *d->entries);
    if (d->slots && d->entries)
        return d;
    distinct_free(d);
    return NULL;
}

void distinct_free(distinct *d) {
    free(d->slots);
    free(d->entries);
    free(d);
}

static inline entry *entry_at(const distinct *d, size_t word) { return (entry *)(void *)(d->entries + word); }

static inline entry *entry_of(const distinct *d, uint64_t slot) { return entry_at(d, (uint32_t)slot - 1); }

static inline size_t entry_words(size_t length) { return (sizeof(entry) + length + 7) / 8; }

size_t distinct_keys(const distinct *d) { return d->keys; }

size_t distinct_untaken(const distinct *d) { return (d->words - d->taken) * sizeof *d->entries; }

bool distinct_peek(const distinct *d, text_key *next) {
    if (d->taken == d->words)
        return false;
    const entry *one = entry_at(d, d->taken);
    *next = (text_key){one->bytes, one->length};
    return true;
}

void distinct_skip(distinct *d) { d->taken += entry_words(entry_at(d, d->taken)->length); }

void distinct_take(distinct *d, uint8_t *bytes, uint64_t *ends) {
    uint64_t length = 0;
    for (text_key one; distinct_peek(d, &one); distinct_skip(d)) {
        memcpy(bytes + length, one.bytes, one.length);
        *ends++ = length += one.length;
    }
}

static inline uint64_t *slot_of(const distinct *d, text_key what, uint64_t hash) {
    for (size_t at = hash >> 32 & d->mask;; at = (at + 1) & d->mask) {
        uint64_t *slot = &d->slots[at];
        if (!*slot)
            return slot;
        if (*slot >> 32 == hash >> 32) {
            const entry *one = entry_of(d, *slot);
            if (one->length == what.length && !memcmp(one->bytes, what.bytes, what.length))
                return slot;
        }
    }
}

/* Make room for one more key, of so many words. False without memory. */
static bool grow(distinct *d, size_t words) {
    if (d->keys > d->mask / 2) {
        size_t mask = 2 * d->mask + 1;
        uint64_t *slots = calloc(mask + 1, sizeof *slots);
        if (!slots)
            return false;
        for (size_t i = 0; i <= d->mask; i++) {
            size_t at = d->slots[i] >> 32 & mask;
            while (d->slots[i] && slots[at])
                at = (at + 1) & mask;
            if (d->slots[i])
                slots[at] = d->slots[i];
        }
        free(d->slots);
        d->slots = slots;
        d->mask = mask;
    }
    if (d->words + words > UINT32_MAX - 1 || d->keys == INT32_MAX)
        return false;
    size_t room = d->room;
    while (room < d->words + words)
        room *= 2;
    if (room > d->room) {
        uint64_t *entries = realloc(d->entries, room * sizeof *entries);
        if (!entries)
            return false;
        d->entries = entries;
        d->room = room;
    }
    return true;
}

/* The number of a key, which gets the next one if it is new; -1 without memory. */
static int32_t number_key(distinct *d, text_key what, uint64_t hash) {
    uint64_t *slot = slot_of(d, what, hash);
    if (*slot)
        return (int32_t)entry_of(d, *slot)->number;
    size_t words = entry_words(what.length);
    if (!grow(d, words))
        return -1;
    entry *added = entry_at(d, d->words);
    added->number = d->keys++;
    added->length = (uint32_t)what.length;
    memcpy(added->bytes, what.bytes, what.length);
    *slot_of(d, what, hash) = hash >> 32 << 32 | (d->words + 1);
    d->words += words;
    return (int32_t)added->number;
}

bool distinct_number(distinct *d, const text_key *keys, size_t number, int32_t *numbers) {
    uint64_t hashes[TOGETHER];
    for (size_t i = 0; i < number; i++) {
        hashes[i] = hash_bytes(keys[i].bytes, keys[i].length, d->seed);
        __builtin_prefetch(&d->slots[hashes[i] >> 32 & d->mask]);
    }
    for (size_t i = 0; i < number; i++) {
        uint64_t slot = d->slots[hashes[i] >> 32 & d->mask];
        if (slot)
            __builtin_prefetch(entry_of(d, slot));
    }
    for (size_t i = 0; i < number; i++) {
        numbers[i] = number_key(d, keys[i], hashes[i]);
        if (numbers[i] < 0)
            return false;
    }
    return true;
}

/* Read a sum; one that is too large becomes the largest number. False if it is none. */
static bool read_sum(text_key text, uint64_t *sum) {
    uint64_t value = 0;
    bool is_too_large = false;
    for (size_t i = 0; i < text.length; i++) {
        if (text.bytes[i] < '0' || text.bytes[i] > '9')
            return false;
        uint64_t digit = text.bytes[i] - (uint64_t)'0';
        is_too_large |= __builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value);
    }
    *sum = is_too_large ? UINT64_MAX : value;
    return text.length;
}

enum split columns_split(const uint8_t *piece, size_t length, const split_column *columns, size_t width) {
    const uint8_t *at = piece, *end = piece + length;
    text_key keys[MOST_SPLIT][TOGETHER];
    if (width > MOST_SPLIT || (length && end[-1] != '\n'))
        return WRONG_COLUMNS;
    for (size_t line = 0, number; at < end; line += number) {
        for (number = 0; number < TOGETHER && at < end; number++) {
            for (size_t i = 0; i < width; i++) {
                const uint8_t *from = at;
                while (*at != '\t' && *at != '\n')
                    at++;
                if ((*at == '\n') != (i + 1 == width))
                    return WRONG_COLUMNS;
                keys[i][number] = (text_key){from, (size_t)(at++ - from)};
            }
        }
        for (size_t i = 0; i < width; i++) {
            if (columns[i].keys && !distinct_number(columns[i].keys, keys[i], number, columns[i].numbers + line))
                return NO_MEMORY;
            for (size_t j = 0; columns[i].sums && j < number; j++) {
                if (!read_sum(keys[i][j], columns[i].sums + line + j))
                    return WRONG_SUM;
            }
        }
    }
    return ALL_SPLIT;
}

int distinct_rows(distinct *d, size_t lines, const row_column *columns, size_t width, int32_t *numbers) {
    int32_t rows[TOGETHER][MOST_SPLIT];
    text_key keys[TOGETHER];
    for (size_t line = 0, number; line < lines; line += number) {
        for (number = 0; number < TOGETHER && line + number < lines; number++) {
            for (size_t i = 0; i < width; i++) {
                int32_t one = columns[i].numbers[line + number];
                rows[number][i] = columns[i].of ? columns[i].of[one] : one;
            }
            keys[number] = (text_key){(uint8_t *)rows[number], width * sizeof **rows};
        }
        if (!distinct_number(d, keys, number, numbers + line))
            return -1;
    }
    return 0;
}

int distinct_cases(distinct *d, size_t lines, const case_columns *c, int32_t *numbers) {
    int32_t rows[TOGETHER][3];
    text_key keys[TOGETHER];
    for (size_t line = 0, number; line < lines; line += number) {
        for (number = 0; number < TOGETHER && line + number < lines; number++) {
            size_t at = line + number;
            int32_t address = c->addresses[at], hour = c->hours ? c->hours[at] : 0;
            rows[number][0] = c->until[hour] > c->attached[address] ? c->epochs[hour] : -1 - hour;
            rows[number][1] = c->depends[address] ? c->vpcs[c->interfaces ? c->interfaces[at] : 0] : 0;
            rows[number][2] = address;
            keys[number] = (text_key){(uint8_t *)rows[number], sizeof *rows};
        }
        if (!distinct_number(d, keys, number, numbers + line))
            return -1;
    }
    return 0;
}

void sums_of_rows(uint64_t *to, size_t lines, const int32_t *rows, const uint64_t *values) {
    for (size_t line = 0; line < lines; line++) {
        if (__builtin_add_overflow(to[rows[line]], values[line], &to[rows[line]]))
            to[rows[line]] = UINT64_MAX;
    }
}

void largest_of_rows(uint64_t *to, size_t lines, const int32_t *rows, const int32_t *numbers, const uint64_t *of) {
    for (size_t line = 0; line < lines; line++) {
        if (to[rows[line]] < of[numbers[line]])
            to[rows[line]] = of[numbers[line]];
    }
}
