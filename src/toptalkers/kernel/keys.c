/* Keys: their parts as they are read from columns, packed, ordered and printed.
 *
 * Printed keys compare as their parts do, one after the other, since each part has an end that tells it from a longer
 * one: an IPv4 address and a number end with a colon, or with the tab after the last part, any other address with its
 * bracket. So each part gets its rank among the texts of its kind, and keys are sorted as numbers, without reading a
 * text. IPv4 comes before all other addresses, since a digit comes before a bracket.
 */
#include "reader.h"

#include <stdlib.h>

/* The default question's shape. Its loops are compiled apart, with the number of parts known to the compiler; `unroll`
 * has GCC use that. */
static const shape USUAL = {3, 1, 3};

static bool is_usual(shape of) { return of.parts == USUAL.parts && of.addresses == USUAL.addresses; }

/* --- read --- */

bool parse_ipv4(column c, uint32_t *address) {
    const uint8_t *at = c.text, *end = at + c.length;
    uint32_t bits = 0;
    if (c.length < 7 || c.length > 15)
        return false;
    for (int octet = 0; octet < 4; octet++) {
        if (octet && (at == end || *at++ != '.'))
            return false;
        const uint8_t *first = at;
        uint32_t value = 0;
        for (; at < end && is_digit(*at); at++)
            value = value * 10 + (*at - '0');
        size_t digits = (size_t)(at - first);
        if (!digits || digits > 3 || value > 255 || (digits > 1 && *first == '0'))
            return false;
        bits = bits << 8 | value;
    }
    *address = bits;
    return at == end;
}

/* Read groups of 16 bits between colons. Returns their number; -1 for anything else. The last may be an IPv4 address,
 * which is two. The first eight are kept. */
static int ipv6_groups(const uint8_t *from, const uint8_t *end, bool may_end_in_ipv4, uint16_t *kept) {
    for (int groups = 0;; from++) {
        const uint8_t *stop = from;
        while (stop < end && *stop != ':')
            stop++;
        size_t width = (size_t)(stop - from);
        uint32_t bits;
        if (stop == end && may_end_in_ipv4 && parse_ipv4((column){from, width}, &bits)) {
            if (groups < 7) {
                kept[groups] = (uint16_t)(bits >> 16);
                kept[groups + 1] = (uint16_t)bits;
            }
            return groups + 2;
        }
        if (!width || width > 4)
            return -1;
        for (bits = 0; from < stop; from++) {
            uint8_t c = *from | 0x20;
            if (!is_digit(*from) && (c < 'a' || c > 'f'))
                return -1;
            bits = bits << 4 | (uint32_t)(is_digit(*from) ? *from - '0' : c - 'a' + 10);
        }
        if (groups < 8)
            kept[groups] = (uint16_t)bits;
        groups++;
        if (stop == end)
            return groups;
    }
}

bool parse_ipv6(column c, uint8_t *address) {
    const uint8_t *text = c.text, *end = text + c.length, *gap = text;
    uint16_t head[8], tail[8];
    int before, behind = 0;
    if (c.length < 2 || c.length > LONGEST_ADDRESS)
        return false;
    while (gap + 1 < end && !(gap[0] == ':' && gap[1] == ':'))
        gap++;
    if (gap + 1 >= end) {
        before = ipv6_groups(text, end, true, head);
        if (before != 8)
            return false;
    } else {
        before = gap == text ? 0 : ipv6_groups(text, gap, false, head);
        behind = gap + 2 == end ? 0 : ipv6_groups(gap + 2, end, true, tail);
        if (before < 0 || behind < 0 || before + behind > 7)
            return false;
    }
    for (int group = 0; group < 8; group++) {
        int of_tail = group - (8 - behind);
        uint16_t bits = group < before ? head[group] : of_tail >= 0 ? tail[of_tail] : 0;
        address[2 * group] = (uint8_t)(bits >> 8);
        address[2 * group + 1] = (uint8_t)bits;
    }
    return true;
}

static bool is_ipv6(column c) {
    uint8_t ignored[16];
    return parse_ipv6(c, ignored);
}

bool is_address(column text) {
    uint32_t ignored;
    return parse_ipv4(text, &ignored) || is_ipv6(text);
}

