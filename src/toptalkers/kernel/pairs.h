/* A set of pairs of numbers, the first of which is not 0: an open-addressed table. */
#ifndef TOPTALKERS_PAIRS_H
#define TOPTALKERS_PAIRS_H

#include "kernel.h"

#include <string.h>

#pragma GCC visibility push(hidden)

enum { FIRST_PAIRS = 1 << 12 };

typedef struct {
    uint64_t (*all)[2];
    size_t mask, known;
    uint64_t seed;
} pairs;

static inline bool pairs_init(pairs *set, uint64_t seed) {
    *set = (pairs){.all = zeroed_room(FIRST_PAIRS * sizeof *set->all), .mask = FIRST_PAIRS - 1, .seed = seed};
    return set->all != NULL;
}

static inline void pairs_free(pairs *set) {
    free_room(set->all, (set->mask + 1) * sizeof *set->all);
    set->all = NULL;
}

static inline size_t pair_place(const pairs *set, uint64_t first, uint64_t second) {
    return mix(mix(set->seed, first), second) >> 16 & set->mask;
}

static inline uint64_t *pair_slot(const pairs *set, uint64_t first, uint64_t second) {
    for (size_t at = pair_place(set, first, second);; at = (at + 1) & set->mask) {
        uint64_t *pair = set->all[at];
        if (!pair[0] || (pair[0] == first && pair[1] == second))
            return pair;
    }
}

static inline bool pairs_have(const pairs *set, uint64_t first, uint64_t second) {
    return set->known && *pair_slot(set, first, second);
}

static inline bool pairs_grow(pairs *set) {
    pairs larger = *set;
    larger.mask = 2 * set->mask + 1;
    larger.all = zeroed_room((larger.mask + 1) * sizeof *larger.all);
    if (!larger.all)
        return false;
    for (size_t i = 0; i <= set->mask; i++) {
        if (set->all[i][0])
            memcpy(pair_slot(&larger, set->all[i][0], set->all[i][1]), set->all[i], sizeof *set->all);
    }
    pairs_free(set);
    *set = larger;
    return true;
}

/* Returns whether a pair is new. Without memory `fits` becomes false. */
static inline bool pairs_add(pairs *set, uint64_t first, uint64_t second, bool *fits) {
    if (set->known >= set->mask / 4 * 3 && !pairs_grow(set)) {
        *fits = false;
        return false;
    }
    uint64_t *pair = pair_slot(set, first, second);
    if (pair[0])
        return false;
    pair[0] = first;
    pair[1] = second;
    set->known++;
    return true;
}

#pragma GCC visibility pop

#endif
