/* Shared by conversations.c, endpoints.c and flows.c: rows of records and folded rows (question/conversations.py), and
 * what they have in common. The rules are in docs/conversations.md. */
#ifndef TOPTALKERS_CONVERSATIONS_H
#define TOPTALKERS_CONVERSATIONS_H

#include "reader.h"

#pragma GCC visibility push(hidden)

/* The parts of RECORD_KEY. Rows that are alike in the first CORE_PARTS are copies of one record. */
enum record_part {
    R_START, R_END, R_INTERFACE, R_SRCADDR, R_DSTADDR, R_SRCPORT, R_DSTPORT, R_PROTOCOL, R_PACKETS, R_BYTES, R_ACTION,
    R_FLAGS, R_PKT_SRCADDR, R_PKT_DSTADDR, RECORD_PARTS, CORE_PARTS = R_FLAGS
};

/* The parts of FOLDED_KEY, and DIGEST_METRICS. */
enum folded_part {
    F_HOUR, F_INTERFACE, F_SRCADDR, F_DSTADDR, F_SERVER_PORT, F_SERVER_SIDE, F_PEER_PORT, F_PROTOCOL, F_ACTION, F_FLAGS,
    F_HOW, F_PKT_SRCADDR, F_PKT_DSTADDR, FOLDED_PARTS
};
enum folded_sum { F_BYTES, F_PACKETS, F_RECORDS, F_FIRST, F_LAST, FOLDED_SUMS };

enum { TCP = 6 };

/* A row that is a copy of another one; those that are no record are FREE. */
enum { COPY = 3 };

/* A part's value as one number, which is the same for values that are alike: the number of a text is above all others. */
static inline uint64_t value_of_part(const row *one, size_t part) {
    return (uint64_t)(one->texts >> part & 1) << 32 | one->part[part];
}

static const uint64_t NONE = UINT64_C(1) << 32 | NO_VALUE;

static inline bool has_none(const row *one, size_t part) { return value_of_part(one, part) == NONE; }

static inline row *numbered_row(const sums *table, size_t number) {
    return (row *)(void *)(table->slots + number * table->row_bytes);
}

/* The number that a part of the kind NUMBER_PART is; -1 for `-`. */
static inline int64_t number_of_part(const sums *table, const row *one, size_t part) {
    if (!(one->texts >> part & 1))
        return one->part[part];
    return one->part[part] == NO_VALUE ? -1 : number_of_text(text_at(table, one->part[part]));
}

/* The text of an address, or of another part that is a text; `room` is for an IPv4 address. */
static inline column text_of(const sums *table, uint64_t value, uint8_t *room) {
    if (value == NONE)
        return (column){(const uint8_t *)"-", 1};
    if (value >> 32) {
        const kept_text *text = text_at(table, (uint32_t)value);
        return (column){text->bytes, text->length};
    }
    return (column){room, (size_t)(print_ipv4(room, (uint32_t)value) - room)};
}

static inline int compare_columns(column a, column b) {
    int order = memcmp(a.text, b.text, a.length < b.length ? a.length : b.length);
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static inline int compare_texts(const sums *table, uint64_t a, uint64_t b) {
    uint8_t room[2][LONGEST_ADDRESS];
    return a == b ? 0 : compare_columns(text_of(table, a, room[0]), text_of(table, b, room[1]));
}

/* endpoints.c */
enum how { BY_SYN, BY_PEERS, BY_PORTS, BY_NOTHING, HOWS };
extern const char *const HOW_TEXTS[HOWS + 1]; /* the last is that of copies */

/* What was learned about endpoints. */
typedef struct endpoints endpoints;
/* Learn from all rows that are no copies. NULL without memory. */
endpoints *endpoints_learn(const sums *records);
void endpoints_free(endpoints *e);
/* Fetch from memory what `server_of` will look at. */
void fetch_endpoints(const endpoints *e, const row *one);
/* Find the server of a record: the rule that finds it, and whether it is the source. */
enum how server_of(const endpoints *e, const row *one, bool *is_src);

/* The numbers of the texts that folded rows have of their own. */
typedef struct {
    uint32_t src, dst, how[HOWS + 1];
} folded_texts;

/* The rule that found a folded row's server; HOWS for a copy. */
static inline size_t how_of(const folded_texts *texts, const row *one) {
    size_t how = HOWS;
    while (one->part[F_HOW] != texts->how[how] && how != BY_NOTHING)
        how = how == HOWS ? 0 : how + 1;
    return how;
}

/* Whether a folded row is of TCP, and without flags. */
static inline bool lacks_flags(const row *one) {
    return value_of_part(one, F_PROTOCOL) == TCP && has_none(one, F_FLAGS);
}

/* flows.c */
/* Folded rows, and the answer that is made of them. */
typedef struct {
    sums *folded;
    counter *answer;
    bool is_once, is_pairs, by_packet, keeps_ports;
    folded_texts texts;
    findings *found;
    uint32_t hour; /* of the last row that counts, in minutes */
    bool lacks_memory;
} joining;

/* Note the hour of a folded row that counts; most are in the hour of the one before. False without memory. */
static inline bool note_row_hour(counter *c, const row *one, uint32_t *last) {
    uint32_t hour = one->part[F_HOUR];
    if (hour == *last || has_none(one, F_HOUR))
        return true;
    *last = hour;
    return note_time(&c->reader->noted, hour * (int64_t)60);
}

/* Add up what folded rows say about each conversation. False without memory. */
bool join_once(joining *j);
/* The same of all rows: copies, and both interfaces, are added up. */
bool join_all(joining *j);

#pragma GCC visibility pop

#endif
