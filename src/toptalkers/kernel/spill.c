/* Sums that do not fit into memory, in a file: packed rows, divided into parts by a hash of the talker.
 *
 * All sums of one talker are in the same part, whichever counter wrote them, so that at the end the parts are added up
 * one after the other. Each part is written in segments; the list of its segments is kept in memory. Segments of the
 * current input file are provisional until that file ends.
 */
#include "kernel.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEGMENT_BYTES = 1 << 16 };

/* The same for all counters, since parts must be. */
static const uint64_t PART_SEED = 0x746f7074616c6b65u;

struct spill {
    int fd;
    int64_t end;
    pthread_mutex_t lock;
    segments parts[PARTS];
};

spill *spill_new(int fd) {
    spill *s = calloc(1, sizeof *s);
    if (s) {
        s->fd = fd;
        pthread_mutex_init(&s->lock, NULL);
    }
    return s;
}

void spill_free(spill *s) {
    for (int part = 0; part < PARTS; part++)
        free(s->parts[part].all);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static bool write_all(int fd, const uint8_t *bytes, size_t length, int64_t offset) {
    while (length) {
        ssize_t written = pwrite(fd, bytes, length, offset);
        if (written <= 0)
            return false;
        bytes += written;
        offset += written;
        length -= (size_t)written;
    }
    return true;
}

static bool append(segments *to, segment one) {
    if (to->number == to->room) {
        size_t room = to->room ? 2 * to->room : 16;
        segment *larger = realloc(to->all, room * sizeof *larger);
        if (!larger)
            return false;
        to->all = larger;
        to->room = room;
    }
    to->all[to->number++] = one;
    return true;
}

/* Rows on their way to the disk, at most one segment per part. */
typedef struct {
    uint32_t length[PARTS], rows[PARTS];
    uint8_t bytes[PARTS][SEGMENT_BYTES];
} outgoing;

static bool write_segment(counter *c, spill *s, outgoing *out, int part, bool provisional) {
    segment one = {0, out->length[part], (uint32_t)memory_in_rows(&c->table, out->rows[part]), part};
    if (!one.length)
        return true;
    pthread_mutex_lock(&s->lock);
    one.offset = s->end;
    s->end += one.length;
    bool fits = append(provisional ? &c->provisional : &s->parts[part], one);
    pthread_mutex_unlock(&s->lock);
    out->length[part] = out->rows[part] = 0;
    return fits && write_all(s->fd, out->bytes[part], one.length, one.offset);
}

static bool spill_rows(counter *c, spill *s, outgoing *out, bool provisional) {
    sums *table = &c->table;
    uint8_t packed[LONGEST_ROW];
    for (EACH_ROW(one, table)) {
        bool is_settled = settle(table, one);
        bool is_pending = one->file == table->file;
        if (table->of.is_log) {
            is_pending = (size_t)((uint8_t *)one - table->slots) >= table->file_from * table->row_bytes;
            is_settled = !is_pending;
        }
        if (provisional ? !is_pending : !is_settled)
            continue;
        bool is_apart = provisional && !table->of.is_log;
        size_t length = pack_row(table, one, sums_of(table, one) + (is_apart ? table->of.sums : 0), packed);
        size_t key_length = length - table->of.sums * sizeof(int64_t);
        int part = (int)(hash_bytes(packed, key_length, PART_SEED) % PARTS);
        if (out->length[part] + length > SEGMENT_BYTES && !write_segment(c, s, out, part, provisional))
            return false;
        memcpy(out->bytes[part] + out->length[part], packed, length);
        out->length[part] += (uint32_t)length;
        out->rows[part]++;
    }
    for (int part = 0; part < PARTS; part++) {
        if (!write_segment(c, s, out, part, provisional))
            return false;
    }
    return true;
}

int counter_spill(counter *c, spill *s) {
    outgoing *out = malloc(sizeof *out);
    if (!out)
        return -1;
    memset(out, 0, offsetof(outgoing, bytes));
    c->provisional_in = s;
    bool fits = spill_rows(c, s, out, false) && spill_rows(c, s, out, true);
    free(out);
    sums_clear(&c->table);
    return fits && !c->failed ? 0 : -1;
}

void spill_settle(counter *c, bool counts) {
    spill *s = c->provisional_in;
    if (counts && c->provisional.number) {
        pthread_mutex_lock(&s->lock);
        for (const segment *one = c->provisional.all; one < c->provisional.all + c->provisional.number; one++)
            c->failed |= !append(&s->parts[one->part], *one);
        pthread_mutex_unlock(&s->lock);
    }
    c->provisional.number = 0;
}

int64_t spill_bytes(const spill *s) { return s->end; }

int64_t spill_rows_of_part(const spill *s, int part) {
    int64_t rows = 0;
    for (size_t i = 0; i < s->parts[part].number; i++)
        rows += s->parts[part].all[i].rows;
    return rows;
}

int spill_fetch(spill *s, int part, counter *into) {
    uint8_t *bytes = malloc(SEGMENT_BYTES);
    int result = bytes ? 0 : -1;
    for (size_t i = 0; !result && i < s->parts[part].number; i++) {
        segment *one = &s->parts[part].all[i];
        if (pread(s->fd, bytes, one->length, one->offset) != (ssize_t)one->length)
            result = -1;
        else
            result = counter_add_packed(into, bytes, one->length);
    }
    free(bytes);
    return result;
}
