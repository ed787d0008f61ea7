/* Which endpoint of a record is the server: what is learned from all records, and what it says of one.
 *
 * An endpoint is an action, a protocol, an address and a port, in a table by its hash. The peers of an endpoint are counted
 * only if they decide about a record, since that needs a set of all pairs.
 */
#include "conversations.h"
#include "pairs.h"

#include <stdlib.h>

enum { FIRST_ENDPOINTS = 1 << 12, AHEAD = 16 };

enum { LOWEST_CLIENT = 1024, LOWEST_HIGH = 32768 };

/* The key has an address, a port and the number of a protocol; and what is known of it: */
static const uint64_t IS_SERVER = UINT64_C(1) << 63, PORTS_DECIDE = UINT64_C(1) << 62, PEERS_DECIDE = UINT64_C(1) << 61;
static const uint64_t KEY_BITS = (UINT64_C(1) << 61) - 1;

/* 0 is a free one. `ports` is how many different ports sent to it, `peers` how many endpoints. */
typedef struct {
    uint64_t key;
    uint32_t action; /* the number of its text */
    uint32_t ports, peers;
} endpoint;

struct endpoints {
    const sums *table;
    endpoint *all;
    size_t mask, known;
    pairs peers; /* an endpoint's place + 1, and the port or the key of one that sent to it */
};

/* --- the two endpoints of a record --- */

/* The number of a protocol with ports, from 1; 0 for any other. */
static inline uint64_t protocol_number(const row *one) {
    switch (value_of_part(one, R_PROTOCOL)) {
    case TCP:
        return 1;
    case 17:
        return 2;
    case 33:
        return 3;
    case 132:
        return 4;
    case 136:
        return 5;
    default:
        return 0;
    }
}

static inline bool has_ports(const row *one) {
    return protocol_number(one) && !(one->texts >> R_SRCPORT & 1) && !(one->texts >> R_DSTPORT & 1);
}

static inline uint64_t endpoint_key(const row *one, size_t address, size_t port) {
    return protocol_number(one) << 49 | (uint64_t)one->part[port] << 33 | value_of_part(one, address);
}

/* The addresses of the packet where they are logged: all legs of a conversation have the same. */
static inline size_t src_part(const row *one) { return has_none(one, R_PKT_SRCADDR) ? R_SRCADDR : R_PKT_SRCADDR; }
static inline size_t dst_part(const row *one) { return has_none(one, R_PKT_DSTADDR) ? R_DSTADDR : R_PKT_DSTADDR; }

static inline uint64_t src_key(const row *one) { return endpoint_key(one, src_part(one), R_SRCPORT); }
static inline uint64_t dst_key(const row *one) { return endpoint_key(one, dst_part(one), R_DSTPORT); }

static inline size_t place_of(const endpoints *e, uint64_t key, uint32_t action) {
    return mix(e->table->seed, key ^ (uint64_t)action << 52) >> 16 & e->mask;
}

static inline endpoint *find_endpoint(const endpoints *e, uint64_t key, uint32_t action) {
    for (size_t at = place_of(e, key, action);; at = (at + 1) & e->mask) {
        endpoint *one = &e->all[at];
        if (!one->key || ((one->key & KEY_BITS) == key && one->action == action))
            return one;
    }
}

static inline endpoint *src_endpoint(const endpoints *e, const row *one) {
    return find_endpoint(e, src_key(one), one->part[R_ACTION]);
}

static inline endpoint *dst_endpoint(const endpoints *e, const row *one) {
    return find_endpoint(e, dst_key(one), one->part[R_ACTION]);
}

static bool grow_endpoints(endpoints *e) {
    endpoint *before = e->all;
    size_t number = e->mask + 1;
    e->all = zeroed_room(2 * number * sizeof *e->all);
    if (!e->all) {
        e->all = before;
        return false;
    }
    e->mask = 2 * number - 1;
    for (size_t i = 0; i < number; i++) {
        if (before[i].key)
            *find_endpoint(e, before[i].key & KEY_BITS, before[i].action) = before[i];
    }
    free_room(before, number * sizeof *before);
    return true;
}

void fetch_endpoints(const endpoints *e, const row *one) {
    if (!has_ports(one))
        return;
    __builtin_prefetch(&e->all[place_of(e, src_key(one), one->part[R_ACTION])], 1);
    __builtin_prefetch(&e->all[place_of(e, dst_key(one), one->part[R_ACTION])], 1);
}

/* The records that teach something, in blocks, so that their endpoints are fetched from memory together. */
typedef struct {
    const row *one[AHEAD];
    size_t number;
} block;

static uint8_t *next_block(const endpoints *e, uint8_t *from, block *to) {
    to->number = 0;
    while (to->number < AHEAD) {
        const row *one = next_used(e->table, from);
        if (!one)
            return NULL;
        from = (uint8_t *)(uintptr_t)one + e->table->row_bytes;
        if (one->state == COPY || !has_ports(one))
            continue;
        fetch_endpoints(e, one);
        to->one[to->number++] = one;
    }
    return from;
}

#define EACH_BLOCK(some, e) \
    uint8_t *from = next_block(e, (e)->table->slots, &some); some.number; \
    from = from ? next_block(e, from, &some) : (some.number = 0, NULL)

