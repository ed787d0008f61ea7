/* From folded rows to conversations: what several interfaces have logged is counted once (docs/conversations.md).
 *
 * Rows are collected by flow, in chains. Of each flow, nodes are made, of these some are chosen, and what they add up to is
 * added to the answer.
 */
#include "conversations.h"
#include "pairs.h"

#include <stdlib.h>

enum { FIRST_FLOWS = 1 << 12, FIRST_HOMES = 1 << 8, FIRST_NODES = 1 << 8, AHEAD = 16, VALUES = 3, SLACK_SECONDS = 60 };

/* One direction of a conversation. `ports` has the server's port, its side, the client's port and the protocol. */
typedef struct {
    uint64_t src, dst, ports, action;
    uint32_t last; /* the number of its last row */
} flow;

enum { NO_PORT = 1 << 16, NO_PROTOCOL = 1 << 8 };

static inline bool src_is_server(const flow *one) { return one->ports >> 34 & 1; }
static inline uint32_t server_port(const flow *one) { return (uint32_t)(one->ports >> 17 & 0x1ffff); }
static inline uint32_t client_port(const flow *one) { return (uint32_t)(one->ports & 0x1ffff); }
static inline uint32_t protocol(const flow *one) { return (uint32_t)(one->ports >> 35); }

/* The address that may be an interface's home: one or two that were in all of its rows of a family, or none. */
typedef struct {
    uint64_t address[2];
    uint8_t number;
    bool has_rows;
} home;

typedef struct {
    column name;
    uint32_t rank; /* among all interfaces, by name */
    home of[2];    /* IPv4, and IPv6 */
} interface;

/* What is known of a row: the row before it of its flow, + 1, and where it was seen. */
typedef struct {
    uint32_t before, place;
} link;

enum { SRC_PLACE, DST_PLACE, FIRST_INTERFACE_PLACE };

typedef struct {
    uint32_t place, hour;
    uint32_t place_number; /* among the places of the flow */
    int64_t first, last, end;
    int64_t value[VALUES], best[VALUES]; /* bytes, packets, records */
    uint32_t before[VALUES];             /* the number of the node before it in its chain, + 1 */
    bool is_chosen[VALUES];
} node;

typedef struct {
    joining *j;
    interface *interfaces; /* the first is that of rows without one */
    size_t interfaces_known, interface_room;
    pairs gateways;
    uint64_t *index; /* by the hash of a flow: its upper half, and the flow's number + 1 */
    size_t mask;
    flow *flows;
    size_t flows_known, flow_room;
    link *links;
    node *nodes;
    size_t node_room;
    uint32_t *waiting, *last_of_place; /* while nodes are chosen: a heap by their end; and the last one of each place */
    bool has_hours;    /* whether the answer's key tells hours apart */
} state;

/* --- rows --- */

static inline bool has_source_server(const joining *j, const row *one) { return one->part[F_SERVER_SIDE] == j->texts.src; }

static inline uint64_t conversation_address(const joining *j, const row *one, size_t part, size_t packet_part) {
    bool is_translated = j->by_packet && !has_none(one, packet_part);
    return value_of_part(one, is_translated ? packet_part : part);
}

static inline uint32_t port_of(const row *one, size_t part) {
    return has_none(one, part) ? (uint32_t)NO_PORT : one->part[part] & 0xffff;
}

/* The client's port if it is told apart. Above 1024 it is not, unless asked for: rows of one interface may have it, since
 * these records have no SYN, and those of another not. */
static inline uint32_t client_port_of(const joining *j, const row *one) {
    uint32_t port = port_of(one, F_PEER_PORT);
    return j->keeps_ports || port <= HIGHEST_KNOWN_PORT ? port : (uint32_t)NO_PORT;
}

