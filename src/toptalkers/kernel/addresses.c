/* Addresses and times, read and printed. */
#include "reader.h"

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

bool is_ipv6(column c) {
    uint8_t ignored[16];
    return parse_ipv6(c, ignored);
}

bool is_address(column c) {
    uint32_t ignored;
    return parse_ipv4(c, &ignored) || is_ipv6(c);
}

static uint8_t *print_hexadecimal(uint8_t *to, uint32_t number) {
    static const char digits[] = "0123456789abcdef";
    int shift = 12;
    while (shift && !(number >> shift))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        *to++ = (uint8_t)digits[number >> shift & 15];
    return to;
}

uint8_t *print_ipv6_network(uint8_t *to, const uint8_t *address, uint32_t bits) {
    uint32_t groups[8];
    int gap = 8, width = 1; /* the first of the longest runs of groups that are 0; a single group is none */
    for (int i = 0, run = 0; i < 8; i++) {
        uint32_t kept = bits <= 16u * (uint32_t)i ? 0 : bits - 16u * (uint32_t)i;
        groups[i] = (uint32_t)(address[2 * i] << 8 | address[2 * i + 1]);
        groups[i] &= kept < 16 ? 0xffff0000u >> kept : 0xffff;
        run = groups[i] ? 0 : run + 1;
        if (run > width) {
            width = run;
            gap = i + 1 - run;
        }
    }
    for (int i = 0; i < 8; i++) {
        if (i == gap) {
            *to++ = ':';
            *to++ = ':';
            i += width - 1;
            continue;
        }
        if (i && i != gap + width)
            *to++ = ':';
        to = print_hexadecimal(to, groups[i]);
    }
    *to++ = '/';
    return print_number(to, bits);
}

static uint8_t *print_two_digits(uint8_t *to, uint32_t number) {
    to[0] = (uint8_t)('0' + number / 10 % 10);
    to[1] = (uint8_t)('0' + number % 10);
    return to + 2;
}

uint8_t *print_time(uint8_t *to, int64_t seconds) {
    uint32_t day = (uint32_t)(seconds / SECONDS_PER_DAY), second = (uint32_t)(seconds % SECONDS_PER_DAY);
    /* Years begin in March here, so that a leap day is the last of its year; eras of 400 years begin with year 0. */
    uint32_t days = day + 719468, era = days / 146097, of_era = days % 146097;
    uint32_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint32_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint32_t month = (5 * of_year + 2) / 153;
    uint32_t fields[] = {month < 10 ? month + 3 : month - 9, of_year - (153 * month + 2) / 5 + 1,
                         second / 3600, second / 60 % 60, second % 60};
    static const char before[] = "--T::";
    year += era * 400 + (month >= 10);
    to = print_two_digits(to, year / 100);
    to = print_two_digits(to, year);
    for (int i = 0; i < 5; i++) {
        *to++ = (uint8_t)before[i];
        to = print_two_digits(to, fields[i]);
    }
    *to++ = 'Z';
    return to;
}
