/* One record: the columns that the question needs, and the rules, in their order.
 *
 * The rules are those of job/count_flows.py, whose docstring numbers them; a property test holds both equal
 * to tests/reference.py.
 */
#include "reader.h"

#include <stdlib.h>

static const int64_t MILLISECONDS_FROM = 100000000000; /* a start from here on is in milliseconds */

bool set_layout(reader *r, const char *names, size_t length) {
    layout l = {0, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, {0}, 0, true};
    struct {
        const char *name;
        int *at;
    } wanted[] = {
        {"srcaddr", &l.src}, {"dstaddr", &l.dst}, {"dstport", &l.port},  {"log-status", &l.status},
        {"action", &l.action}, {"start", &l.start}, {r->metric, &l.value},
    };
    char *columns = realloc(r->columns, length + 1);
    if (!columns)
        return false;
    r->columns = columns;
    for (size_t i = 0; i < length; i++)
        columns[i] = names[i] == '_' ? '-' : names[i];
    columns[length] = 0;
    for (size_t i = 0; i < TELLINGS; i++)
        l.telling[i] = ABSENT;
    const char *end = columns + length;
    for (const char *name = columns; name <= end; l.columns++) {
        const char *stop = memchr(name, ' ', (size_t)(end - name));
        if (!stop)
            stop = end;
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
            size_t wide = strlen(wanted[i].name);
            if (*wanted[i].at == ABSENT && wide == (size_t)(stop - name) && !memcmp(name, wanted[i].name, wide))
                *wanted[i].at = l.columns;
        }
        for (size_t i = 0; i < TELLINGS; i++) {
            size_t wide = strlen(TELLING[i].name);
            if (l.telling[i] == ABSENT && wide == (size_t)(stop - name) && !memcmp(name, TELLING[i].name, wide))
                l.telling[i] = l.columns;
        }
        name = stop + 1;
    }
    l.usable = l.src != ABSENT && l.dst != ABSENT && l.port != ABSENT && (!*r->action || l.action != ABSENT) &&
               (!r->timed || l.start != ABSENT) && (!*r->metric || l.value != ABSENT);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (*wanted[i].at != ABSENT && l.looked_at < (uint32_t)*wanted[i].at + 1)
            l.looked_at = (uint32_t)*wanted[i].at + 1;
    }
    uint32_t *at = realloc(r->at, ((size_t)l.columns + 3) * sizeof *at);
    if (!at)
        return false;
    r->at = at;
    r->now = l;
    return true;
}

/* Examine a record that has its layout's columns, of which each one's start is known, and the end as the start of
 * one more. Only what is sound is added to the sums. */
enum tally examine(counter *c, const uint8_t *base, const uint32_t *at) {
    const reader *r = c->reader;
    const layout *l = &r->now;
    enum tally verdict = COUNTED;
    if (l->status != ABSENT) {
        column status = COLUMN(l->status);
        if (!is_text(status, "OK", 2))
            return is_text(status, "NODATA", 6) ? NODATA : is_text(status, "SKIPDATA", 8) ? SKIPDATA : MALFORMED_STATUS;
    } else if (is_text(COLUMN(l->port), "-", 1) && is_text(COLUMN(l->src), "-", 1) && is_text(COLUMN(l->dst), "-", 1)) {
        return NODATA;
    }
    if (*r->action && !is_text(COLUMN(l->action), r->action, 6)) {
        if (!is_text(COLUMN(l->action), "ACCEPT", 6) && !is_text(COLUMN(l->action), "REJECT", 6))
            return MALFORMED_ACTION;
        verdict = ACTION;
    }
    if (r->timed) {
        int64_t start = parse_number(COLUMN(l->start));
        if (start < 0)
            return MALFORMED_NUMBER;
        if (start >= MILLISECONDS_FROM)
            start /= 1000;
        if (verdict == COUNTED && (start < r->since || start >= r->until))
            verdict = TIME;
    }
    int port = parse_port(COLUMN(l->port));
    if (port < 0)
        return MALFORMED_PORT;
    if (verdict == COUNTED && !r->ports[port])
        verdict = PORTS;
    if (verdict != COUNTED)
        return verdict;
    talker whose = {.port = (uint16_t)port};
    if (take_address(c, COLUMN(l->src), &whose.src, SRC_IS_TEXT, &whose.kinds) ||
        take_address(c, COLUMN(l->dst), &whose.dst, DST_IS_TEXT, &whose.kinds))
        return MALFORMED_ADDRESS;
    int64_t value = 1; /* fewer records than a sum can hold, so that no total is kept of them */
    if (*r->metric) {
        value = parse_number(COLUMN(l->value));
        if (value < 0)
            return MALFORMED_NUMBER;
    }
    if (!(*r->metric ? counter_add(c, whose, value) : sums_add_soon(&c->table, whose, 1)))
        c->failed = true;
    return COUNTED;
}
