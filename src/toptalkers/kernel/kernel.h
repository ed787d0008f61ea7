/* The counting kernel of the local engine: flow-log lines in, ranked talkers out.
 *
 * The way through it: records.c reads lines by the rules of job/count_flows.py and adds what counts to
 * sums.c, the table of talkers; spill.c puts sums that are more than memory holds on the disk and fetches them
 * back; ranking.c orders talkers and prints them. Python (kernel/door.py) drives it through the functions that
 * are declared last in this file, and keeps the files, threads and bounds.
 *
 * Plain C11, no library but the C library, no state but what hangs on a counter: one thread a counter, and any
 * number of counters. A function that can run out of memory or disk gives -1 or NULL, and the caller gives up
 * the whole answer.
 */
#ifndef TOPTALKERS_KERNEL_H
#define TOPTALKERS_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is counted of a file, in the order of Tally and of count_flows.REASONS. */
enum tally {
    RECORDS_READ, COUNTED,
    NODATA, SKIPDATA, ACTION, TIME, PORTS,
    MALFORMED_COLUMNS, MALFORMED_STATUS, MALFORMED_ACTION, MALFORMED_NUMBER, MALFORMED_PORT, MALFORMED_ADDRESS,
    TALLIES
};

enum { PARTS = 256, LONGEST_ADDRESS = 45, LONGEST_TALKER_LINE = 2 * (LONGEST_ADDRESS + 2) + 32 };

/* An address as a talker holds it: an IPv4 address is its 32 bits. Any other keeps its text, as it was logged,
 * and is the number under which the counter knows that text. */
enum { SRC_IS_TEXT = 1, DST_IS_TEXT = 2 };

typedef struct {
    uint32_t src, dst;
    uint16_t port;
    uint8_t kinds;
} talker;

/* The sum of one talker. What the file that is being read adds waits in `pending` until the file has come to its
 * end, since a file counts whole or not at all. */
typedef struct {
    uint32_t src, dst;
    uint16_t port;
    uint8_t kinds;
    uint8_t state; /* FREE; USED; COUNTED_ONCE when a whole file has counted it */
    uint32_t file; /* which file `pending` belongs to; 0 for none */
    int64_t sum, pending;
} talker_sum;

enum { FREE = 0, USED = 1, COUNTED_ONCE = 2 };

typedef struct {
    uint64_t hash;
    uint8_t length;
    uint8_t text[LONGEST_ADDRESS];
} text_address;

enum { WAITING = 16 };

typedef struct {
    talker whose;
    int64_t value;
} waiting_sum;

typedef struct {
    talker_sum *slots;
    size_t mask; /* number of slots, a power of two, less one */
    size_t rows;
    uint32_t file; /* the file that is being read, from 1 */
    uint64_t seed; /* random, so that no traffic can be made up to collide */
    text_address *addresses;
    size_t addresses_known, addresses_room;
    uint32_t *address_slots; /* number of an address + 1, by its hash; 0 is free */
    size_t address_mask;
    waiting_sum waiting[WAITING]; /* a ring of what is added soon */
    size_t waits;
} sums;

void *zeroed_room(size_t bytes);
void free_room(void *room, size_t bytes);

bool sums_init(sums *table, uint64_t seed);
void sums_free(sums *table);
void sums_clear(sums *table);
/* Find a talker's sum, made when there is none; NULL without memory. */
talker_sum *sums_of(sums *table, talker whose);
/* Add to a sum on behalf of the file that is being read; false without memory. */
bool sums_add(sums *table, talker whose, int64_t value);
/* The same, some talkers later, when the sum's place has come from memory; and what still waits. */
bool sums_add_soon(sums *table, talker whose, int64_t value);
bool sums_add_waiting(sums *table);
/* The number of an address that is known by its text, which is valid; -1 without memory. */
int64_t sums_address(sums *table, const uint8_t *text, size_t length, uint64_t hash);
/* The same, but -1 when it is not known. */
int64_t sums_known_address(const sums *table, const uint8_t *text, size_t length, uint64_t hash);
uint64_t hash_bytes(const uint8_t *bytes, size_t length, uint64_t seed);
/* The file that was read counts, or does not; what follows is the next. */
void sums_end_file(sums *table, bool counts);
/* Make `sum` right, and say whether a whole file has counted this talker at all. */
bool settle(const sums *table, talker_sum *one);

/* Rows, as they lie in the spill file and in the cache: packed talkers with their sums. */
enum { LONGEST_ROW = 1 + 2 * (1 + LONGEST_ADDRESS) + 2 + 8 };
size_t pack_row(const sums *table, const talker_sum *one, int64_t value, uint8_t *row);

