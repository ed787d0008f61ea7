/* One record: the columns that the question needs, and the rules, in their order.
 *
 * The rules are those of job/count_flows.py, whose docstring numbers them. A property test compares both with
 * tests/reference.py.
 */
#include "reader.h"

#include <stdlib.h>

int find_column(const reader *r, const char *name) {
    const char *columns = r->columns;
    size_t length = strlen(name);
    for (int number = 0;; number++) {
        size_t width = strcspn(columns, " ");
        if (width == length && !memcmp(columns, name, length))
            return r->in_columns ? 2 * number : number;
        if (!columns[width])
            return ABSENT;
        columns += width + 1;
    }
}

int use(reader *r, const char *name) {
    int number = find_column(r, name);
    if (r->now.looked_at < (uint32_t)(number + 1))
        r->now.looked_at = (uint32_t)(number + 1);
    return number;
}

void use_text(reader *r, int number) {
    if (number >= 0 && number / 2 < 64)
        r->now.texts |= UINT64_C(1) << number / 2;
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

/* Without a log status, a record that has neither addresses nor a destination port has no data. */
static void use_no_data(reader *r) {
    static const char *const names[] = {"srcaddr", "dstaddr", "dstport"};
    for (int i = 0; i < 3; i++) {
        if (find_column(r, names[i]) == ABSENT)
            return;
    }
    for (int i = 0; i < 3; i++)
        r->now.no_data[i] = use(r, names[i]);
}

bool set_layout(reader *r, const char *names, size_t length) {
    size_t columns = 1;
    for (size_t i = 0; i < length; i++)
        columns += names[i] == ' ';
    char *text = realloc(r->columns, length + 1);
    r->columns = text ? text : r->columns;
    uint32_t *at = realloc(r->at, ((r->in_columns ? 2 * columns : columns) + 3) * sizeof *at);
    r->at = at ? at : r->at;
    if (!text || !at)
        return false;
    for (size_t i = 0; i < length; i++)
        text[i] = names[i] == '_' ? '-' : names[i];
    text[length] = 0;
    layout *l = &r->now;
    *l = (layout){.columns = (int)columns, .port = ABSENT, .action = ABSENT, .start = ABSENT, .srcport = ABSENT,
                  .dstport_any = ABSENT, .flags = ABSENT, .no_data = {ABSENT, ABSENT, ABSENT}, .usable = true};
    use_text(r, l->status = use(r, "log-status"));
    for (size_t i = 0; i < LONGEST_KEY; i++) {
        l->key[i] = !r->key[i] || !*r->key[i] ? ABSENT : i < r->key_needs ? need(r, r->key[i]) : use(r, r->key[i]);
        if (!r->key_is_number[i])
            use_text(r, l->key[i]);
    }
    if (r->key_has_service)
        use_service(r);
    for (size_t i = 0; i < MOST_SUMS; i++)
        l->sums[i] = r->sums[i] ? need(r, r->sums[i]) : ABSENT;
    if (r->is_recipe || !r->all_ports)
        l->port = need(r, "dstport");
    if (r->action != ANY_ACTION)
        use_text(r, l->action = need(r, "action"));
    if (r->since != INT64_MIN || r->until != INT64_MAX)
        l->start = need(r, "start");
    if (l->status == ABSENT)
        use_no_data(r);
    l->noted_start = use(r, "start");
    l->interface = use(r, "interface-id");
    for (size_t i = 0; i < TELLINGS; i++)
        l->telling[i] = find_column(r, TELLING[i].name);
    if (r->condition)
        where_set_layout(r->condition, r);
    return true;
}

static bool has_no_data(const layout *l, const uint8_t *base, const uint32_t *at) {
    for (int i = 0; i < 3; i++) {
        if (l->no_data[i] == ABSENT || !is_none(COLUMN(l->no_data[i])))
            return false;
    }
    return true;
}

/* Whether the records are the rows of a digest, which have sums of many. */
static inline bool has_weights(const reader *r) { return r->in_columns && r->weight_column != ABSENT; }

/* Read the values that a record adds to the sums. Returns false when one is not a number. */
static inline bool take_values(const counter *c, const uint8_t *base, const uint32_t *at, int64_t *values) {
    const reader *r = c->reader;
    const layout *l = &r->now;
    const shape *of = &c->table.of;
    for (size_t i = 0; i < of->sums; i++) {
        if (l->sums[i] == ABSENT)
            values[i] = r->weight;
        else if (of->sum[i] != ADDED)
            values[i] = take_time(r, l->sums[i], COLUMN(l->sums[i]));
        else if (!has_weights(r))
            values[i] = take_number(r, l->sums[i], COLUMN(l->sums[i]));
        else if ((values[i] = r->numbers[l->sums[i]]) < 0)
            values[i] = parse_total(COLUMN(l->sums[i]));
        if (values[i] < 0)
            return false;
        values[i] = as_kept(of, i, values[i]);
    }
    return true;
}

/* Note an interface at which AWS left records out. */
__attribute__((noinline)) static enum tally skip(counter *c, const uint8_t *base, const uint32_t *at) {
    int number = c->reader->now.interface;
    column name = number == ABSENT ? (column){(const uint8_t *)"-", 1} : COLUMN(number);
    if (!note_skipping(&c->reader->noted, name))
        c->failed = true;
    return SKIPDATA;
}

enum tally examine(counter *c, const uint8_t *base, const uint32_t *at) {
    reader *r = c->reader;
    const layout *l = &r->now;
    enum tally verdict = COUNTED;
    if (l->status != ABSENT) {
        column status = COLUMN(l->status);
        if (!is_text(status, "OK", 2))
            return is_text(status, "NODATA", 6)     ? NODATA
                   : is_text(status, "SKIPDATA", 8) ? skip(c, base, at)
                                                    : MALFORMED_STATUS;
    } else if (has_no_data(l, base, at)) {
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
        int64_t start = take_number(r, l->start, COLUMN(l->start));
        if (start < 0)
            return MALFORMED_NUMBER;
        if (start >= MILLISECONDS_FROM)
            start /= 1000;
        if (verdict == COUNTED && (start < r->since || start >= r->until))
            verdict = TIME;
    }
    int port = 0;
    if (l->port != ABSENT) {
        column text = COLUMN(l->port);
        bool is_no_port = !r->is_recipe && is_none(text); /* none that is wanted */
        port = is_no_port ? 0 : take_port(r, l->port, text);
        if (port < 0)
            return MALFORMED_PORT;
        if (verdict == COUNTED && (is_no_port || !r->ports[port]))
            verdict = PORTS;
    }
    if (r->condition) {
        enum tally found = where_examine(r->condition, base, at);
        if (found >= MALFORMED_COLUMNS)
            return found;
        if (verdict == COUNTED)
            verdict = found;
    }
    if (verdict != COUNTED)
        return verdict;
    talker whose;
    verdict = r->is_recipe ? take_recipe(c, base, at, (uint32_t)port, &whose) : take_key(c, base, at, &whose);
    if (verdict != COUNTED)
        return verdict;
    int64_t values[MOST_SUMS];
    if (!take_values(c, base, at, values))
        return MALFORMED_NUMBER;
    if (!note_hour(r, base, at) || !counter_add(c, &whose, values))
        c->failed = true;
    return COUNTED;
}
