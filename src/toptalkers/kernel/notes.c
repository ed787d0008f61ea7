/* What is noted of a file beside its sums: the interfaces at which AWS left records out (log status SKIPDATA), and the
 * hours in which records start that count. Both are bounded, whatever a file holds. */
#include "reader.h"

#include <stdlib.h>

enum { NAMES = 1 << 13, MOST_NAMES = NAMES / 2, FEWEST_HOURS = 64, MOST_HOURS = 1 << 17 };

void notes_clear(notes *n) {
    if (n->names)
        memset(n->slots, 0, NAMES * sizeof *n->slots);
    if (n->hours)
        memset(n->hour, 0, n->hour_room * sizeof *n->hour);
    n->names = n->hours = 0;
    n->lowest = UINT64_MAX; /* no text */
    n->span = 0;
}

void notes_free(notes *n) {
    free(n->skipping);
    free(n->slots);
    free(n->hour);
}

/* A name that is too long, or one too many, is noted as `-`. */
bool note_skipping(notes *n, column name) {
    if (!n->skipping)
        n->skipping = malloc((MOST_NAMES + 1) * sizeof *n->skipping);
    if (!n->slots)
        n->slots = calloc(NAMES, sizeof *n->slots);
    if (!n->skipping || !n->slots)
        return false;
    if (!name.length || name.length > LONGEST_NAME)
        name = (column){(const uint8_t *)"-", 1};
    for (;;) {
        size_t slot = hash_bytes(name.text, name.length, n->seed) % NAMES;
        for (; n->slots[slot]; slot = (slot + 1) % NAMES) {
            skipping_interface *one = &n->skipping[n->slots[slot] - 1];
            if (one->length == name.length && !memcmp(one->name, name.text, name.length)) {
                one->times++;
                return true;
            }
        }
        if (n->names < MOST_NAMES || is_none(name)) {
            skipping_interface *one = &n->skipping[n->names++];
            one->times = 1;
            one->length = (uint8_t)name.length;
            memcpy(one->name, name.text, name.length);
            n->slots[slot] = (uint16_t)n->names;
            return true;
        }
        name = (column){(const uint8_t *)"-", 1};
    }
}

static void put_hour(uint32_t *hours, size_t room, uint32_t hour, size_t *number) {
    size_t slot = hour * UINT32_C(2654435761) & (room - 1);
    while (hours[slot] && hours[slot] != hour)
        slot = (slot + 1) & (room - 1);
    *number += !hours[slot];
    hours[slot] = hour;
}

/* The first eight of a time's ten digits, as a number that has the order of the texts. */
static uint64_t first_digits(int64_t seconds) {
    uint8_t text[LONGEST_NUMBER];
    uint64_t first;
    print_number(text, (uint64_t)seconds);
    memcpy(&first, text, sizeof first);
    return __builtin_bswap64(first);
}

bool note_time(notes *n, int64_t seconds) {
    if (n->hours >= MOST_HOURS)
        return true;
    uint32_t hour = (uint32_t)(seconds / SECONDS_PER_HOUR) + 1; /* 0 is a free slot */
    if (2 * n->hours >= n->hour_room) {
        size_t room = n->hour_room ? 2 * n->hour_room : FEWEST_HOURS, number = 0;
        uint32_t *larger = calloc(room, sizeof *larger);
        if (!larger)
            return false;
        for (size_t i = 0; i < n->hour_room; i++) {
            if (n->hour[i])
                put_hour(larger, room, n->hour[i], &number);
        }
        free(n->hour);
        n->hour = larger;
        n->hour_room = room;
    }
    put_hour(n->hour, n->hour_room, hour, &n->hours);
    int64_t first = (hour - 1) * (int64_t)SECONDS_PER_HOUR, last = first + SECONDS_PER_HOUR - 1;
    if (first >= 1000000000 && last < 10000000000) {
        n->lowest = first_digits(first);
        n->span = first_digits(last) - n->lowest;
    }
    return true;
}

__attribute__((cold)) bool note_other_hour(reader *r, column start) {
    int64_t seconds = take_time(r, r->now.noted_start, start);
    return seconds < 0 || note_time(&r->noted, seconds);
}

size_t counter_hours(const counter *c, int64_t *room) {
    const notes *n = &c->reader->noted;
    if (n->hours >= MOST_HOURS)
        return 0;
    for (size_t i = 0; room && i < n->hour_room; i++) {
        if (n->hour[i])
            *room++ = (n->hour[i] - 1) * (int64_t)SECONDS_PER_HOUR;
    }
    return n->hours;
}

size_t counter_skipping(const counter *c, uint8_t *room) {
    const notes *n = &c->reader->noted;
    uint8_t digits[LONGEST_NUMBER];
    size_t length = 0;
    for (size_t i = 0; i < n->names; i++) {
        const skipping_interface *one = &n->skipping[i];
        size_t width = (size_t)(print_number(digits, (uint64_t)one->times) - digits);
        if (room) {
            memcpy(room + length, one->name, one->length);
            room[length + one->length] = ' ';
            memcpy(room + length + one->length + 1, digits, width);
            room[length + one->length + 1 + width] = ' ';
        }
        length += one->length + width + 2;
    }
    return length;
}
