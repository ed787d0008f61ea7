/* The order of the answer - one sum descending, then the printed key ascending, as bytes - and its lines. */
#include "conversations.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Entries follow each other, of `words` times 8 bytes each. They are sorted by `sorted_bytes`, the first being the least
 * significant, of which the last 8, at `below_at`, are how far the first sum is below the largest number there is.
 *
 * For the recipe's key, the ranks of the whole key come before that, and the other sums come after it. For any other key,
 * entries are a `row_entry`, and those of equal sums are sorted part by part. */
struct ranking {
    counter *c;
    key_order *order;
    uint64_t *entries;
    size_t words, below_at, sorted_bytes;
    size_t number, given, room;
};

enum { ENTRY_WORDS = sizeof(row_entry) / 8 };
_Static_assert(sizeof(row_entry) % 8 == 0, "entries are moved as words");

/* Move a sum down from `at` to its place in a heap whose root is the least. */
static void sift_down(int64_t *heap, size_t held, size_t at, int64_t sum) {
    for (size_t below; (below = 2 * at + 1) < held; at = below) {
        if (below + 1 < held && heap[below + 1] < heap[below])
            below++;
        if (sum <= heap[below])
            break;
        heap[at] = heap[below];
    }
    heap[at] = sum;
}

/* The least sum that may be among the first `top`. */
static int64_t least_of_top(counter *c, size_t top) {
    int64_t *heap = malloc(top * sizeof *heap), least = INT64_MIN;
    size_t held = 0;
    if (!heap)
        return least; /* without memory all are sorted, and cut off later */
    for (EACH_ROW(one, &c->table)) {
        if (!settle(&c->table, one))
            continue;
        int64_t sum = ranking_sum(&c->table, one);
        if (held < top) {
            heap[held++] = sum;
            for (size_t at = held / 2; held == top && at--;)
                sift_down(heap, held, at, heap[at]);
        } else if (sum > heap[0]) {
            sift_down(heap, held, 0, sum);
        }
    }
    if (held == top)
        least = heap[0];
    free(heap);
    return least;
}

/* Move entries to where those with their value of one byte belong. */
static inline void distribute(const uint64_t *from, uint64_t *to, size_t number, size_t words, size_t byte,
                              size_t *start) {
    for (const uint64_t *end = from + number * words; from < end; from += words) {
        uint64_t *at = to + start[((const uint8_t *)from)[byte]]++ * words;
        memcpy(at, from, words * sizeof *at);
    }
}

bool sort_words(uint64_t **entries, size_t room, size_t number, size_t words, size_t sorted_bytes) {
    size_t(*starts)[256] = calloc(sorted_bytes, sizeof *starts);
    uint64_t *from = *entries, *to = zeroed_room(room);
    if (!starts || !to) {
        free(starts);
        free_room(to, room);
        return false;
    }
    for (const uint64_t *entry = from, *end = from + number * words; entry < end; entry += words) {
        for (size_t byte = 0; byte < sorted_bytes; byte++)
            starts[byte][((const uint8_t *)entry)[byte]]++;
    }
    for (size_t byte = 0; byte < sorted_bytes; byte++) {
        size_t *start = starts[byte], before = 0;
        if (start[((const uint8_t *)from)[byte]] == number)
            continue; /* the same in all entries */
        for (int value = 0; value < 256; value++) {
            size_t alike = start[value];
            start[value] = before;
            before += alike;
        }
        if (words == 3) /* those of the default question, known to the compiler */
            distribute(from, to, number, 3, byte, start);
        else
            distribute(from, to, number, words, byte, start);
        uint64_t *sorted = to;
        to = from;
        from = sorted;
    }
    free(starts);
    free_room(to, room);
    *entries = from;
    return true;
}

static void fill_entry(const ranking *r, row *one, uint8_t *to) {
    const sums *table = &r->c->table;
    const int64_t *sum = sums_of(table, one);
    int64_t below = below_largest(table, one);
    memcpy(to + r->below_at, &below, sizeof below);
    if (table->of.is_recipe) {
        rank_recipe(r->order, one, to);
        memcpy(to + r->sorted_bytes, sum + 1, (table->of.sums - 1) * sizeof *sum);
    } else {
        ((row_entry *)(void *)to)->whose = one;
    }
}

void sort_by_rank(row_entry *all, size_t number, row_entry *spare) {
    if (number < 2)
        return;
    size_t half = number / 2, at = 0;
    sort_by_rank(all, half, spare);
    sort_by_rank(all + half, number - half, spare);
    if (all[half - 1].rank <= all[half].rank)
        return;
    memcpy(spare, all, half * sizeof *all);
    for (size_t first = 0, second = half; first < half; at++)
        all[at] = second < number && all[second].rank < spare[first].rank ? all[second++] : spare[first++];
}

