/* From records to folded rows, and from these to conversations (docs/conversations.md): the stages.
 *
 * Rows of records are marked where they lie: what is no record becomes FREE, copies become COPY. Then their servers are
 * found (endpoints.c), and they are added up to folded rows, which are the rows of a digest. flows.c makes the answer of
 * these.
 */
#include "conversations.h"

#include <errno.h>
#include <stdlib.h>

const char *const HOW_TEXTS[HOWS + 1] = {"syn", "peers", "ports", "?", "copy"};

static const enum part RECORD_KINDS[RECORD_PARTS] = {
    NUMBER_PART, NUMBER_PART, TEXT_PART, ADDRESS_PART, ADDRESS_PART, PORT_PART, PORT_PART, PROTOCOL_PART, NUMBER_PART,
    NUMBER_PART, TEXT_PART, NUMBER_PART, ADDRESS_PART, ADDRESS_PART
};

static const enum part FOLDED_KINDS[FOLDED_PARTS] = {
    HOUR_PART, TEXT_PART, ADDRESS_PART, ADDRESS_PART, PORT_PART, TEXT_PART, PORT_PART, PROTOCOL_PART, TEXT_PART,
    NUMBER_PART, TEXT_PART, ADDRESS_PART, ADDRESS_PART
};

static const enum sum FOLDED_SUM_KINDS[FOLDED_SUMS] = {ADDED, ADDED, ADDED, FIRST, LAST};

static bool has_kinds(const counter *c, const enum part *kinds, size_t parts, size_t sums_wanted) {
    const shape *of = &c->table.of;
    bool is_alike = of->parts == parts && of->sums == sums_wanted;
    for (size_t part = 0; is_alike && part < parts; part++)
        is_alike = of->part[part] == kinds[part];
    return is_alike;
}

static bool is_folded(const counter *c) {
    if (!has_kinds(c, FOLDED_KINDS, FOLDED_PARTS, FOLDED_SUMS))
        return false;
    for (size_t i = 0; i < FOLDED_SUMS; i++) {
        if (c->table.of.sum[i] != FOLDED_SUM_KINDS[i])
            return false;
    }
    return true;
}

/* --- what is no record, and copies --- */

static int64_t seconds_of_part(const sums *table, const row *one, size_t part) {
    int64_t time = number_of_part(table, one, part);
    return time >= MILLISECONDS_FROM ? time / 1000 : time;
}

static bool has_time(const sums *table, const row *one, size_t part) {
    int64_t time = seconds_of_part(table, one, part);
    return time >= 0 && time <= LARGEST_TIME;
}

static void leave_out_malformed(sums *table, bool needs_port, findings *found) {
    for (EACH_ROW(one, table)) {
        int64_t *to = NULL;
        if (has_none(one, R_SRCADDR) || has_none(one, R_DSTADDR))
            to = &found->malformed_address;
        else if (needs_port && has_none(one, R_DSTPORT))
            to = &found->malformed_port;
        else if (has_none(one, R_PACKETS) || has_none(one, R_BYTES) || !has_time(table, one, R_START) ||
                 !has_time(table, one, R_END))
            to = &found->malformed_number;
        if (!settle(table, one) || to)
            one->state = FREE;
        if (to)
            *to += *sums_of(table, one);
    }
}

/* The text of a part of the kind NUMBER_PART. */
static column number_column(const sums *table, const row *one, size_t part, uint8_t *room) {
    if (one->texts >> part & 1)
        return text_of(table, value_of_part(one, part), NULL);
    return (column){room, (size_t)(print_number(room, one->part[part]) - room)};
}

/* Of two rows that are alike in their core: whether the first is the one that stays. */
static bool stays(const sums *table, const row *one, const row *other) {
    int64_t flags = number_of_part(table, one, R_FLAGS), others = number_of_part(table, other, R_FLAGS);
    if (flags != others)
        return flags > others;
    uint8_t room[2][LONGEST_NUMBER];
    return compare_columns(number_column(table, one, R_FLAGS, room[0]), number_column(table, other, R_FLAGS, room[1])) > 0;
}