static inline flow flow_of(const joining *j, const row *one) {
    uint64_t protocol = has_none(one, F_PROTOCOL) ? (uint64_t)NO_PROTOCOL : one->part[F_PROTOCOL];
    return (flow){
        .src = conversation_address(j, one, F_SRCADDR, F_PKT_SRCADDR),
        .dst = conversation_address(j, one, F_DSTADDR, F_PKT_DSTADDR),
        .ports = protocol << 35 | (uint64_t)has_source_server(j, one) << 34 |
                 (uint64_t)port_of(one, F_SERVER_PORT) << 17 | client_port_of(j, one),
        .action = value_of_part(one, F_ACTION),
    };
}

/* Whether a row is counted at all: if not, it moves to another reason. */
static bool is_counted(joining *j, const row *one, int64_t records) {
    size_t how = how_of(&j->texts, one);
    j->found->without_flags += how < HOWS && lacks_flags(one) ? records : 0;
    if (how == HOWS && j->is_once) {
        j->found->copies += records;
        return false;
    }
    const reader *r = j->answer->reader;
    if (r->is_recipe && (has_none(one, F_SRCADDR) || has_none(one, F_DSTADDR))) { /* no digest of ours has such a row */
        j->found->malformed_address += records;
        return false;
    }
    if (r->is_recipe && has_none(one, has_source_server(j, one) ? F_PEER_PORT : F_SERVER_PORT)) {
        j->found->malformed_port += records;
        return false;
    }
    if (j->is_pairs && !r->all_ports && (has_none(one, F_SERVER_PORT) || !r->ports[one->part[F_SERVER_PORT] & 0xffff])) {
        j->found->ports += records;
        return false;
    }
    if (how == HOWS)
        j->found->copies += records;
    else
        j->found->oriented[how] += records;
    j->lacks_memory |= !note_row_hour(j->answer, one, &j->hour);
    return true;
}

/* --- the answer --- */

/* The number of a text in the answer, which is noted; false without memory. */
static bool take_text(joining *j, uint32_t number, uint32_t *in_answer) {
    kept_text *text = text_at(j->folded, number);
    if (text->note == NO_VALUE) {
        const kept_text *other = sums_text(&j->answer->table, text->bytes, text->length);
        if (!other)
            return false;
        text->note = number_of(&j->answer->table, other);
    }
    *in_answer = text->note;
    return true;
}

static bool set_value(joining *j, uint64_t value, size_t part, talker *whose) {
    whose->part[part] = (uint32_t)value;
    if (!(value >> 32))
        return true;
    whose->texts |= 1u << part;
    return value == NONE || take_text(j, (uint32_t)value, &whose->part[part]);
}

static void set_number(uint32_t number, uint32_t none, size_t part, talker *whose) {
    whose->part[part] = number == none ? NO_VALUE : number;
    whose->texts |= (uint32_t)(number == none) << part;
}

static bool set_network(joining *j, uint64_t address, size_t part, talker *whose) {
    const shape *of = &j->answer->table.of;
    if (!(address >> 32)) {
        whose->part[part] = network_of(of, part, (uint32_t)address);
        return true;
    }
    return address == NONE
               ? set_value(j, address, part, whose)
               : take_ipv6_network(j->answer, text_of(j->folded, address, NULL), part, whose) == COUNTED && !j->answer->failed;
}

