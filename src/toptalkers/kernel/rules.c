/* One record: the columns that the question needs, and the rules, in their order.
 *
 * The rules are those of job/count_flows.py, whose docstring numbers them. A property test compares both with
 * tests/reference.py.
 */
#include "reader.h"

#include <stdlib.h>

int column_of(const char *columns, const char *name) {
    size_t length = strlen(name);
    for (int number = 0;; number++) {
        size_t width = strcspn(columns, " ");
        if (width == length && !memcmp(columns, name, length))
            return number;
        if (!columns[width])
            return ABSENT;
        columns += width + 1;
    }
}

int use(reader *r, const char *name) {
    int number = column_of(r->columns, name);
    if (r->now.looked_at < (uint32_t)(number + 1))
        r->now.looked_at = (uint32_t)(number + 1);
    return number;
}

int need(reader *r, const char *name) {
    int number = use(r, name);
    r->now.usable &= number != ABSENT;
    return number;
}

void use_service(reader *r) {
    r->now.srcport = use(r, "srcport");
    r->now.dstport_any = use(r, "dstport");
    r->now.flags = use(r, "tcp-flags");
}

bool set_layout(reader *r, const char *names, size_t length) {
    size_t columns = 1;
    for (size_t i = 0; i < length; i++)
        columns += names[i] == ' ';
    char *text = realloc(r->columns, length + 1);
    r->columns = text ? text : r->columns;
    uint32_t *at = realloc(r->at, (columns + 3) * sizeof *at);
    r->at = at ? at : r->at;
    if (!text || !at)
        return false;
    for (size_t i = 0; i < length; i++)
        text[i] = names[i] == '_' ? '-' : names[i];
    text[length] = 0;
    layout *l = &r->now;
    *l = (layout){.columns = (int)columns, .port = ABSENT, .action = ABSENT, .start = ABSENT, .srcport = ABSENT,
                  .dstport_any = ABSENT, .flags = ABSENT, .usable = true};
    l->status = use(r, "log-status");
    for (size_t i = 0; i < LONGEST_KEY; i++)
        l->key[i] = r->key[i] ? need(r, r->key[i]) : ABSENT;
    for (size_t i = 0; i < MOST_SUMS; i++)
        l->sums[i] = r->sums[i] ? need(r, r->sums[i]) : ABSENT;
    if (r->port_part != ABSENT || !r->all_ports)
        l->port = need(r, "dstport");
    if (r->action != ANY_ACTION)
        l->action = need(r, "action");
    if (r->since != INT64_MIN || r->until != INT64_MAX)
        l->start = need(r, "start");
    for (size_t i = 0; i < TELLINGS; i++)
        l->telling[i] = column_of(text, TELLING[i].name);
    if (r->condition)
        where_set_layout(r->condition, r);
    return true;
}

/* Whether a record has no key. In a layout without a log status, such a record has no data. */
static bool has_no_key(const counter *c, const uint8_t *base, const uint32_t *at) {
    for (size_t part = 0; part < c->table.of.parts; part++) {
        if (!is_text(COLUMN(c->reader->now.key[part]), "-", 1))
            return false;
    }
    return true;
}

enum tally examine(counter *c, const uint8_t *base, const uint32_t *at) {
    const reader *r = c->reader;
    const layout *l = &r->now;
    enum tally verdict = COUNTED;
    if (l->status != ABSENT) {
        column status = COLUMN(l->status);
        if (!is_text(status, "OK", 2))
            return is_text(status, "NODATA", 6) ? NODATA : is_text(status, "SKIPDATA", 8) ? SKIPDATA : MALFORMED_STATUS;
    } else if (has_no_key(c, base, at)) {
        return NODATA;
    }
    if (l->action != ABSENT) {
        enum action action = parse_action(COLUMN(l->action));
        if (action == ANY_ACTION)
            return MALFORMED_ACTION;
        if (action != r->action)
            verdict = ACTION;
    }
    if (l->start != ABSENT) {
        int64_t start = parse_number(COLUMN(l->start));
        if (start < 0)
            return MALFORMED_NUMBER;
        if (start >= MILLISECONDS_FROM)
            start /= 1000;
        if (verdict == COUNTED && (start < r->since || start >= r->until))
            verdict = TIME;
    }
    int port = 0;
    if (l->port != ABSENT) {
        port = parse_port(COLUMN(l->port));
        if (port < 0)
            return MALFORMED_PORT;
        if (verdict == COUNTED && !r->ports[port])
            verdict = PORTS;
    }
    if (r->condition) {
        enum tally found = where_examine(r->condition, l, base, at);
        if (found >= MALFORMED_COLUMNS)
            return found;
        if (verdict == COUNTED)
            verdict = found;
    }
    if (verdict != COUNTED)
        return verdict;
    talker whose = {0};
    for (int part = 0; part < (int)c->table.of.parts; part++) {
        if (part == r->port_part)
            whose.part[part] = (uint32_t)port;
        else if ((verdict = take_part(c, COLUMN(l->key[part]), (size_t)part, &whose)) != COUNTED)
            return verdict;
    }
    int64_t values[MOST_SUMS];
    for (size_t i = 0; i < c->table.of.sums; i++) {
        values[i] = l->sums[i] == ABSENT ? r->weight : parse_number(COLUMN(l->sums[i]));
        if (values[i] < 0)
            return MALFORMED_NUMBER;
    }
    if (!counter_add(c, &whose, values))
        c->failed = true;
    return COUNTED;
}
