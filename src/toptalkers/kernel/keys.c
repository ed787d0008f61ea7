/* Keys: their parts, as they are read from columns and packed.
 *
 * Each part of a key is a number, so that keys are compared without reading a text. What a part's number says, see enum
 * part. A value that has no such number is kept as a text, and is the number of that: an IPv6 address, for example.
 */
#include "reader.h"

#include <stdlib.h>

/* --- a question's key --- */

static const struct {
    const char *kind;
    uint8_t part;
} KINDS[] = {
    {"address", ADDRESS_PART}, {"network", NETWORK_PART}, {"lesser", LESSER_PART}, {"greater", GREATER_PART},
    {"port", PORT_PART}, {"protocol", PROTOCOL_PART}, {"number", NUMBER_PART}, {"text", TEXT_PART},
    {"minute", MINUTE_PART}, {"hour", HOUR_PART}, {"day", DAY_PART},
    {"service-port", SERVICE_PART}, {"side", SIDE_PART}, {"client-port", CLIENT_PART},
};

const char *take_part(shape *of, char *word) {
    char *field = strchr(word, ':');
    if (!field || of->parts == LONGEST_KEY)
        return NULL;
    *field++ = 0;
    uint32_t at = of->parts++;
    size_t kind = 0;
    while (strcmp(word, KINDS[kind].kind)) {
        if (++kind == sizeof KINDS / sizeof *KINDS)
            return NULL;
    }
    of->part[at] = KINDS[kind].part;
    bool is_second = at && of->part[at - 1] == LESSER_PART;
    if ((of->part[at] == GREATER_PART) != is_second)
        return NULL;
    if (of->part[at] == NETWORK_PART) {
        char *end = strchr(field, '/');
        if (!end)
            return NULL;
        *end++ = 0;
        unsigned long ipv4 = strtoul(end, &end, 10), ipv6 = *end == '/' ? strtoul(end + 1, &end, 10) : 129;
        if (*end || ipv4 > 32 || ipv6 > 128)
            return NULL;
        of->bits[0][at] = (uint8_t)ipv4;
        of->bits[1][at] = (uint8_t)ipv6;
    }
    return field;
}

/* --- read --- */

/* The value of a part is a text. */
static void set_text(counter *c, const kept_text *value, size_t part, talker *whose) {
    c->failed |= !value;
    whose->part[part] = value ? number_of(&c->table, value) : 0;
    whose->texts |= 1u << part;
}

static void set_none(size_t part, talker *whose) {
    whose->part[part] = NO_VALUE;
    whose->texts |= 1u << part;
}

/* The text of a part's column, if it is one; NULL if it is not, or without memory. */
static kept_text *sound_text(counter *c, column from, size_t part, uint8_t what, bool (*is_one)(column)) {
    uint32_t **all = c->reader->kept, *kept = all ? all[c->reader->now.key[part]] : NULL;
    kept_text *known = kept && *kept != NO_VALUE ? text_at(&c->table, *kept)
                                                 : sums_known_text(&c->table, from.text, from.length);
    if (!known || !(known->was_found & what)) {
        if (!is_one(from))
            return NULL;
        known = sums_text(&c->table, from.text, from.length);
        c->failed |= !known;
        if (!known)
            return NULL;
        known->was_found |= what;
    }
    if (kept)
        *kept = number_of(&c->table, known);
    return known;
}

static inline enum tally take_address(counter *c, column from, size_t part, talker *whose) {
    if (take_ipv4(c->reader, c->reader->now.key[part], from, &whose->part[part]))
        return COUNTED;
    kept_text *known = from.length <= LONGEST_ADDRESS ? sound_text(c, from, part, AN_IPV6_ADDRESS, is_ipv6) : NULL;
    if (!known)
        return MALFORMED_ADDRESS;
    set_text(c, known, part, whose);
    return COUNTED;
}

uint32_t network_of(const shape *of, size_t part, uint32_t ipv4) {
    return (uint32_t)(ipv4 & UINT64_MAX << (32 - of->bits[0][part]));
}

static enum tally take_network(counter *c, column from, size_t part, talker *whose) {
    uint32_t address;
    if (!take_ipv4(c->reader, c->reader->now.key[part], from, &address))
        return take_ipv6_network(c, from, part, whose);
    whose->part[part] = network_of(&c->table.of, part, address);
    return COUNTED;
}

enum tally take_ipv6_network(counter *c, column from, size_t part, talker *whose) {
    const shape *of = &c->table.of;
    if (!from.length || from.length > LONGEST_ADDRESS)
        return MALFORMED_ADDRESS;
    uint64_t hash = hash_bytes(from.text, from.length, c->table.seed);
    known_network *known = &c->table.networks[part][hash % NETWORKS_KEPT];
    if (known->length != from.length || memcmp(known->address, from.text, from.length)) {
        uint8_t bytes[16], printed[LONGEST_NETWORK];
        if (!parse_ipv6(from, bytes))
            return MALFORMED_ADDRESS;
        uint8_t *end = print_ipv6_network(printed, bytes, of->bits[1][part]);
        const kept_text *network = sums_text(&c->table, printed, (size_t)(end - printed));
        if (!network) {
            c->failed = true;
            return COUNTED;
        }
        known->number = number_of(&c->table, network);
        known->length = (uint8_t)from.length;
        memcpy(known->address, from.text, from.length);
    }
    whose->part[part] = known->number;
    whose->texts |= 1u << part;
    return COUNTED;
}