/* The key of the answer for a flow in an hour, which is given in minutes. */
static bool key_of(joining *j, const flow *one, uint32_t hour, talker *whose) {
    const shape *of = &j->answer->table.of;
    bool is_src = src_is_server(one), fits = true;
    *whose = (talker){.texts = 0};
    if (j->is_pairs) {
        fits = set_value(j, is_src ? one->dst : one->src, 0, whose) && set_value(j, is_src ? one->src : one->dst, 1, whose);
        set_number(server_port(one), NO_PORT, 2, whose);
        set_number(protocol(one), NO_PROTOCOL, 3, whose);
        return fits;
    }
    for (size_t part = 0; fits && part < of->parts; part++) {
        const char *field = j->answer->reader->key[part];
        bool is_first = field[0] == 's'; /* srcaddr or srcport, not dstaddr or dstport */
        uint8_t room[2][LONGEST_ADDRESS];
        uint32_t client;
        switch (of->part[part]) {
        case ADDRESS_PART:
            fits = set_value(j, is_first ? one->src : one->dst, part, whose);
            break;
        case NETWORK_PART:
            fits = set_network(j, is_first ? one->src : one->dst, part, whose);
            break;
        case LESSER_PART:
            fits = set_value(j, one->src, part, whose) && set_value(j, one->dst, part + 1, whose);
            sort_pair(text_of(j->folded, one->src, room[0]), text_of(j->folded, one->dst, room[1]), part, whose);
            break;
        case PORT_PART:
            set_number(is_first == is_src ? server_port(one) : client_port(one), NO_PORT, part, whose);
            break;
        case SERVICE_PART:
            set_number(server_port(one), NO_PORT, part, whose);
            break;
        case CLIENT_PART:
            client = client_port(one);
            set_number(client > HIGHEST_KNOWN_PORT ? (uint32_t)NO_PORT : client, NO_PORT, part, whose);
            break;
        case SIDE_PART:
            whose->part[part] = is_src ? SRC_SIDE : DST_SIDE;
            break;
        case PROTOCOL_PART:
            set_number(protocol(one), NO_PROTOCOL, part, whose);
            break;
        case HOUR_PART:
            whose->part[part] = hour;
            break;
        case DAY_PART:
            whose->part[part] = hour - hour % (24 * 60);
            break;
        case TEXT_PART:
            fits = set_value(j, one->action, part, whose);
            break;
        default: /* GREATER_PART: set with the lesser */
            break;
        }
    }
    return fits;
}

/* Add values in the order of the folded sums, times as they are kept. */
static bool add_to_answer(joining *j, const flow *one, uint32_t hour, const int64_t *values, size_t how) {
    const shape *of = &j->answer->table.of;
    const char *const *names = j->answer->reader->sums;
    int64_t added[MOST_SUMS] = {0};
    talker whose;
    if (!key_of(j, one, hour, &whose))
        return false;
    if (j->is_pairs) {
        for (size_t i = 0; i < VALUES; i++)
            added[i] = added[VALUES + 2 * i + src_is_server(one)] = values[i];
        added[of->sums - 1] = how == HOWS ? 0 : (int64_t)how + 1; /* copies have no say */
        return counter_add(j->answer, &whose, added);
    }
    for (size_t i = 0; i < of->sums; i++) {
        size_t from = of->sum[i] == FIRST ? F_FIRST : of->sum[i] == LAST ? F_LAST
                      : !names[i]         ? F_RECORDS
                                          : strcmp(names[i], "bytes") ? F_PACKETS : F_BYTES;
        added[i] = values[from];
    }
    return counter_add(j->answer, &whose, added);
}

bool join_all(joining *j) {
    sums *table = j->folded;
    bool fits = true;
    for (EACH_TEXT(text, table))
        text->note = NO_VALUE;
    for (EACH_ROW(one, table)) {
        if (!fits)
            break;
        const int64_t *values = sums_of(table, one);
        if (!settle(table, one) || !is_counted(j, one, values[F_RECORDS]))
            continue;
        flow of = flow_of(j, one);
        fits = add_to_answer(j, &of, one->part[F_HOUR], values, how_of(&j->texts, one));
    }
    return fits;
}

/* --- what is learned of interfaces and gateways --- */

static bool is_copy(const state *s, const row *one) { return how_of(&s->j->texts, one) == HOWS; }

/* The interface of a row; NULL without memory. */
static interface *interface_of(state *s, const row *one) {
    kept_text *name = has_none(one, F_INTERFACE) ? NULL : text_at(s->j->folded, one->part[F_INTERFACE]);
    if (!name || name->note)
        return &s->interfaces[name ? name->note : 0];
    if (s->interfaces_known == s->interface_room) {
        interface *larger = realloc(s->interfaces, 2 * s->interface_room * sizeof *larger);
        if (!larger)
            return NULL;
        s->interfaces = larger;
        s->interface_room *= 2;
    }
    name->note = (uint32_t)s->interfaces_known;
    s->interfaces[s->interfaces_known] = (interface){.name = {name->bytes, name->length}};
    return &s->interfaces[s->interfaces_known++];
}

