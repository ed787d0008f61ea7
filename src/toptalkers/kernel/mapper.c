/* The lines of the mapper on a cluster's nodes, as job/count_flows.py prints them: sums in no order. */
#include "reader.h"

static const char ONE_SUM[] = "LongValueSum:"; /* of Hadoop's `aggregate` reducer */

static uint8_t *print_bytes(uint8_t *to, const void *bytes, size_t length) {
    memcpy(to, bytes, length);
    return to + length;
}

/* An address of the recipe's key, IPv6 in brackets, and a colon. */
static uint8_t *print_address(const sums *table, const row *one, size_t part, uint8_t *to) {
    if (one->texts >> part & 1) {
        const kept_text *known = text_at(table, one->part[part]);
        *to++ = '[';
        to = print_bytes(to, known->bytes, known->length);
        *to++ = ']';
    } else {
        to = print_ipv4(to, one->part[part]);
    }
    *to++ = ':';
    return to;
}

static uint8_t *print_row(const sums *table, row *one, uint8_t *to) {
    const shape *of = &table->of;
    if (of->sums == 1 && of->sum[0] == ADDED)
        to = print_bytes(to, ONE_SUM, sizeof ONE_SUM - 1);
    if (of->is_recipe) {
        to = print_address(table, one, 0, to);
        to = print_address(table, one, 1, to);
        to = print_number(to, one->part[2]);
    } else {
        to = print_key(table, one, to);
    }
    for (size_t i = 0; i < of->sums; i++) {
        *to++ = '\t';
        to = print_number(to, (uint64_t)as_kept(of, i, sums_of(table, one)[i]));
    }
    *to++ = '\n';
    return to;
}

int64_t counter_print(counter *c, size_t *at, uint8_t *room, size_t length) {
    sums *table = &c->table;
    uint8_t *to = room;
    if (!*at && !sums_merge_log(table))
        return -1;
    for (row *one; (one = next_used(table, table->slots + *at));
         *at = (size_t)((uint8_t *)one - table->slots) + table->row_bytes) {
        if (!settle(table, one))
            continue;
        if (length - (size_t)(to - room) < sizeof ONE_SUM + LONGEST_TALKER_LINE)
            break;
        to = print_row(table, one, to);
    }
    return to - room;
}