/* Numbers are kept as they were logged: one that begins with 0, or is large, is a text. */
static enum tally take_logged(counter *c, column from, size_t part, talker *whose) {
    uint8_t digits[LONGEST_NUMBER];
    const int64_t *known = c->reader->numbers;
    if (known && known[c->reader->now.key[part]] >= 0) /* its text was left out */
        from = (column){digits, (size_t)(print_number(digits, (uint64_t)known[c->reader->now.key[part]]) - digits)};
    int64_t number = parse_number(from);
    if (number < 0)
        return MALFORMED_NUMBER;
    if (number <= UINT32_MAX && (from.length == 1 || from.text[0] != '0'))
        whose->part[part] = (uint32_t)number;
    else
        set_text(c, sums_text(&c->table, from.text, from.length), part, whose);
    return COUNTED;
}

/* UTF-8 (RFC 3629) without a space or a control character of ASCII. */
static bool is_sound(column from) {
    const uint8_t *at = from.text, *end = at + from.length;
    if (!from.length || from.length > LONGEST_TEXT)
        return false;
    while (at < end) {
        uint8_t first = *at++;
        if (first < 0x80) {
            if (first <= ' ' || first == 0x7f)
                return false;
            continue;
        }
        int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || end - at < more)
            return false;
        /* the second byte excludes longer forms than needed, surrogates, and what is above U+10FFFF */
        uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        for (; more--; at++, low = 0x80, high = 0xbf) {
            if (*at < low || *at > high)
                return false;
        }
    }
    return true;
}

static enum tally take_text(counter *c, column from, size_t part, talker *whose) {
    sums *table = &c->table;
    uint32_t last = table->last_text[part];
    kept_text *known = last == NO_VALUE ? NULL : text_at(table, last);
    if (!known || known->length != from.length || memcmp(known->bytes, from.text, from.length)) {
        known = from.length <= LONGEST_TEXT ? sound_text(c, from, part, A_SOUND_TEXT, is_sound) : NULL;
        if (!known)
            return MALFORMED_TEXT;
        table->last_text[part] = number_of(table, known);
    }
    set_text(c, known, part, whose);
    return COUNTED;
}

static enum tally take_one(counter *c, column from, size_t part, talker *whose) {
    const reader *r = c->reader;
    enum part kind = c->table.of.part[part];
    int64_t number;
    if (is_none(from)) {
        set_none(part, whose);
        return COUNTED;
    }
    switch (kind) {
    case ADDRESS_PART:
    case LESSER_PART:
    case GREATER_PART:
        return take_address(c, from, part, whose);
    case NETWORK_PART:
        return take_network(c, from, part, whose);
    case NUMBER_PART:
        return take_logged(c, from, part, whose);
    case TEXT_PART:
        return take_text(c, from, part, whose);
    case PORT_PART:
    case PROTOCOL_PART:
        number = take_port(r, r->now.key[part], from);
        if (number < 0 || (kind == PROTOCOL_PART && number > LARGEST_PROTOCOL))
            return kind == PORT_PART ? MALFORMED_PORT : MALFORMED_NUMBER;
        break;
    default: /* a time */
        number = take_time(r, r->now.key[part], from);
        if (number < 0)
            return MALFORMED_NUMBER;
        number /= 60;
        number -= kind == HOUR_PART ? number % 60 : kind == DAY_PART ? number % (24 * 60) : 0;
    }
    whose->part[part] = (uint32_t)number;
    return COUNTED;
}

void sort_pair(column a, column b, size_t part, talker *whose) {
    size_t shorter = a.length < b.length ? a.length : b.length;
    int order = memcmp(a.text, b.text, shorter);
    if (order < 0 || (!order && a.length <= b.length))
        return;
    uint32_t first = whose->part[part], texts = whose->texts >> part & 3;
    whose->part[part] = whose->part[part + 1];
    whose->part[part + 1] = first;
    whose->texts = (whose->texts & ~(3u << part)) | (texts >> 1 | (texts & 1) << 1) << part;
}