static void note_home(home *of, uint64_t src, uint64_t dst) {
    if (!of->has_rows) {
        *of = (home){{src, dst}, src == dst ? 1 : 2, true};
        return;
    }
    uint8_t kept = 0;
    for (uint8_t i = 0; i < of->number; i++) {
        if (of->address[i] == src || of->address[i] == dst)
            of->address[kept++] = of->address[i];
    }
    of->number = kept;
}

static inline size_t family_of(const row *one) { return one->texts >> F_SRCADDR & 1; }

/* Note that one address is the gateway to another. */
static bool note_gateway(state *s, uint64_t gateway, uint64_t to) {
    bool fits = true;
    if (to != NONE && to != gateway)
        pairs_add(&s->gateways, gateway + 1, to, &fits);
    return fits;
}

static bool learn(state *s) {
    for (EACH_ROW(one, s->j->folded)) {
        if (!settle(s->j->folded, one) || is_copy(s, one))
            continue;
        interface *logged_by = interface_of(s, one);
        uint64_t src = value_of_part(one, F_SRCADDR), dst = value_of_part(one, F_DSTADDR);
        if (!logged_by || !note_gateway(s, dst, value_of_part(one, F_PKT_DSTADDR)) ||
            !note_gateway(s, src, value_of_part(one, F_PKT_SRCADDR)))
            return false;
        note_home(&logged_by->of[family_of(one)], src, dst);
    }
    return true;
}

typedef struct {
    column name;
    size_t number;
} named;

static int by_name(const void *one, const void *other) {
    return compare_columns(((const named *)one)->name, ((const named *)other)->name);
}

static bool rank_interfaces(state *s) {
    named *all = malloc(s->interfaces_known * sizeof *all);
    if (!all)
        return false;
    for (size_t i = 0; i < s->interfaces_known; i++)
        all[i] = (named){s->interfaces[i].name, i};
    qsort(all, s->interfaces_known, sizeof *all, by_name);
    for (size_t i = 0; i < s->interfaces_known; i++)
        s->interfaces[all[i].number].rank = (uint32_t)i;
    free(all);
    return true;
}

/* A row of a translated leg, whose conversation other rows have as well. */
static bool is_relayed(const state *s, const row *one) {
    if (!s->j->by_packet || !has_none(one, F_PKT_SRCADDR) || !has_none(one, F_PKT_DSTADDR))
        return false;
    uint64_t src = value_of_part(one, F_SRCADDR), dst = value_of_part(one, F_DSTADDR);
    return pairs_have(&s->gateways, src + 1, dst) || pairs_have(&s->gateways, dst + 1, src);
}

static uint32_t place_of(state *s, const flow *of, const row *one) {
    const interface *logged_by = interface_of(s, one);
    const home *at = &logged_by->of[family_of(one)];
    if (at->number == 1 && at->address[0] == of->src)
        return SRC_PLACE;
    if (at->number == 1 && at->address[0] == of->dst)
        return DST_PLACE;
    return FIRST_INTERFACE_PLACE + logged_by->rank;
}

/* --- rows by flow --- */

static uint64_t hash_flow(const state *s, const flow *one) {
    return mix(mix(mix(mix(s->j->folded->seed, one->src), one->dst), one->ports), one->action);
}

static bool grow_flow_index(state *s) {
    size_t larger_mask = 2 * s->mask + 1;
    uint64_t *larger = zeroed_room((larger_mask + 1) * sizeof *larger);
    if (!larger)
        return false;
    for (size_t i = 0; i <= s->mask; i++) {
        size_t at = s->index[i] >> 32 & larger_mask;
        while (larger[at])
            at = (at + 1) & larger_mask;
        larger[at] = s->index[i];
    }
    free_room(s->index, (s->mask + 1) * sizeof *s->index);
    s->index = larger;
    s->mask = larger_mask;
    return true;
}