/* --- what is learned --- */

static bool note_endpoint(endpoints *e, uint64_t key, uint32_t action, bool is_server) {
    if (e->known >= e->mask / 4 * 3 && !grow_endpoints(e))
        return false;
    endpoint *one = find_endpoint(e, key, action);
    e->known += !one->key;
    one->action = action;
    one->key |= key | (is_server ? IS_SERVER : 0);
    return true;
}

static bool note_all(endpoints *e) {
    block some;
    for (EACH_BLOCK(some, e)) {
        for (size_t i = 0; i < some.number; i++) {
            const row *one = some.one[i];
            int64_t flags = one->part[R_PROTOCOL] == TCP ? number_of_part(e->table, one, R_FLAGS) : -1;
            bool is_opening = flags >= 0 && flags & SYN_FLAG, is_answer = is_opening && flags & ACK_FLAG;
            if (!note_endpoint(e, src_key(one), one->part[R_ACTION], is_answer) ||
                !note_endpoint(e, dst_key(one), one->part[R_ACTION], is_opening && !is_answer))
                return false;
        }
    }
    return true;
}

/* Note whose peers decide. Returns whether any do. */
static bool note_undecided(endpoints *e) {
    block some;
    bool any = false;
    for (EACH_BLOCK(some, e)) {
        for (size_t i = 0; i < some.number; i++) {
            const row *one = some.one[i];
            endpoint *src = src_endpoint(e, one), *dst = dst_endpoint(e, one);
            if ((src->key ^ dst->key) & IS_SERVER)
                continue;
            uint64_t what = one->part[R_SRCPORT] == one->part[R_DSTPORT] ? PEERS_DECIDE : PORTS_DECIDE;
            src->key |= what;
            dst->key |= what;
            any = true;
        }
    }
    return any;
}

static bool count_peers(endpoints *e) {
    block some;
    bool fits = true;
    for (EACH_BLOCK(some, e)) {
        endpoint *to[AHEAD];
        for (size_t i = 0; i < some.number; i++) {
            to[i] = dst_endpoint(e, some.one[i]);
            if (to[i]->key & PORTS_DECIDE)
                __builtin_prefetch(e->peers.all[pair_place(&e->peers, (uint64_t)(to[i] - e->all) + 1,
                                                           some.one[i]->part[R_SRCPORT])], 1);
        }
        for (size_t i = 0; i < some.number; i++) {
            const row *one = some.one[i];
            uint64_t of = (uint64_t)(to[i] - e->all) + 1, port = one->part[R_SRCPORT];
            bool counts = one->part[R_DSTPORT] < LOWEST_HIGH || port >= LOWEST_CLIENT;
            if (!counts)
                continue;
            if (to[i]->key & PORTS_DECIDE)
                to[i]->ports += pairs_add(&e->peers, of, port, &fits);
            if (to[i]->key & PEERS_DECIDE) /* a key is above all ports */
                to[i]->peers += pairs_add(&e->peers, of, src_key(one), &fits);
        }
    }
    return fits;
}

endpoints *endpoints_learn(const sums *records) {
    endpoints *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->table = records;
    e->mask = FIRST_ENDPOINTS - 1;
    e->all = zeroed_room(FIRST_ENDPOINTS * sizeof *e->all);
    bool fits = pairs_init(&e->peers, records->seed) && e->all && note_all(e) && (!note_undecided(e) || count_peers(e));
    pairs_free(&e->peers);
    if (!fits) {
        endpoints_free(e);
        return NULL;
    }
    return e;
}

void endpoints_free(endpoints *e) {
    if (e)
        free_room(e->all, (e->mask + 1) * sizeof *e->all);
    free(e);
}

/* --- what it says of a record --- */

static inline int class_of(uint32_t port) { return (port >= 1024) + (port >= 32768) + (port >= 49152); }

static bool has_greater_source(const sums *table, const row *one) {
    return compare_texts(table, value_of_part(one, src_part(one)), value_of_part(one, dst_part(one))) > 0;
}

enum how server_of(const endpoints *e, const row *one, bool *is_src) {
    if (!has_ports(one)) {
        *is_src = has_greater_source(e->table, one);
        return BY_NOTHING;
    }
    const endpoint *src = src_endpoint(e, one), *dst = dst_endpoint(e, one);
    uint32_t src_port = one->part[R_SRCPORT], dst_port = one->part[R_DSTPORT];
    if ((src->key ^ dst->key) & IS_SERVER) {
        *is_src = src->key & IS_SERVER;
        return BY_SYN;
    }
    uint64_t to_src = src_port == dst_port ? src->peers : src->ports;
    uint64_t to_dst = src_port == dst_port ? dst->peers : dst->ports;
    *is_src = to_src > to_dst;
    uint64_t most = *is_src ? to_src : to_dst, least = *is_src ? to_dst : to_src;
    if (most >= 2 && most >= 2 * least)
        return BY_PEERS;
    *is_src = src_port == dst_port ? has_greater_source(e->table, one) : src_port < dst_port;
    return class_of(src_port) == class_of(dst_port) ? BY_NOTHING : BY_PORTS;
}
