/* The order of the answer - sum descending, then the printed talker ascending, as bytes - and its lines.
 *
 * Printed talkers compare as their parts do, one after the other, since each part has an end that tells it from
 * what is longer: an IPv4 address its colon, any other its bracket, a port the tab. So each part is given its rank
 * among the texts of its kind, and rows of ranks are sorted as numbers, without a look at a text. IPv4 comes before
 * all else, since a digit comes before a bracket.
 */
#include "kernel.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "rows are sorted byte by byte, the least significant first"
#endif

/* Sorted by its bytes, from the first as the least significant to the last. */
typedef struct {
    uint16_t port;
    uint8_t dst[4], dst_is_text, src[4], src_is_text;
    uint32_t unused;
    uint64_t below; /* how far the sum is below the largest number there is */
} row;

enum { BYTES = sizeof(row) };

struct ranking {
    counter *c;
    row *rows;
    size_t number, given, room;
    uint16_t octet_before_dot[256], octet_before_colon[256], port[1 << 16]; /* by their ranks */
    uint32_t *address; /* the number of a text, by its rank */
};

/* Decimals below a limit in the order of their texts: of two that begin alike the shorter one first, as before a
 * dot or an end, or last, as before a colon. */
static void order_decimals(uint32_t from, uint32_t limit, bool shorter_first, uint16_t **next) {
    if (shorter_first)
        *(*next)++ = (uint16_t)from;
    for (uint32_t longer = from * 10; from && longer < from * 10 + 10 && longer < limit; longer++)
        order_decimals(longer, limit, shorter_first, next);
    if (!shorter_first)
        *(*next)++ = (uint16_t)from;
}

static void order_all_decimals(uint32_t limit, bool shorter_first, uint16_t *ordered) {
    for (uint32_t digit = 0; digit < 10; digit++)
        order_decimals(digit, limit, shorter_first, &ordered);
}

/* Texts with the bracket that follows them. */
static int by_text(const void *one, const void *other) {
    const text_address *a = *(const text_address *const *)one, *b = *(const text_address *const *)other;
    size_t shorter = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->text, b->text, shorter);
    if (order || a->length == b->length)
        return order;
    return a->length < b->length ? ']' - b->text[shorter] : a->text[shorter] - ']';
}

/* Order the known texts; gives each one's rank by its number, and fills the ranking's way back. */
static uint32_t *order_addresses(ranking *r) {
    const sums *table = &r->c->table;
    size_t known = table->addresses_known;
    const text_address **ordered = malloc((known + 1) * sizeof *ordered);
    uint32_t *rank = malloc((known + 1) * sizeof *rank);
    r->address = malloc((known + 1) * sizeof *r->address);
    if (ordered && rank && r->address) {
        for (size_t i = 0; i < known; i++)
            ordered[i] = &table->addresses[i];
        qsort(ordered, known, sizeof *ordered, by_text);
        for (size_t i = 0; i < known; i++) {
            r->address[i] = (uint32_t)(ordered[i] - table->addresses);
            rank[r->address[i]] = (uint32_t)i;
        }
    } else {
        free(rank);
        rank = NULL;
    }
    free(ordered);
    return rank;
}

/* Put a sum where it belongs below `at` in a heap whose root is the least. */
static void sift_down(int64_t *heap, size_t held, size_t at, int64_t sum) {
    for (size_t below; (below = 2 * at + 1) < held; at = below) {
        if (below + 1 < held && heap[below + 1] < heap[below])
            below++;
        if (sum <= heap[below])
            break;
        heap[at] = heap[below];
    }
    heap[at] = sum;
}

/* The least sum that may be among the first `top`. */
static int64_t least_of_top(counter *c, size_t top) {
    int64_t *heap = malloc(top * sizeof *heap), least = INT64_MIN;
    size_t held = 0;
    for (talker_sum *one = c->table.slots; heap && one <= c->table.slots + c->table.mask; one++) {
        if (one->state == FREE || !settle(&c->table, one))
            continue;
        if (held < top) {
            heap[held++] = one->sum;
            for (size_t at = held / 2; held == top && at--;)
                sift_down(heap, held, at, heap[at]);
        } else if (one->sum > heap[0]) {
            sift_down(heap, held, 0, one->sum);
        }
    }
    if (heap && held == top)
        least = heap[0];
    free(heap); /* without memory all are sorted, and what is too much is cut off */
    return least;
}