/* Find a flow, which is made when there is none; NULL without memory. */
static flow *find_flow(state *s, const flow *what, uint64_t hash) {
    if (s->flows_known >= s->mask / 4 * 3 && !grow_flow_index(s))
        return NULL;
    for (size_t at = hash >> 32 & s->mask;; at = (at + 1) & s->mask) {
        uint64_t slot = s->index[at];
        if (!slot && s->flows_known == s->flow_room) {
            flow *larger = realloc(s->flows, 2 * s->flow_room * sizeof *larger);
            if (!larger)
                return NULL;
            s->flows = larger;
            s->flow_room *= 2;
        }
        if (!slot) {
            s->flows[s->flows_known] = *what;
            s->index[at] = hash >> 32 << 32 | (s->flows_known + 1);
            return &s->flows[s->flows_known++];
        }
        flow *one = &s->flows[(uint32_t)slot - 1];
        if (slot >> 32 == hash >> 32 && one->src == what->src && one->dst == what->dst && one->ports == what->ports &&
            one->action == what->action)
            return one;
    }
}

typedef struct {
    row *whose;
    flow of;
    uint64_t hash;
} waiting_row;

static bool collect_row(state *s, const waiting_row *what) {
    size_t number = (size_t)((uint8_t *)what->whose - s->j->folded->slots) / s->j->folded->row_bytes;
    flow *of = find_flow(s, &what->of, what->hash);
    if (!of)
        return false;
    s->links[number] = (link){of->last, place_of(s, of, what->whose)};
    of->last = (uint32_t)number + 1;
    return true;
}

static bool collect(state *s) {
    sums *table = s->j->folded;
    waiting_row ahead[AHEAD];
    size_t number = 0;
    bool fits = true;
    for (EACH_ROW(one, table)) {
        int64_t records = sums_of(table, one)[F_RECORDS];
        if (one->state != COUNTED_ONCE || !is_counted(s->j, one, records))
            continue;
        if (is_relayed(s, one)) {
            s->j->found->relayed += records;
            continue;
        }
        waiting_row *what = &ahead[number % AHEAD];
        if (number++ >= AHEAD)
            fits = fits && collect_row(s, what);
        *what = (waiting_row){.whose = one, .of = flow_of(s->j, one)};
        what->hash = hash_flow(s, &what->of);
        __builtin_prefetch(&s->index[what->hash >> 32 & s->mask]);
    }
    for (size_t i = number > AHEAD ? number - AHEAD : 0; i < number; i++)
        fits = fits && collect_row(s, &ahead[i % AHEAD]);
    return fits;
}

/* --- nodes, and which are chosen --- */

static int by_place_and_hour(const void *one, const void *other) {
    const node *a = one, *b = other;
    if (a->place != b->place)
        return a->place < b->place ? -1 : 1;
    return (a->hour > b->hour) - (a->hour < b->hour);
}

static int by_first(const void *one, const void *other) {
    const node *a = one, *b = other;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return by_place_and_hour(one, other);
}

static void sort_nodes(node *all, size_t number, int (*order)(const void *, const void *)) {
    if (number > 8) {
        qsort(all, number, sizeof *all, order);
        return;
    }
    for (size_t i = 1; i < number; i++) {
        node one = all[i];
        size_t at = i;
        for (; at && order(&one, &all[at - 1]) < 0; at--)
            all[at] = all[at - 1];
        all[at] = one;
    }
}