enum tally take_key(counter *c, const uint8_t *base, const uint32_t *at, talker *whose) {
    static const column none = {(const uint8_t *)"-", 1};
    const layout *l = &c->reader->now;
    const shape *of = &c->table.of;
    bool has_service = false;
    service found = {ABSENT, ABSENT, NO_SIDE};
    column before = none;
    whose->texts = 0;
    for (size_t part = 0; part < of->parts; part++) {
        enum part kind = of->part[part];
        enum tally verdict = COUNTED;
        if (kind == SERVICE_PART || kind == CLIENT_PART || kind == SIDE_PART) {
            if (!has_service && (verdict = service_of(c->reader, base, at, &found)) != COUNTED)
                return verdict;
            has_service = true;
            int32_t value = kind == SERVICE_PART ? found.service : kind == CLIENT_PART ? found.client : found.side;
            if (value == (kind == SIDE_PART ? NO_SIDE : ABSENT))
                set_none(part, whose);
            else
                whose->part[part] = (uint32_t)value;
            continue;
        }
        column from = l->key[part] == ABSENT ? none : COLUMN(l->key[part]);
        if ((verdict = take_one(c, from, part, whose)) != COUNTED)
            return verdict;
        if (kind == GREATER_PART)
            sort_pair(before, from, part - 1, whose);
        before = from;
    }
    return COUNTED;
}

enum tally take_recipe(counter *c, const uint8_t *base, const uint32_t *at, uint32_t port, talker *whose) {
    const layout *l = &c->reader->now;
    whose->texts = 0;
    whose->part[2] = port;
    enum tally verdict = take_address(c, COLUMN(l->key[0]), 0, whose);
    return verdict == COUNTED ? take_address(c, COLUMN(l->key[1]), 1, whose) : verdict;
}

/* --- packed: which parts are texts in 2 bytes, then per part 4 bytes, or a length in 2 bytes and a text --- */

static inline uint8_t *pack_parts(const sums *table, size_t parts, const row *one, uint8_t *to) {
    uint32_t texts = one->texts;
    memcpy(to, &texts, 2);
    to += 2;
#pragma GCC unroll 3
    for (size_t part = 0; part < parts; part++) {
        if (!(texts >> part & 1)) {
            memcpy(to, &one->part[part], 4);
            to += 4;
        } else if (one->part[part] == NO_VALUE) {
            memcpy(to, "\1\0-", 3);
            to += 3;
        } else {
            const kept_text *value = text_at(table, one->part[part]);
            memcpy(to, &value->length, 2);
            memcpy(to + 2, value->bytes, value->length);
            to += 2 + value->length;
        }
    }
    return to;
}

size_t pack_row(const sums *table, const row *one, const int64_t *values, uint8_t *to) {
    const shape *of = &table->of;
    uint8_t *end = of->is_recipe ? pack_parts(table, 3, one, to) : pack_parts(table, of->parts, one, to);
    for (size_t i = 0; i < of->sums; i++, end += sizeof *values)
        memcpy(end, &values[i], sizeof *values);
    return (size_t)(end - to);
}

/* Whether a part can have a value, as it was packed. */
static bool can_be(const shape *of, size_t part, bool is_text, column value) {
    enum part kind = of->part[part];
    if (is_text && is_none(value))
        return !of->is_recipe;
    if (is_text && kind <= NETWORK_PART)
        return kind == NETWORK_PART ? is_sound(value) : is_ipv6(value);
    if (is_text)
        return kind == TEXT_PART ? is_sound(value) : kind == NUMBER_PART && parse_number(value) >= 0;
    uint32_t number;
    memcpy(&number, value.text, sizeof number);
    switch (kind) {
    case SIDE_PART:
        return number > NO_SIDE && number <= BOTH_SIDES;
    case PORT_PART:
    case SERVICE_PART:
    case CLIENT_PART:
        return number <= LARGEST_PORT;
    case TEXT_PART:
        return false;
    default:
        return true;
    }
}

const uint8_t *unpack_row(sums *table, const uint8_t *from, const uint8_t *end, talker *whose, int64_t *values) {
    const shape *of = &table->of;
    uint16_t texts, width = 0;
    if (end - from < 2)
        return NULL;
    memcpy(&texts, from, 2);
    from += 2;
    if (texts >> of->parts)
        return NULL;
    if (whose)
        whose->texts = texts;
    for (size_t part = 0; part < of->parts; part++, from += width) {
        bool is_text = texts >> part & 1;
        if (is_text && end - from < 2)
            return NULL;
        if (is_text)
            memcpy(&width, from, 2);
        from += is_text ? 2 : 0;
        width = is_text ? width : 4;
        if (end - from < width || (!whose && !can_be(of, part, is_text, (column){from, width})))
            return NULL;
        if (!whose)
            continue;
        if (!is_text) {
            memcpy(&whose->part[part], from, 4);
        } else if (is_none((column){from, width})) {
            whose->part[part] = NO_VALUE;
        } else {
            const kept_text *value = width <= LONGEST_TEXT ? sums_text(table, from, width) : NULL;
            if (!value)
                return NULL;
            whose->part[part] = number_of(table, value);
        }
    }
    if ((size_t)(end - from) < of->sums * sizeof *values)
        return NULL;
    for (size_t i = 0; i < of->sums && i < MOST_SUMS; i++, from += sizeof *values)
        memcpy(&values[i], from, sizeof *values);
    return from;
}
