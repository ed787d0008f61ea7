/* Addresses: read, and known by their texts. */
#include "reader.h"

static bool parse_ipv4(column c, uint32_t *address) {
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

/* How many groups of 16 bits stand between colons; -1 for anything else. The last may be an IPv4 address. */
static int ipv6_groups(const uint8_t *text, const uint8_t *end, bool may_end_in_ipv4) {
    int groups = 0;
    for (const uint8_t *from = text;; from++) {
        const uint8_t *stop = from;
        while (stop < end && *stop != ':')
            stop++;
        size_t wide = (size_t)(stop - from);
        uint32_t ignored;
        if (stop == end && may_end_in_ipv4 && parse_ipv4((column){from, wide}, &ignored))
            return groups + 2;
        if (!wide || wide > 4)
            return -1;
        for (; from < stop; from++) {
            uint8_t c = *from | 0x20;
            if (!is_digit(*from) && (c < 'a' || c > 'f'))
                return -1;
        }
        groups++;
        if (stop == end)
            return groups;
    }
}

/* RFC 4291, section 2.2, without a zone. */
static bool is_ipv6(column c) {
    const uint8_t *text = c.text, *end = text + c.length, *gap = text;
    if (c.length < 2 || c.length > LONGEST_ADDRESS)
        return false;
    while (gap + 1 < end && !(gap[0] == ':' && gap[1] == ':'))
        gap++;
    if (gap + 1 >= end)
        return ipv6_groups(text, end, true) == 8;
    int before = gap == text ? 0 : ipv6_groups(text, gap, false);
    int behind = gap + 2 == end ? 0 : ipv6_groups(gap + 2, end, true);
    return before >= 0 && behind >= 0 && before + behind <= 7;
}

bool is_text_address(const uint8_t *text, size_t length) {
    return is_ipv6((column){.text = text, .length = (uint32_t)length});
}

/* 0 when it is an address, which a talker can hold; its kind is `text_kind` when it is not IPv4. */
int take_address(counter *c, column text, uint32_t *address, uint8_t text_kind, uint8_t *kinds) {
    if (parse_ipv4(text, address))
        return 0;
    if (text.length < 2 || text.length > LONGEST_ADDRESS)
        return -1;
    uint64_t hash = hash_bytes(text.text, text.length, c->table.seed);
    int64_t number = sums_known_address(&c->table, text.text, text.length, hash);
    if (number < 0) {
        if (!is_ipv6(text))
            return -1;
        number = sums_address(&c->table, text.text, text.length, hash);
        if (number < 0) {
            c->failed = true;
            return -1;
        }
    }
    *address = (uint32_t)number;
    *kinds |= text_kind;
    return 0;
}

bool is_address(column text) {
    uint32_t ignored;
    return parse_ipv4(text, &ignored) || is_ipv6(text);
}