/* Make the nodes of a flow, ordered by place and hour. Returns their number; 0 without memory. */
static size_t make_nodes(state *s, const flow *of, size_t *how) {
    const sums *table = s->j->folded;
    size_t number = 0, kept = 0;
    *how = 0;
    for (uint32_t at = of->last; at; at = s->links[at - 1].before) {
        const row *one = numbered_row(table, at - 1);
        const int64_t *values = sums_of(table, (row *)(uintptr_t)one);
        if (number == s->node_room) {
            size_t room = 2 * number;
            node *larger = realloc(s->nodes, room * sizeof *larger);
            s->nodes = larger ? larger : s->nodes;
            uint32_t *waiting = realloc(s->waiting, room * sizeof *waiting);
            s->waiting = waiting ? waiting : s->waiting;
            uint32_t *last_of_place = realloc(s->last_of_place, room * sizeof *last_of_place);
            s->last_of_place = last_of_place ? last_of_place : s->last_of_place;
            if (!larger || !waiting || !last_of_place)
                return 0;
            s->node_room = room;
        }
        int64_t last = values[F_LAST];
        s->nodes[number++] = (node){.place = s->links[at - 1].place, .hour = one->part[F_HOUR],
                                    .first = FIRST_FROM - values[F_FIRST], .last = last,
                                    .value = {values[F_BYTES], values[F_PACKETS], values[F_RECORDS]}};
        size_t rule = how_of(&s->j->texts, one);
        *how = rule > *how ? rule : *how;
    }
    sort_nodes(s->nodes, number, by_place_and_hour);
    for (size_t i = 1; i < number; i++) {
        node *one = &s->nodes[kept], *more = &s->nodes[i];
        if (one->place != more->place || one->hour != more->hour) {
            s->nodes[++kept] = *more;
            continue;
        }
        for (size_t value = 0; value < VALUES; value++)
            one->value[value] += more->value[value];
        one->first = more->first < one->first ? more->first : one->first;
        one->last = more->last > one->last ? more->last : one->last;
    }
    return kept + 1;
}

static void choose_all(node *nodes, size_t number) {
    for (size_t i = 0; i < number; i++)
        memset(nodes[i].is_chosen, true, sizeof nodes[i].is_chosen);
}

static void push_waiting(const node *nodes, uint32_t *heap, size_t at, uint32_t number) {
    for (size_t above; at && nodes[heap[above = (at - 1) / 2]].end > nodes[number].end; at = above)
        heap[at] = heap[above];
    heap[at] = number;
}

/* Take the node with the least end off a heap of so many. */
static uint32_t pop_waiting(const node *nodes, uint32_t *heap, size_t number) {
    uint32_t least = heap[0], moved = heap[--number];
    size_t at = 0;
    for (size_t below; (below = 2 * at + 1) < number; at = below) {
        if (below + 1 < number && nodes[heap[below + 1]].end < nodes[heap[below]].end)
            below++;
        if (nodes[moved].end <= nodes[heap[below]].end)
            break;
        heap[at] = heap[below];
    }
    heap[at] = moved;
    return least;
}

/* Whether one node is the better end of a chain: of equal ones, the first. */
static inline bool is_better(const node *nodes, size_t value, uint32_t one, uint32_t than) {
    int64_t a = nodes[one].best[value], b = nodes[than].best[value];
    return a != b ? a > b : one < than;
}

/* Choose those that have the largest sum and were not seen twice; they are ordered by place and hour. */
static void choose(node *nodes, uint32_t number, uint32_t *heap, uint32_t *last_of_place) {
    for (uint32_t i = 0, places = 0; i < number; i++) {
        bool goes_on = i && nodes[i].place == nodes[i - 1].place;
        nodes[i].place_number = goes_on ? places - 1 : places++;
        last_of_place[i] = 0;
        nodes[i].end = goes_on && nodes[i - 1].end > nodes[i].last ? nodes[i - 1].end : nodes[i].last;
    }
    sort_nodes(nodes, number, by_first);
    uint32_t over[VALUES] = {0}; /* the best of those that are over, + 1 */
    size_t waiting = 0;
    for (uint32_t i = 0; i < number; i++) {
        node *one = &nodes[i];
        while (waiting && nodes[heap[0]].end + SLACK_SECONDS < one->first) {
            uint32_t ended = pop_waiting(nodes, heap, waiting--);
            for (size_t value = 0; value < VALUES; value++) {
                if (!over[value] || is_better(nodes, value, ended, over[value] - 1))
                    over[value] = ended + 1;
            }
        }
        uint32_t before = last_of_place[one->place_number]; /* its number + 1 */
        last_of_place[one->place_number] = i + 1;
        for (size_t value = 0; value < VALUES; value++) {
            uint32_t chain = before;
            if (over[value] && (!before || nodes[over[value] - 1].best[value] > nodes[before - 1].best[value]))
                chain = over[value];
            one->before[value] = chain;
            one->best[value] = one->value[value] + (chain ? nodes[chain - 1].best[value] : 0);
        }
        push_waiting(nodes, heap, waiting++, i);
    }
    for (size_t value = 0; value < VALUES; value++) {
        uint32_t best = 0;
        for (uint32_t i = 1; i < number; i++)
            best = is_better(nodes, value, i, best) ? i : best;
        for (uint32_t at = best + 1; at; at = nodes[at - 1].before[value])
            nodes[at - 1].is_chosen[value] = true;
    }
}

