/* The order of printed keys: as bytes, ascending.
 *
 * Printed keys compare as their parts do, one after the other, since each part has an end that tells it from a longer
 * one. So each part gets its rank among the texts that it can be, and keys are ordered as numbers, without reading a
 * text.
 *
 * In the recipe's keys, an IPv4 address ends with a colon, a port with the tab before the sums, and any other address
 * with its bracket. IPv4 comes before all other addresses, since a digit comes before a bracket. All parts of other keys
 * end with a tab, which comes before any other byte of a value.
 */
#include "reader.h"

#include <stdlib.h>

typedef struct {
    uint8_t length, text[4];
} printed_octet;

/* Decimals in their order, and each one's rank. Of two of which one begins the other, the shorter one comes first
 * before a dot, a slash or a tab (0), and last before a colon (1). */
struct key_order {
    const sums *table;
    printed_octet octet[2][256];
    uint16_t octet_rank[2][256];
    uint16_t port[1 << 16], port_rank[1 << 16];
    const kept_text **text; /* texts in their order, which is also their rank */
    size_t before_none; /* how many texts come before `-` */
};

static void order_decimals(uint32_t from, uint32_t limit, bool before_colon, uint16_t **next) {
    if (!before_colon)
        *(*next)++ = (uint16_t)from;
    for (uint32_t longer = from * 10; from && longer < from * 10 + 10 && longer < limit; longer++)
        order_decimals(longer, limit, before_colon, next);
    if (before_colon)
        *(*next)++ = (uint16_t)from;
}

static void order_all_decimals(uint32_t limit, bool before_colon, uint16_t *ordered, uint16_t *rank) {
    uint16_t *next = ordered;
    for (uint32_t digit = 0; digit < 10; digit++)
        order_decimals(digit, limit, before_colon, &next);
    for (uint32_t i = 0; i < limit; i++)
        rank[ordered[i]] = (uint16_t)i;
}

static int by_bytes(const void *one, const void *other) {
    const kept_text *a = *(const kept_text *const *)one, *b = *(const kept_text *const *)other;
    int order = memcmp(a->bytes, b->bytes, a->length < b->length ? a->length : b->length);
    return order ? order : (int)a->length - (int)b->length;
}

/* With the bracket that follows. */
static int by_bracketed_bytes(const void *one, const void *other) {
    const kept_text *a = *(const kept_text *const *)one, *b = *(const kept_text *const *)other;
    size_t shorter = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->bytes, b->bytes, shorter);
    if (order || a->length == b->length)
        return order;
    return a->length < b->length ? ']' - b->bytes[shorter] : a->bytes[shorter] - ']';
}

key_order *key_order_new(const sums *table) {
    size_t known = 0;
    key_order *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->table = table;
    o->text = malloc((table->texts_known + 1) * sizeof *o->text);
    if (!o->text) {
        key_order_free(o);
        return NULL;
    }
    for (EACH_TEXT(one, table))
        o->text[known++] = one;
    qsort(o->text, known, sizeof *o->text, table->of.is_recipe ? by_bracketed_bytes : by_bytes);
    for (size_t i = 0; i < known; i++) {
        text_at(table, number_of(table, o->text[i]))->note = (uint32_t)i;
        o->before_none += o->text[i]->bytes[0] < '-';
    }
    if (table->of.is_recipe)
        order_all_decimals(1 << 16, false, o->port, o->port_rank);
    for (int before_colon = 0; before_colon < 2; before_colon++) {
        uint16_t ordered[256];
        order_all_decimals(256, before_colon, ordered, o->octet_rank[before_colon]);
        for (int i = 0; i < 256; i++) {
            printed_octet *octet = &o->octet[before_colon][i];
            octet->length = (uint8_t)(print_number(octet->text, ordered[i]) - octet->text);
        }
    }
    return o;
}

void key_order_free(key_order *order) {
    if (order)
        free(order->text);
    free(order);
}

/* --- the recipe's --- */

void rank_recipe(const key_order *o, const row *one, uint8_t *ranks) {
    const uint16_t *before_dot = o->octet_rank[0];
    memcpy(ranks, &o->port_rank[one->part[2]], 2);
    ranks += 2;
#pragma GCC unroll 2
    for (size_t part = 2; part--; ranks += 5) {
        uint32_t value = one->part[part], rank;
        if ((ranks[4] = one->texts >> part & 1))
            rank = text_at(o->table, value)->note;
        else
            rank = (uint32_t)before_dot[value >> 24] << 24 | (uint32_t)before_dot[value >> 16 & 255] << 16 |
                   (uint32_t)before_dot[value >> 8 & 255] << 8 | o->octet_rank[1][value & 255];
        memcpy(ranks, &rank, 4);
    }
}

static uint8_t *print_ranked_address(const key_order *o, const uint8_t *ranks, uint8_t *to) {
    uint32_t rank;
    memcpy(&rank, ranks, 4);
    if (ranks[4]) {
        const kept_text *known = o->text[rank];
        *to++ = '[';
        memcpy(to, known->bytes, known->length);
        to += known->length;
        *to++ = ']';
    } else {
        for (int shift = 24; shift >= 0; shift -= 8) {
            const printed_octet *octet = &o->octet[!shift][rank >> shift & 255];
            memcpy(to, octet->text, sizeof octet->text); /* a fixed length is faster; the excess is overwritten */
            to += octet->length;
            *to++ = '.';
        }
        to--;
    }
    *to++ = ':';
    return to;
}