/* A row takes over the packet's addresses of another one where these are greater; `-` is the least. */
static void join_addresses(const sums *table, row *to, const row *from) {
    for (size_t part = R_PKT_SRCADDR; part < RECORD_PARTS; part++) {
        if (has_none(from, part) ||
            (!has_none(to, part) && compare_texts(table, value_of_part(from, part), value_of_part(to, part)) <= 0))
            continue;
        to->part[part] = from->part[part];
        to->texts = (to->texts & ~(1u << part)) | (from->texts & 1u << part);
    }
}

static uint64_t hash_core(const row *one, uint64_t seed) {
    uint64_t hash = mix(seed, one->texts & ((1u << CORE_PARTS) - 1));
    for (size_t part = 0; part + 1 < CORE_PARTS; part += 2)
        hash = mix(hash, (uint64_t)one->part[part] << 32 | one->part[part + 1]);
    return mix(hash, one->part[CORE_PARTS - 1]);
}

static bool has_same_core(const row *one, const row *other) {
    return !((one->texts ^ other->texts) & ((1u << CORE_PARTS) - 1)) &&
           !memcmp(one->part, other->part, CORE_PARTS * sizeof *one->part);
}

enum { AHEAD = 16 };

/* The slot of the row with this core, or a free one. */
static uint64_t *slot_of(const sums *table, const row *one, uint64_t hash) {
    for (size_t at = hash >> 32 & table->mask;; at = (at + 1) & table->mask) {
        uint64_t slot = table->index[at];
        if (!slot || (slot >> 32 == hash >> 32 && has_same_core(one, numbered_row(table, (uint32_t)slot - 1))))
            return &table->index[at];
    }
}

/* Returns whether the row or the one that was there is a copy. */
static bool note_row(const sums *table, row *one, uint64_t hash) {
    uint64_t *slot = slot_of(table, one, hash);
    row *other = *slot ? numbered_row(table, (uint32_t)*slot - 1) : NULL;
    if (other && stays(table, other, one)) {
        join_addresses(table, other, one);
        one->state = COPY;
        return true;
    }
    if (other) {
        join_addresses(table, one, other);
        other->state = COPY;
    }
    size_t number = (size_t)((uint8_t *)one - table->slots) / table->row_bytes;
    *slot = hash >> 32 << 32 | (number + 1);
    return other != NULL;
}

/* Find rows by their core, in the room of the table's index. */
static bool mark_copies(sums *table) {
    struct {
        row *one;
        uint64_t hash;
    } ahead[AHEAD];
    size_t number = 0;
    bool has_copies = false;
    if (!sums_clear_index(table))
        return false;
    for (EACH_ROW(one, table)) {
        if (number >= AHEAD)
            has_copies |= note_row(table, ahead[number % AHEAD].one, ahead[number % AHEAD].hash);
        uint64_t hash = hash_core(one, table->seed);
        ahead[number % AHEAD].one = one;
        ahead[number++ % AHEAD].hash = hash;
        __builtin_prefetch(&table->index[hash >> 32 & table->mask], 1);
    }
    for (size_t i = number > AHEAD ? number - AHEAD : 0; i < number; i++)
        has_copies |= note_row(table, ahead[i % AHEAD].one, ahead[i % AHEAD].hash);
    for (row *one = has_copies ? next_used(table, table->slots) : NULL; one;
         one = next_used(table, (uint8_t *)one + table->row_bytes)) {
        if (one->state == COPY)
            join_addresses(table, one,
                           numbered_row(table, (uint32_t)*slot_of(table, one, hash_core(one, table->seed)) - 1));
    }
    return true;
}

/* --- folded --- */

typedef struct {
    const sums *from;
    counter *to;
    const endpoints *learned;
    bool keeps_ports;
    findings *found;
    folded_texts texts;
} folding;

static bool take_known_text(sums *table, const char *text, uint32_t *number) {
    const kept_text *known = sums_text(table, (const uint8_t *)text, strlen(text));
    *number = known ? number_of(table, known) : 0;
    return known != NULL;
}

static bool take_texts(sums *folded, folded_texts *texts) {
    bool fits = take_known_text(folded, "src", &texts->src) && take_known_text(folded, "dst", &texts->dst);
    for (size_t i = 0; fits && i <= HOWS; i++)
        fits = take_known_text(folded, HOW_TEXTS[i], &texts->how[i]);
    return fits;
}