void sort_rows(const key_order *order, row_entry *all, size_t number, size_t part, row_entry *spare) {
    if (number < 2 || part == key_parts(order))
        return;
    for (size_t i = 0; i < number; i++)
        all[i].rank = rank_part(order, all[i].whose, part);
    sort_by_rank(all, number, spare);
    sort_equal_ranks(order, all, number, part + 1, spare);
}

void sort_equal_ranks(const key_order *order, row_entry *all, size_t number, size_t part, row_entry *spare) {
    for (size_t from = 0, to; from < number; from = to) {
        for (to = from + 1; to < number && all[to].rank == all[from].rank;)
            to++;
        sort_rows(order, all + from, to - from, part, spare);
    }
}

static bool sort_ties(const ranking *r) {
    row_entry *all = (row_entry *)(void *)r->entries, *spare = malloc((r->number / 2 + 1) * sizeof *spare);
    for (size_t from = 0, to; spare && from < r->number; from = to) {
        for (to = from + 1; to < r->number && all[to].below == all[from].below;)
            to++;
        sort_rows(r->order, all + from, to - from, 0, spare);
    }
    bool fits = spare != NULL;
    free(spare);
    return fits;
}

static bool fill(ranking *r, size_t top) {
    sums *table = &r->c->table;
    int64_t least = top && top < table->rows ? least_of_top(r->c, top) : INT64_MIN;
    size_t entries = 0;
    for (EACH_ROW(one, table))
        entries += settle(table, one) && ranking_sum(table, one) >= least;
    r->room = (entries + 1) * r->words * sizeof *r->entries;
    r->entries = zeroed_room(r->room);
    if (!r->entries)
        return false;
    for (EACH_ROW(one, table)) {
        if (one->state == COUNTED_ONCE && ranking_sum(table, one) >= least)
            fill_entry(r, one, (uint8_t *)(r->entries + r->number++ * r->words));
    }
    bool sorted = sort_words(&r->entries, r->room, r->number, r->words, r->sorted_bytes) && (table->of.is_recipe || sort_ties(r));
    if (top && r->number > top)
        r->number = top;
    return sorted;
}

ranking *ranking_new(counter *c, size_t top) {
    ranking *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->c = c;
    r->order = sums_merge_log(&c->table) ? key_order_new(&c->table) : NULL;
    bool is_recipe = c->table.of.is_recipe;
    r->below_at = is_recipe ? (size_t)RECIPE_RANK_BYTES : offsetof(row_entry, below);
    r->sorted_bytes = r->below_at + sizeof(int64_t);
    r->words = is_recipe ? (r->below_at + c->table.of.sums * sizeof(int64_t) + 7) / 8 : (size_t)ENTRY_WORDS;
    if (!r->order || !fill(r, top)) {
        ranking_free(r);
        return NULL;
    }
    return r;
}

void ranking_free(ranking *r) {
    free_room(r->entries, r->room);
    key_order_free(r->order);
    free(r);
}

static uint8_t *print_sum(const shape *of, size_t number, int64_t sum, uint8_t *to) {
    *to++ = '\t';
    if (of->sum[number] == HOW) {
        const char *how = HOW_TEXTS[sum ? sum - 1 : BY_NOTHING];
        memcpy(to, how, strlen(how));
        return to + strlen(how);
    }
    return of->sum[number] == ADDED ? print_number(to, (uint64_t)sum) : print_time(to, as_kept(of, number, sum));
}

static uint8_t *print_entry(const ranking *r, const uint8_t *from, uint8_t *to) {
    const sums *table = &r->c->table;
    if (!table->of.is_recipe) {
        row *one = ((const row_entry *)(const void *)from)->whose;
        to = print_key(table, one, to);
        for (size_t i = 0; i < table->of.sums; i++)
            to = print_sum(&table->of, i, sums_of(table, one)[i], to);
        return to;
    }
    to = print_recipe(r->order, from, to);
    for (size_t i = 0; i < table->of.sums; i++) {
        int64_t sum;
        memcpy(&sum, from + r->below_at + i * sizeof sum, sizeof sum);
        to = print_sum(&table->of, i, i ? sum : as_kept(&table->of, 0, INT64_MAX - sum), to);
    }
    return to;
}

size_t ranking_read(ranking *r, uint8_t *room, size_t length) {
    uint8_t *to = room;
    for (; r->given < r->number && length - (size_t)(to - room) >= LONGEST_TALKER_LINE; r->given++) {
        to = print_entry(r, (const uint8_t *)(r->entries + r->given * r->words), to);
        *to++ = '\n';
    }
    return (size_t)(to - room);
}