static enum tally take_address(counter *c, column text, size_t part, talker *whose) {
    if (parse_ipv4(text, &whose->part[part]))
        return COUNTED;
    int64_t number = sums_known_address(&c->table, text.text, text.length);
    if (number < 0 && !is_ipv6(text))
        return MALFORMED_ADDRESS;
    if (number < 0)
        number = sums_address(&c->table, text.text, text.length);
    c->failed |= number < 0;
    whose->part[part] = (uint32_t)number;
    whose->texts |= 1u << part;
    return COUNTED;
}

enum tally take_part(counter *c, column text, size_t part, talker *whose) {
    if (c->table.of.addresses >> part & 1)
        return take_address(c, text, part, whose);
    int number = parse_port(text);
    if (number < 0 || number > c->reader->largest[part])
        return c->reader->largest[part] == LARGEST_PORT ? MALFORMED_PORT : MALFORMED_NUMBER;
    whose->part[part] = (uint32_t)number;
    return COUNTED;
}

/* --- packed: which parts are texts, then per part 4 bytes, a length and a text, or 2 bytes --- */

static inline uint8_t *pack_parts(const sums *table, shape of, const row *one, uint8_t *to) {
    uint32_t texts = one->texts;
    *to++ = (uint8_t)texts;
#pragma GCC unroll 4
    for (size_t part = 0; part < of.parts; part++) {
        if (texts >> part & 1) {
            const text_address *known = &table->addresses[one->part[part]];
            *to++ = known->length;
            memcpy(to, known->text, known->length);
            to += known->length;
        } else {
            memcpy(to, &one->part[part], 4); /* of a number 2 bytes too many; the next part overwrites them */
            to += of.addresses >> part & 1 ? 4 : 2;
        }
    }
    return to;
}

size_t pack_row(const sums *table, const row *one, const int64_t *values, uint8_t *to) {
    shape of = table->of;
    uint8_t *end = is_usual(of) ? pack_parts(table, USUAL, one, to) : pack_parts(table, of, one, to);
    for (size_t i = 0; i < of.sums; i++, end += sizeof *values)
        memcpy(end, &values[i], sizeof *values);
    return (size_t)(end - to);
}

static inline const uint8_t *unpack_parts(sums *table, shape of, const uint8_t *from, const uint8_t *end,
                                          talker *whose) {
    uint32_t texts = *from++;
    if (texts & ~of.addresses)
        return NULL;
    if (whose)
        *whose = (talker){.texts = texts};
#pragma GCC unroll 4
    for (size_t part = 0; part < of.parts; part++) {
        bool is_text = texts >> part & 1;
        if (is_text && from == end)
            return NULL;
        size_t width = is_text ? *from++ : of.addresses >> part & 1 ? 4 : 2;
        if ((size_t)(end - from) < width ||
            (is_text && (whose ? width > LONGEST_ADDRESS : !is_ipv6((column){from, width}))))
            return NULL;
        if (is_text && whose) {
            int64_t number = sums_address(table, from, width);
            if (number < 0)
                return NULL;
            whose->part[part] = (uint32_t)number;
        } else if (whose) {
            uint16_t low;
            memcpy(&low, from, 2);
            whose->part[part] = low;
            if (width == 4)
                memcpy(&whose->part[part], from, 4);
        }
        from += width;
    }
    return from;
}

const uint8_t *unpack_row(sums *table, const uint8_t *from, const uint8_t *end, talker *whose, int64_t *values) {
    shape of = table->of;
    from = is_usual(of) ? unpack_parts(table, USUAL, from, end, whose) : unpack_parts(table, of, from, end, whose);
    if (!from || (size_t)(end - from) < of.sums * sizeof *values)
        return NULL;
    for (size_t i = 0; i < of.sums && i < MOST_SUMS; i++, from += sizeof *values)
        memcpy(&values[i], from, sizeof *values);
    return from;
}

/* --- ordered --- */

typedef struct {
    uint8_t length, text[4];
} printed_octet;

/* Decimals in their order, and each one's rank. Of two of which one begins the other, the shorter one comes first
 * before a dot or a tab (0), and last before a colon (1). */
struct key_order {
    const sums *table;
    printed_octet octet[2][256];
    uint16_t octet_rank[2][256];
    uint16_t number[2][1 << 16], number_rank[2][1 << 16];
    const text_address **text; /* texts in their order */
    uint32_t *text_rank;       /* by their numbers */
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

/* Texts with the bracket that follows them. */
static int by_text(const void *one, const void *other) {
    const text_address *a = *(const text_address *const *)one, *b = *(const text_address *const *)other;
    size_t shorter = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->text, b->text, shorter);
    if (order || a->length == b->length)
        return order;
    return a->length < b->length ? ']' - b->text[shorter] : a->text[shorter] - ']';
}