static inline void set_number(talker *whose, size_t part, uint32_t number) { whose->part[part] = number; }

static inline void set_text(talker *whose, size_t part, uint32_t number) {
    whose->part[part] = number;
    whose->texts |= 1u << part;
}

/* Copy a part; a text gets its number in the other table, which is noted. False without memory. */
static inline bool copy_part(folding *f, const row *one, size_t part, talker *whose, size_t to) {
    whose->part[to] = one->part[part];
    if (!(one->texts >> part & 1))
        return true;
    whose->texts |= 1u << to;
    if (one->part[part] == NO_VALUE)
        return true;
    kept_text *text = text_at(f->from, one->part[part]);
    if (text->note == NO_VALUE) {
        const kept_text *in_other = sums_text(&f->to->table, text->bytes, text->length);
        if (!in_other)
            return false;
        text->note = number_of(&f->to->table, in_other);
    }
    whose->part[to] = text->note;
    return true;
}

/* Whether `service-port` finds the server on a side, so that the other port is a client's. */
static bool is_service(const sums *table, const row *one, bool is_src) {
    if (has_none(one, R_SRCPORT) || has_none(one, R_DSTPORT))
        return false;
    int64_t flags = number_of_part(table, one, R_FLAGS);
    return side_of_service(one->part[R_SRCPORT], one->part[R_DSTPORT], flags) == (is_src ? SRC_SIDE : DST_SIDE);
}

/* Add so many records of a row. */
static bool fold_records(folding *f, const row *one, talker *whose, int64_t records, uint32_t how) {
    const sums *from = f->from;
    set_text(whose, F_HOW, how);
    int64_t values[MOST_SUMS];
    values[F_RECORDS] = records;
    if (__builtin_mul_overflow(number_of_part(from, one, R_BYTES), records, &values[F_BYTES]) ||
        __builtin_mul_overflow(number_of_part(from, one, R_PACKETS), records, &values[F_PACKETS]))
        values[F_BYTES] = values[F_PACKETS] = -1; /* too large for a sum */
    values[F_FIRST] = as_kept(&f->to->table.of, F_FIRST, seconds_of_part(from, one, R_START));
    values[F_LAST] = seconds_of_part(from, one, R_END);
    return counter_add(f->to, whose, values);
}

static bool fold_row(folding *f, row *one) {
    const sums *from = f->from;
    bool is_src;
    enum how how = server_of(f->learned, one, &is_src);
    int64_t records = *sums_of(from, one), copies = one->state == COPY ? records : records - 1;
    size_t server = is_src ? R_SRCPORT : R_DSTPORT, client = is_src ? R_DSTPORT : R_SRCPORT;
    talker whose = {.texts = 0};
    int64_t minute = seconds_of_part(from, one, R_START) / 60;
    set_number(&whose, F_HOUR, (uint32_t)(minute - minute % 60));
    set_text(&whose, F_SERVER_SIDE, is_src ? f->texts.src : f->texts.dst);
    bool fits = copy_part(f, one, R_INTERFACE, &whose, F_INTERFACE) &&
                copy_part(f, one, R_SRCADDR, &whose, F_SRCADDR) && copy_part(f, one, R_DSTADDR, &whose, F_DSTADDR) &&
                copy_part(f, one, server, &whose, F_SERVER_PORT) && copy_part(f, one, client, &whose, F_PEER_PORT) &&
                copy_part(f, one, R_PROTOCOL, &whose, F_PROTOCOL) && copy_part(f, one, R_ACTION, &whose, F_ACTION) &&
                copy_part(f, one, R_FLAGS, &whose, F_FLAGS);
    bool has_client = !(whose.texts >> F_PEER_PORT & 1);
    if (!f->keeps_ports && has_client && whose.part[F_PEER_PORT] > HIGHEST_KNOWN_PORT && is_service(from, one, is_src))
        set_text(&whose, F_PEER_PORT, NO_VALUE);
    if (value_of_part(one, R_PKT_SRCADDR) == value_of_part(one, R_SRCADDR))
        set_text(&whose, F_PKT_SRCADDR, NO_VALUE);
    else
        fits = fits && copy_part(f, one, R_PKT_SRCADDR, &whose, F_PKT_SRCADDR);
    if (value_of_part(one, R_PKT_DSTADDR) == value_of_part(one, R_DSTADDR))
        set_text(&whose, F_PKT_DSTADDR, NO_VALUE);
    else
        fits = fits && copy_part(f, one, R_PKT_DSTADDR, &whose, F_PKT_DSTADDR);
    if (fits && copies)
        fits = fold_records(f, one, &whose, copies, f->texts.how[HOWS]);
    if (fits && copies < records) {
        f->found->without_packet_addresses += has_none(one, R_PKT_SRCADDR) && has_none(one, R_PKT_DSTADDR);
        fits = fold_records(f, one, &whose, 1, f->texts.how[how]);
    }
    return fits;
}