/* --- rankings on the disk --- */

enum { MERGE_BYTES = 1 << 16 };

typedef struct {
    int64_t next, end; /* the part that is still on the disk */
    uint8_t *bytes, *line, *stop; /* the part in memory: its beginning, the next line, its end */
    size_t length, key_length; /* of the next line; 0 at the end */
    uint64_t sum; /* the first */
} run;

struct merge {
    int fd;
    run *runs;
    size_t columns; /* before the first sum */
    size_t number;  /* a heap by the order of the answer */
    size_t left;   /* how many lines may still be given */
};

/* Take the next line of a run; false when it cannot be read. */
static bool advance(merge *m, run *one) {
    one->line += one->length;
    one->length = 0;
    uint8_t *end = memchr(one->line, '\n', (size_t)(one->stop - one->line));
    if (!end && one->next < one->end) {
        size_t kept = (size_t)(one->stop - one->line);
        memmove(one->bytes, one->line, kept);
        size_t wanted = MERGE_BYTES - kept;
        if ((int64_t)wanted > one->end - one->next)
            wanted = (size_t)(one->end - one->next);
        if (pread(m->fd, one->bytes + kept, wanted, one->next) != (ssize_t)wanted)
            return false;
        one->next += (int64_t)wanted;
        one->line = one->bytes;
        one->stop = one->bytes + kept + wanted;
        end = memchr(one->line, '\n', (size_t)(one->stop - one->line));
    }
    if (!end)
        return one->line == one->stop;
    const uint8_t *sum = one->line;
    for (size_t i = 0; i < m->columns; i++) {
        const uint8_t *tab = memchr(sum, '\t', (size_t)(end - sum));
        if (!tab)
            return false;
        sum = tab + 1;
    }
    one->sum = 0;
    for (const uint8_t *digit = sum; digit < end && *digit != '\t'; digit++) {
        if ((uint8_t)(*digit - '0') < 10) /* of a time, only the digits */
            one->sum = one->sum * 10 + (uint64_t)(*digit - '0');
    }
    one->key_length = (size_t)(sum - one->line); /* with the last tab, which comes before any other byte */
    one->length = (size_t)(end + 1 - one->line);
    return true;
}

static bool is_before(const run *a, const run *b) {
    if (a->sum != b->sum)
        return a->sum > b->sum;
    size_t shorter = a->key_length < b->key_length ? a->key_length : b->key_length;
    return memcmp(a->line, b->line, shorter) < 0;
}

static void settle_run(merge *m, size_t at) {
    run one = m->runs[at];
    for (size_t below; (below = 2 * at + 1) < m->number; at = below) {
        if (below + 1 < m->number && is_before(&m->runs[below + 1], &m->runs[below]))
            below++;
        if (is_before(&one, &m->runs[below]))
            break;
        m->runs[at] = m->runs[below];
    }
    m->runs[at] = one;
}

merge *merge_new(int fd, const int64_t *starts, const int64_t *ends, size_t rankings, size_t columns, size_t top) {
    merge *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->fd = fd;
    m->columns = columns;
    m->left = top ? top : SIZE_MAX;
    m->runs = calloc(rankings, sizeof *m->runs);
    bool fits = m->runs;
    for (size_t i = 0; fits && i < rankings; i++) {
        run *one = &m->runs[m->number++];
        one->bytes = one->line = one->stop = malloc(MERGE_BYTES);
        one->next = starts[i];
        one->end = ends[i];
        fits = one->bytes && advance(m, one);
        if (fits && !one->length)
            free(m->runs[--m->number].bytes);
    }
    if (!fits) {
        merge_free(m);
        return NULL;
    }
    for (size_t at = m->number / 2; at--;)
        settle_run(m, at);
    return m;
}

void merge_free(merge *m) {
    for (size_t i = 0; i < m->number; i++)
        free(m->runs[i].bytes);
    free(m->runs);
    free(m);
}

int64_t merge_read(merge *m, uint8_t *room, size_t length) {
    uint8_t *to = room;
    for (; m->number && m->left; m->left--) {
        run *first = &m->runs[0];
        if (length - (size_t)(to - room) < first->length)
            break;
        memcpy(to, first->line, first->length);
        to += first->length;
        if (!advance(m, first))
            return -1;
        if (!first->length) {
            free(first->bytes);
            m->runs[0] = m->runs[--m->number];
        }
        if (m->number)
            settle_run(m, 0);
    }
    return to - room;
}