key_order *key_order_new(const sums *table) {
    size_t known = table->addresses_known;
    key_order *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->table = table;
    o->text = malloc((known + 1) * sizeof *o->text);
    o->text_rank = malloc((known + 1) * sizeof *o->text_rank);
    if (!o->text || !o->text_rank) {
        key_order_free(o);
        return NULL;
    }
    for (size_t i = 0; i < known; i++)
        o->text[i] = &table->addresses[i];
    qsort(o->text, known, sizeof *o->text, by_text);
    for (size_t i = 0; i < known; i++)
        o->text_rank[o->text[i] - table->addresses] = (uint32_t)i;
    for (size_t part = 0; part < table->of.parts; part++) {
        bool before_colon = part + 1 < table->of.parts;
        if (!(table->of.addresses >> part & 1))
            order_all_decimals(1 << 16, before_colon, o->number[before_colon], o->number_rank[before_colon]);
    }
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

void key_order_free(key_order *o) {
    if (!o)
        return;
    free(o->text);
    free(o->text_rank);
    free(o);
}

/* The last part's ranks come first: of a number 2 bytes, of an address 4 bytes and whether it is a text. */
static inline size_t part_rank_bytes(shape of, size_t part) { return of.addresses >> part & 1 ? 5 : 2; }

size_t rank_bytes(shape of) {
    size_t bytes = 0;
    for (size_t part = 0; part < of.parts; part++)
        bytes += part_rank_bytes(of, part);
    return bytes;
}

static inline void rank_parts(const key_order *o, shape of, const row *one, uint8_t *ranks) {
    const uint16_t *before_dot = o->octet_rank[0];
    for (size_t part = of.parts; part--; ranks += part_rank_bytes(of, part)) {
        bool before_colon = part + 1 < of.parts;
        uint32_t value = one->part[part], rank;
        if (!(of.addresses >> part & 1)) {
            memcpy(ranks, &o->number_rank[before_colon][value], 2);
            continue;
        }
        if ((ranks[4] = one->texts >> part & 1))
            rank = o->text_rank[value];
        else
            rank = (uint32_t)before_dot[value >> 24] << 24 | (uint32_t)before_dot[value >> 16 & 255] << 16 |
                   (uint32_t)before_dot[value >> 8 & 255] << 8 | o->octet_rank[before_colon][value & 255];
        memcpy(ranks, &rank, 4);
    }
}

void rank_key(const key_order *o, const row *one, uint8_t *ranks) {
    shape of = o->table->of;
    if (is_usual(of))
        rank_parts(o, USUAL, one, ranks);
    else
        rank_parts(o, of, one, ranks);
}

/* --- printed --- */

static uint8_t *print_address(const key_order *o, const uint8_t *ranks, bool before_colon, uint8_t *to) {
    uint32_t rank;
    memcpy(&rank, ranks, 4);
    if (ranks[4]) {
        const text_address *known = o->text[rank];
        *to++ = '[';
        memcpy(to, known->text, known->length);
        to += known->length;
        *to++ = ']';
        return to;
    }
    for (int shift = 24; shift >= 0; shift -= 8) {
        const printed_octet *octet = &o->octet[!shift && before_colon][rank >> shift & 255];
        memcpy(to, octet->text, sizeof octet->text); /* a fixed length is faster; the next bytes overwrite the excess */
        to += octet->length;
        *to++ = '.';
    }
    return to - 1;
}

uint8_t *print_key(const key_order *o, const uint8_t *ranks, uint8_t *to) {
    shape of = o->table->of;
    for (size_t part = of.parts; part--;)
        ranks += part_rank_bytes(of, part);
    for (size_t part = 0; part < of.parts; part++) {
        bool before_colon = part + 1 < of.parts;
        ranks -= part_rank_bytes(of, part);
        if (of.addresses >> part & 1) {
            to = print_address(o, ranks, before_colon, to);
        } else {
            uint16_t rank;
            memcpy(&rank, ranks, 2);
            to = print_number(to, o->number[before_colon][rank]);
        }
        if (before_colon)
            *to++ = ':';
    }
    return to;
}