static bool add_flow(state *s, const flow *of) {
    size_t how, number = make_nodes(s, of, &how);
    node *nodes = s->nodes;
    int64_t values[FOLDED_SUMS] = {0};
    if (!number)
        return false;
    if (nodes[0].place == nodes[number - 1].place)
        choose_all(nodes, number);
    else
        choose(nodes, (uint32_t)number, s->waiting, s->last_of_place);
    for (size_t i = 0; i < number; i++) {
        const node *one = &nodes[i];
        for (size_t value = 0; value < VALUES; value++)
            values[value] += one->is_chosen[value] ? one->value[value] : 0;
        s->j->found->collapsed += one->is_chosen[F_RECORDS] ? 0 : one->value[F_RECORDS];
        int64_t first = FIRST_FROM - one->first;
        values[F_FIRST] = first > values[F_FIRST] ? first : values[F_FIRST];
        values[F_LAST] = one->last > values[F_LAST] ? one->last : values[F_LAST];
        if (s->has_hours || i + 1 == number) {
            if (!add_to_answer(s->j, of, one->hour, values, how))
                return false;
            memset(values, 0, sizeof values);
        }
    }
    return true;
}

/* --- all --- */

static bool init_state(state *s, joining *j) {
    const shape *of = &j->answer->table.of;
    *s = (state){.j = j, .interfaces_known = 1, .interface_room = FIRST_HOMES, .mask = FIRST_FLOWS - 1,
                 .flow_room = FIRST_FLOWS, .node_room = FIRST_NODES,
                 .has_hours = memchr(of->part, HOUR_PART, of->parts) || memchr(of->part, DAY_PART, of->parts)};
    s->interfaces = malloc(s->interface_room * sizeof *s->interfaces);
    s->index = zeroed_room((s->mask + 1) * sizeof *s->index);
    s->flows = malloc(s->flow_room * sizeof *s->flows);
    s->links = malloc((j->folded->rows + 1) * sizeof *s->links);
    s->nodes = malloc(s->node_room * sizeof *s->nodes);
    s->waiting = malloc(s->node_room * sizeof *s->waiting);
    s->last_of_place = malloc(s->node_room * sizeof *s->last_of_place);
    if (!pairs_init(&s->gateways, j->folded->seed) || !s->interfaces || !s->index || !s->flows || !s->links ||
        !s->nodes || !s->waiting || !s->last_of_place)
        return false;
    s->interfaces[0] = (interface){.name = {(const uint8_t *)"-", 1}};
    return true;
}

static void free_state(state *s) {
    free(s->interfaces);
    pairs_free(&s->gateways);
    free_room(s->index, (s->mask + 1) * sizeof *s->index);
    free(s->flows);
    free(s->links);
    free(s->nodes);
    free(s->waiting);
    free(s->last_of_place);
}

bool join_once(joining *j) {
    state s;
    bool fits = init_state(&s, j);
    for (EACH_TEXT(text, j->folded))
        text->note = 0;
    fits = fits && learn(&s) && rank_interfaces(&s) && collect(&s);
    for (EACH_TEXT(text, j->folded))
        text->note = NO_VALUE;
    for (size_t i = 0; fits && i < s.flows_known; i++)
        fits = add_flow(&s, &s.flows[i]);
    free_state(&s);
    return fits;
}
