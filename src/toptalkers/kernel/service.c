/* The service of a record: which of its two ports is the server's. The rule is in docs/questions.md. */
#include "reader.h"

static bool take_side(const reader *r, int number, const uint8_t *base, const uint32_t *at, int32_t *port) {
    *port = ABSENT;
    if (number == ABSENT || is_text(COLUMN(number), "-", 1))
        return true;
    *port = take_port(r, number, COLUMN(number));
    return *port >= 0;
}

enum tally service_of(const reader *r, const uint8_t *base, const uint32_t *at, service *found) {
    const layout *l = &r->now;
    int32_t src, dst;
    if (!take_side(r, l->srcport, base, at, &src) || !take_side(r, l->dstport_any, base, at, &dst))
        return MALFORMED_PORT;
    *found = (service){ABSENT, ABSENT, NO_SIDE};
    if (src == ABSENT || dst == ABSENT) {
        found->service = dst == ABSENT ? src : dst;
        found->side = dst != ABSENT ? DST_SIDE : src != ABSENT ? SRC_SIDE : NO_SIDE;
        return COUNTED;
    }
    int64_t flags = l->flags == ABSENT ? 0 : take_number(r, l->flags, COLUMN(l->flags));
    enum side side = side_of_service((uint32_t)src, (uint32_t)dst, flags);
    if (side == BOTH_SIDES) {
        *found = (service){src, src, BOTH_SIDES};
        return COUNTED;
    }
    bool is_src = side == SRC_SIDE;
    int32_t client = is_src ? dst : src;
    found->service = is_src ? src : dst;
    found->side = (uint8_t)side;
    if (client <= HIGHEST_KNOWN_PORT)
        found->client = client;
    return COUNTED;
}