/* Whether a text is an address that talkers hold as text. */
bool is_text_address(const uint8_t *text, size_t length);

/* --- for Python --- */

/* What a misfit looks like: the first line that does not fit, as much of it as tells, and the layout it is in. */
enum { SHOWN_BYTES = 1024, SHOWN_FIELDS = 2048 };

typedef struct {
    int32_t is_odd;    /* whether the line is a sound record, with something odd in a telling column */
    int32_t by_header; /* whether a header set the layout */
    int32_t length;    /* of what is shown of the line */
    int32_t columns;   /* of the layout */
    uint8_t line[SHOWN_BYTES];
    char fields[SHOWN_FIELDS]; /* the layout's, separated by spaces; cut where there is no room */
} misfit;

typedef struct counter counter;
typedef struct spill spill;
typedef struct ranking ranking;

typedef struct {
    const char *fields;     /* all known field names, separated by spaces */
    const char *headerless; /* the columns of lines that have no header before them, likewise */
    const uint8_t *ports;   /* for each of 65,536 ports whether it is wanted */
    const char *action;     /* NULL for any */
    const char *metric;     /* the field that is summed; NULL to count records */
    int64_t since, until;   /* record start in [since, until) */
    int32_t timed;          /* whether those two are asked for */
    uint64_t seed;
} question;

counter *counter_new(const question *asked);
void counter_free(counter *c);
/* Count the lines in a piece of a file; a line may go on in the next piece. */
int counter_feed(counter *c, const uint8_t *data, size_t length);
/* End a file: count its last line, and write its tally. Then it has to be kept or dropped. */
int counter_end_lines(counter *c, int64_t tally[TALLIES]);
/* After that: whether the file's lines do not fit their layout, and then what the first of them is. */
int counter_misfit(const counter *c, misfit *found);
/* What all counted values add up to; -1 when that is more than a sum can hold, and the sums are wrong. */
int64_t counter_total(const counter *c);
void counter_end_file(counter *c, int counts);
/* How many sums and texts it holds, for the bound of memory. */
size_t counter_rows(const counter *c);
/* How many talkers whole files have counted. */
size_t counter_talkers(counter *c);
void counter_clear(counter *c);
/* Take over another counter's sums; the other is empty then. */
int counter_absorb(counter *into, counter *from);
/* All sums as packed rows: first the room they need, then into `room`. */
size_t counter_packed_bytes(counter *c);
void counter_pack(counter *c, uint8_t *room);
/* Whether bytes are packed rows of addresses and of sums that add up to what a sum can hold. */
int is_packed(const uint8_t *rows, size_t length);
/* Add packed rows, which must be sound. */
int counter_add_packed(counter *c, const uint8_t *rows, size_t length);

spill *spill_new(int fd);
void spill_free(spill *s);
/* Move all sums of a counter to the disk. -1: errno says what the disk says. */
int counter_spill(counter *c, spill *s);
int64_t spill_bytes(const spill *s);
int64_t spill_rows_of_part(const spill *s, int part);
/* Fetch a part's sums back into a counter. */
int spill_fetch(spill *s, int part, counter *into);

/* The order of the answer; `top` of 0 for all. The counter must not change before ranking_free. */
ranking *ranking_new(counter *c, size_t top);
void ranking_free(ranking *r);
/* Print the next lines, whole ones only; 0 at the end. */
size_t ranking_read(ranking *r, uint8_t *room, size_t length);

/* Printed rankings, in one file one after the other, merged into one. */
typedef struct merge merge;
merge *merge_new(int fd, const int64_t *starts, const int64_t *ends, size_t rankings, size_t top);
void merge_free(merge *m);
/* The next lines, whole ones only; 0 at the end, -1 when the disk does not give them back. */
int64_t merge_read(merge *m, uint8_t *room, size_t length);

/* For records.c and spill.c. */
struct counter {
    sums table;
    int64_t tally[TALLIES];
    bool failed; /* no memory */
    int64_t total, total_before; /* of the values that count; before this file, -1 for too large */
    bool is_too_large; /* the values add up to more than a sum can hold: the sums are wrong */
    struct segment *provisional; /* spilled of the file that is being read */
    size_t provisional_number, provisional_room;
    spill *provisional_in;
    struct reader *reader;
};

void spill_settle(counter *c, bool counts);
/* Add to a sum, and to the total, or note that it is too large; false without memory. */
bool counter_add(counter *c, talker whose, int64_t value);

#endif