static bool sort_rows(ranking *r) {
    size_t(*starts)[256] = calloc(BYTES, sizeof *starts);
    row *from = r->rows, *to = zeroed_room(r->room);
    if (!starts || !to) {
        free(starts);
        free_room(to, r->room);
        return false;
    }
    for (size_t i = 0; i < r->number; i++) {
        const uint8_t *bytes = (const uint8_t *)&from[i];
        for (size_t byte = 0; byte < BYTES; byte++)
            starts[byte][bytes[byte]]++;
    }
    for (size_t byte = 0; byte < BYTES; byte++) {
        size_t *start = starts[byte], before = 0;
        if (start[((const uint8_t *)from)[byte]] == r->number)
            continue; /* the same in all rows */
        for (int value = 0; value < 256; value++) {
            size_t number = start[value];
            start[value] = before;
            before += number;
        }
        for (size_t i = 0; i < r->number; i++)
            to[start[((const uint8_t *)&from[i])[byte]]++] = from[i];
        row *sorted = to;
        to = from;
        from = sorted;
    }
    free(starts);
    free_room(to, r->room);
    r->rows = from;
    return true;
}

static void invert(const uint16_t *ordered, size_t number, uint16_t *rank) {
    for (size_t i = 0; i < number; i++)
        rank[ordered[i]] = (uint16_t)i;
}

static void rank_address(uint8_t to[4], uint32_t address, const uint32_t *ranks, const uint16_t *before_dot,
                         const uint16_t *before_colon) {
    uint32_t rank;
    if (ranks)
        rank = ranks[address];
    else
        rank = (uint32_t)before_dot[address >> 24] << 24 | (uint32_t)before_dot[address >> 16 & 255] << 16 |
               (uint32_t)before_dot[address >> 8 & 255] << 8 | before_colon[address & 255];
    memcpy(to, &rank, 4);
}

static bool fill(ranking *r, size_t top) {
    uint16_t before_dot[256], before_colon[256], *port = malloc(sizeof r->port);
    uint32_t *address = order_addresses(r);
    sums *table = &r->c->table;
    int64_t least = top && top < table->rows ? least_of_top(r->c, top) : INT64_MIN;
    size_t rows = 0;
    for (talker_sum *one = table->slots; one <= table->slots + table->mask; one++)
        rows += one->state != FREE && settle(table, one) && one->sum >= least;
    r->room = (rows + 1) * sizeof *r->rows;
    r->rows = zeroed_room(r->room);
    if (!port || !address || !r->rows) {
        free(port);
        free(address);
        return false;
    }
    order_all_decimals(256, true, r->octet_before_dot);
    order_all_decimals(256, false, r->octet_before_colon);
    order_all_decimals(1 << 16, true, r->port);
    invert(r->octet_before_dot, 256, before_dot);
    invert(r->octet_before_colon, 256, before_colon);
    invert(r->port, 1 << 16, port);
    for (talker_sum *one = table->slots; one <= table->slots + table->mask; one++) {
        if (one->state != COUNTED_ONCE || one->sum < least)
            continue;
        row *added = &r->rows[r->number++];
        added->below = (uint64_t)INT64_MAX - (uint64_t)one->sum;
        added->port = port[one->port];
        added->src_is_text = (one->kinds & SRC_IS_TEXT) != 0;
        added->dst_is_text = (one->kinds & DST_IS_TEXT) != 0;
        rank_address(added->src, one->src, added->src_is_text ? address : NULL, before_dot, before_colon);
        rank_address(added->dst, one->dst, added->dst_is_text ? address : NULL, before_dot, before_colon);
    }
    free(port);
    free(address);
    bool sorted = sort_rows(r);
    if (top && r->number > top)
        r->number = top;
    return sorted;
}

ranking *ranking_new(counter *c, size_t top) {
    ranking *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->c = c;
    if (!fill(r, top)) {
        ranking_free(r);
        return NULL;
    }
    return r;
}

void ranking_free(ranking *r) {
    if (!r)
        return;
    free_room(r->rows, r->room);
    free(r->address);
    free(r);
}

size_t counter_talkers(counter *c) {
    size_t talkers = 0;
    for (talker_sum *one = c->table.slots; one <= c->table.slots + c->table.mask; one++)
        talkers += one->state != FREE && settle(&c->table, one);
    return talkers;
}

/* --- lines --- */

static uint8_t *print_number(uint8_t *to, uint64_t number) {
    uint8_t digits[20];
    int n = 0;
    do
        digits[n++] = (uint8_t)('0' + number % 10);
    while (number /= 10);
    while (n)
        *to++ = digits[--n];
    return to;
}

static uint8_t *print_address(const ranking *r, uint8_t *to, const uint8_t ranked[4], bool is_text) {
    uint32_t rank;
    memcpy(&rank, ranked, 4);
    if (is_text) {
        const text_address *known = &r->c->table.addresses[r->address[rank]];
        *to++ = '[';
        memcpy(to, known->text, known->length);
        to += known->length;
        *to++ = ']';
    } else {
        for (int shift = 24; shift > 0; shift -= 8) {
            to = print_number(to, r->octet_before_dot[rank >> shift & 255]);
            *to++ = '.';
        }
        to = print_number(to, r->octet_before_colon[rank & 255]);
    }
    *to++ = ':';
    return to;
}