uint8_t *print_recipe(const key_order *o, const uint8_t *ranks, uint8_t *to) {
    uint16_t port;
    memcpy(&port, ranks, 2);
    to = print_ranked_address(o, ranks + 7, to);
    to = print_ranked_address(o, ranks + 2, to);
    return print_number(to, o->port[port]);
}

/* --- any other --- */

/* The rank of so many digits: as if zeros followed, and then their number. */
static uint64_t rank_digits(uint64_t number, size_t digits) {
    static uint64_t const tens[] = {
        1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000,
        1000000000000, 10000000000000, 100000000000000
    };
    for (size_t i = 1; !digits && i < 15; i++)
        digits = number < tens[i] ? i : 0;
    return number * tens[15 - digits] << 4 | digits;
}

int64_t number_of_text(const kept_text *text) { return parse_number((column){text->bytes, text->length}); }

/* IPv4 addresses rank by their first octet, with its dot, among all other addresses: what follows an IPv6 address's
 * first digits is a colon. */
uint64_t rank_ipv4(const key_order *o, uint32_t address) {
    const uint16_t *rank = o->octet_rank[0];
    return (2 * (uint64_t)rank[address >> 24] + 1) << 32 | (uint64_t)rank[address >> 16 & 255] << 16 |
           (uint64_t)rank[address >> 8 & 255] << 8 | rank[address & 255];
}

uint64_t rank_other_address(const key_order *o, const kept_text *address) {
    uint64_t lesser = 0, end = 256; /* how many first octets come before it */
    while (lesser < end) {
        uint64_t middle = (lesser + end) / 2;
        printed_octet octet = o->octet[0][middle];
        octet.text[octet.length++] = '.';
        if (memcmp(octet.text, address->bytes, octet.length < address->length ? octet.length : address->length) < 0)
            lesser = middle + 1;
        else
            end = middle;
    }
    return 2 * lesser << 32 | address->note;
}

size_t key_parts(const key_order *o) { return o->table->of.parts; }

uint64_t rank_part(const key_order *o, const row *one, size_t part) {
    enum part kind = o->table->of.part[part];
    uint32_t number = one->part[part];
    if (one->texts >> part & 1) {
        if (number == NO_VALUE)
            return kind == TEXT_PART ? 2 * (uint64_t)o->before_none : 0;
        const kept_text *value = text_at(o->table, number);
        if (kind == TEXT_PART)
            return 2 * (uint64_t)value->note + 1;
        if (kind <= NETWORK_PART)
            return rank_other_address(o, value);
        return rank_digits((uint64_t)number_of_text(value), value->length);
    }
    if (kind <= NETWORK_PART)
        return rank_ipv4(o, number);
    if (kind == SIDE_PART)
        return number == BOTH_SIDES ? 1 : number == DST_SIDE ? 2 : 3;
    return kind < SIDE_PART ? rank_digits(number, 0) : (uint64_t)number + 1;
}

uint8_t *print_ipv4(uint8_t *to, uint32_t address) {
    for (int shift = 24; shift >= 0; shift -= 8) {
        uint32_t octet = address >> shift & 255;
        if (octet > 99)
            *to++ = (uint8_t)('0' + octet / 100);
        if (octet > 9)
            *to++ = (uint8_t)('0' + octet / 10 % 10);
        *to++ = (uint8_t)('0' + octet % 10);
        *to++ = '.';
    }
    return to - 1;
}

static uint8_t *print_text(uint8_t *to, const uint8_t *bytes, size_t length) {
    memcpy(to, bytes, length);
    return to + length;
}

static uint8_t *print_part(const sums *table, const row *one, size_t part, uint8_t *to) {
    static const char *const sides[] = {"-", "src", "dst", "both"};
    enum part kind = table->of.part[part];
    uint32_t number = one->part[part];
    if (one->texts >> part & 1) {
        const kept_text *value = number == NO_VALUE ? NULL : text_at(table, number);
        return value ? print_text(to, value->bytes, value->length) : print_text(to, (const uint8_t *)"-", 1);
    }
    switch (kind) {
    case ADDRESS_PART:
    case LESSER_PART:
    case GREATER_PART:
        return print_ipv4(to, number);
    case NETWORK_PART:
        to = print_ipv4(to, number);
        *to++ = '/';
        return print_number(to, table->of.bits[0][part]);
    case MINUTE_PART:
    case HOUR_PART:
    case DAY_PART:
        return print_time(to, (int64_t)number * 60);
    case SIDE_PART:
        return print_text(to, (const uint8_t *)sides[number], strlen(sides[number]));
    default:
        return print_number(to, number);
    }
}

uint8_t *print_key(const sums *table, const row *one, uint8_t *to) {
    for (size_t part = 0; part < table->of.parts; part++) {
        if (part)
            *to++ = '\t';
        to = print_part(table, one, part, to);
    }
    return to;
}