/* End what was added, as at the end of a file that counts. */
static bool end_adding(counter *c) {
    c->total_before = c->total;
    bool fits = sums_add_waiting(&c->table);
    sums_end_file(&c->table, true);
    return fits;
}

static bool fold_all(folding *f) {
    bool fits = take_texts(&f->to->table, &f->texts);
    for (EACH_TEXT(text, f->from))
        text->note = NO_VALUE;
    const uint8_t *end = f->from->slots + f->from->rows * f->from->row_bytes;
    for (row *one = next_used(f->from, f->from->slots); fits && one;
         one = next_used(f->from, (uint8_t *)one + f->from->row_bytes)) {
        const uint8_t *later = (const uint8_t *)one + AHEAD * f->from->row_bytes;
        if (later < end)
            fetch_endpoints(f->learned, (const row *)(const void *)later);
        fits = fold_row(f, one);
    }
    return end_adding(f->to) && fits;
}

int conversations_fold(counter *records, counter *folded, int keeps_ports, int needs_port, findings *found) {
    if (!has_kinds(records, RECORD_KINDS, RECORD_PARTS, 1) || !is_folded(folded)) {
        errno = EINVAL;
        return -1;
    }
    errno = ENOMEM;
    folded->total.are_too_large |= records->total.are_too_large;
    leave_out_malformed(&records->table, needs_port, found);
    endpoints *learned = mark_copies(&records->table) ? endpoints_learn(&records->table) : NULL;
    folding f = {
        .from = &records->table, .to = folded, .learned = learned, .keeps_ports = keeps_ports, .found = found};
    bool fits = learned && fold_all(&f);
    endpoints_free(learned);
    counter_clear(records);
    return fits ? 0 : -1;
}

/* --- the answer --- */

int conversations_look(counter *folded, findings *found) {
    folded_texts texts;
    uint32_t hour = NO_VALUE;
    if (!take_texts(&folded->table, &texts))
        return -1;
    notes_clear(&folded->reader->noted);
    for (EACH_ROW(one, &folded->table)) {
        if (!settle(&folded->table, one))
            continue;
        if (!note_row_hour(folded, one, &hour))
            return -1;
        size_t how = how_of(&texts, one);
        int64_t records = sums_of(&folded->table, one)[F_RECORDS];
        *(how < HOWS ? &found->oriented[how] : &found->copies) += records;
        found->without_flags += how < HOWS && lacks_flags(one) ? records : 0;
    }
    return 0;
}

int conversations_answer(counter *folded, counter *answer, int is_once, int by_packet, int keeps_ports, findings *found) {
    if (!is_folded(folded)) {
        errno = EINVAL;
        return -1;
    }
    errno = ENOMEM;
    const shape *of = &answer->table.of;
    joining j = {.folded = &folded->table, .hour = NO_VALUE, .answer = answer, .is_once = is_once, .by_packet = by_packet,
                 .keeps_ports = keeps_ports, .found = found,
                 .is_pairs = of->sum[of->sums - 1] == HOW};
    answer->total.are_too_large |= folded->total.are_too_large;
    bool fits = take_texts(&folded->table, &j.texts) && (is_once ? join_once(&j) : join_all(&j));
    return end_adding(answer) && fits && !j.lacks_memory ? 0 : -1;
}