size_t ranking_read(ranking *r, uint8_t *room, size_t length) {
    uint8_t *to = room;
    for (; r->given < r->number && length - (size_t)(to - room) >= LONGEST_TALKER_LINE; r->given++) {
        const row *one = &r->rows[r->given];
        to = print_address(r, to, one->src, one->src_is_text);
        to = print_address(r, to, one->dst, one->dst_is_text);
        to = print_number(to, r->port[one->port]);
        *to++ = '\t';
        to = print_number(to, (uint64_t)INT64_MAX - one->below);
        *to++ = '\n';
    }
    return (size_t)(to - room);
}

/* --- rankings on the disk --- */

enum { MERGE_BYTES = 1 << 16 };

typedef struct {
    int64_t next, end; /* what is still on the disk */
    uint8_t *bytes, *line, *stop; /* what is in memory, and how far it is used */
    size_t wide, talker_wide; /* of the line that is next; 0 at the end */
    uint64_t sum;
} run;

struct merge {
    int fd;
    run *runs;
    size_t number; /* a heap by the order of the answer */
    size_t left;   /* how many lines may still be given */
    bool failed;
};

/* Take the next line of a run; false when the disk does not give it back. */
static bool advance(merge *m, run *one) {
    one->line += one->wide;
    one->wide = 0;
    uint8_t *end = memchr(one->line, '\n', (size_t)(one->stop - one->line));
    if (!end && one->next < one->end) {
        size_t kept = (size_t)(one->stop - one->line);
        memmove(one->bytes, one->line, kept);
        size_t wanted = MERGE_BYTES - kept;
        if ((int64_t)wanted > one->end - one->next)
            wanted = (size_t)(one->end - one->next);
        if (pread(m->fd, one->bytes + kept, wanted, one->next) != (ssize_t)wanted)
            return false;
        one->next += (int64_t)wanted;
        one->line = one->bytes;
        one->stop = one->bytes + kept + wanted;
        end = memchr(one->line, '\n', (size_t)(one->stop - one->line));
    }
    if (!end)
        return one->line == one->stop;
    const uint8_t *tab = memchr(one->line, '\t', (size_t)(end - one->line));
    if (!tab)
        return false;
    one->sum = 0;
    for (const uint8_t *digit = tab + 1; digit < end; digit++)
        one->sum = one->sum * 10 + (uint64_t)(*digit - '0');
    one->talker_wide = (size_t)(tab + 1 - one->line); /* with the tab, which comes before all that is longer */
    one->wide = (size_t)(end + 1 - one->line);
    return true;
}

static bool is_before(const run *a, const run *b) {
    if (a->sum != b->sum)
        return a->sum > b->sum;
    size_t shorter = a->talker_wide < b->talker_wide ? a->talker_wide : b->talker_wide;
    return memcmp(a->line, b->line, shorter) < 0;
}

static void settle_run(merge *m, size_t at) {
    run one = m->runs[at];
    for (size_t below; (below = 2 * at + 1) < m->number; at = below) {
        if (below + 1 < m->number && is_before(&m->runs[below + 1], &m->runs[below]))
            below++;
        if (is_before(&one, &m->runs[below]))
            break;
        m->runs[at] = m->runs[below];
    }
    m->runs[at] = one;
}

merge *merge_new(int fd, const int64_t *starts, const int64_t *ends, size_t rankings, size_t top) {
    merge *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->fd = fd;
    m->left = top ? top : SIZE_MAX;
    m->runs = calloc(rankings + 1, sizeof *m->runs);
    for (size_t i = 0; m->runs && i < rankings; i++) {
        run *one = &m->runs[m->number];
        one->bytes = one->line = one->stop = malloc(MERGE_BYTES);
        one->next = starts[i];
        one->end = ends[i];
        if (!one->bytes || !advance(m, one)) {
            m->number += one->bytes != NULL;
            merge_free(m);
            return NULL;
        }
        if (one->wide)
            m->number++;
        else
            free(one->bytes);
    }
    if (!m->runs) {
        free(m);
        return NULL;
    }
    for (size_t at = m->number / 2; at--;)
        settle_run(m, at);
    return m;
}

void merge_free(merge *m) {
    if (!m)
        return;
    for (size_t i = 0; i < m->number; i++)
        free(m->runs[i].bytes);
    free(m->runs);
    free(m);
}

int64_t merge_read(merge *m, uint8_t *room, size_t length) {
    uint8_t *to = room;
    for (; m->number && m->left; m->left--) {
        run *first = &m->runs[0];
        if (length - (size_t)(to - room) < first->wide)
            break;
        memcpy(to, first->line, first->wide);
        to += first->wide;
        if (!advance(m, first))
            return -1;
        if (!first->wide) {
            free(first->bytes);
            m->runs[0] = m->runs[--m->number];
        }
        if (m->number)
            settle_run(m, 0);
    }
    return to - room;
}
