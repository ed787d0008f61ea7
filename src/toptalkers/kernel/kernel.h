/* The counting kernel of the local engine: flow-log lines in, ranked talkers out.
 *
 * lines.c finds lines and columns, rules.c applies the rules of job/count_flows.py, misfits.c notes lines that do not
 * fit their layout. What counts is added to sums.c, the table of talkers. spill.c moves sums that do not fit into
 * memory to the disk and back. keys.c reads the parts of a talker's key, and packs them; addresses.c reads addresses.
 * order.c has the order of printed keys, and ranking.c orders talkers and prints them; mapper.c prints them in no order,
 * for a cluster to add up. where.c evaluates `--where`, service.c finds the port of the service, and columns.c reads
 * records that come in columns. conversations.c has the stages from records to conversations, endpoints.c finds servers,
 * and flows.c counts once what was seen twice. notes.c keeps what is noted of a file beside its sums. distinct.c adds up
 * the lines of an answer by names, and blocks.c the lines of a cluster's shuffle.
 * Python (kernel/door.py, answer/compiled_columns.py, and job/node_kernel.py on a cluster's nodes) calls the functions
 * that are declared last in this file, and keeps the files, threads and bounds.
 *
 * Plain C11, no library but the C library, no state outside of a counter. One thread per counter, and any number of
 * counters. A function that runs out of memory or disk returns -1, NULL or false, and the caller gives up the whole
 * answer.
 */
#ifndef TOPTALKERS_KERNEL_H
#define TOPTALKERS_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "ranks are sorted byte by byte, the least significant first"
#endif

/* Functions that Python does not call are hidden: they are called directly, and may be inlined. */
#pragma GCC visibility push(hidden)

/* What is counted of a file, in the order of Tally and of count_flows.REASONS. */
enum tally {
    RECORDS_READ, COUNTED,
    NODATA, SKIPDATA, ACTION, TIME, PORTS, WHERE,
    MALFORMED_COLUMNS, MALFORMED_STATUS, MALFORMED_ACTION, MALFORMED_NUMBER, MALFORMED_PORT, MALFORMED_ADDRESS, MALFORMED_TEXT,
    TALLIES
};

enum { PARTS = 256 }; /* into which spilled sums are divided */

/* A key has up to so many parts, which are the columns of an answer, and a talker up to so many sums. */
enum { LONGEST_KEY = 16, MOST_SUMS = 10 };

enum {
    LONGEST_ADDRESS = 45,
    LONGEST_TEXT = 1024,
    LONGEST_NUMBER = 20, /* also of a time */
    LONGEST_TALKER_LINE = LONGEST_KEY * (LONGEST_TEXT + 1) + MOST_SUMS * (LONGEST_NUMBER + 1)
};

/* How a part of a key is read, ordered and printed. Parts that are known by a number are listed after what the number
 * is. Whatever else they can be is the number of a text. */
enum part {
    /* an IPv4 address */
    ADDRESS_PART, LESSER_PART, GREATER_PART, /* the last two: the addresses of `pair`, neighbours in the key */
    NETWORK_PART,
    /* the number itself */
    PORT_PART, PROTOCOL_PART, NUMBER_PART, SERVICE_PART, CLIENT_PART,
    SIDE_PART, /* enum side in reader.h */
    /* minutes since 1970 */
    MINUTE_PART, HOUR_PART, DAY_PART,
    /* none */
    TEXT_PART
};

/* How a sum is made of values. FIRST is the largest of FIRST_FROM - value, so that 0 is where all sums begin. HOW is the
 * largest number of a rule, from 1, and is printed as its name. */
enum sum { ADDED, FIRST, LAST, HOW };
static const int64_t FIRST_FROM = (int64_t)1 << 40;

/* The parts of one talker's key, each as a number (enum part), or the number under which the counter knows its text:
 * NO_VALUE for `-`, which it does not keep. */
typedef struct {
    uint32_t part[LONGEST_KEY];
    uint32_t texts; /* a bit per part: whether it is the number of a text */
} talker;

#define NO_VALUE UINT32_MAX

#ifndef FILE_BITS
#define FILE_BITS 14 /* tests build with fewer */
#endif

/* A row of the table: a talker, and after its parts, at `sums_at`, its sums and as many pending sums. What the
 * current file adds is pending until the file ends, since a file counts whole or not at all. The rows of a log have no
 * pending sums: those of the current file are the last ones. */
typedef struct {
    uint32_t state : 2; /* FREE; USED; COUNTED_ONCE when a whole file has counted it */
    uint32_t texts : LONGEST_KEY;
    uint32_t file : FILE_BITS; /* the file that the pending sums belong to; 0 for none */
    uint32_t part[];
} row;

enum { FREE = 0, USED = 1, COUNTED_ONCE = 2 };

/* A text that is the value of parts. Its number is where it is in the room of texts, in words of 8 bytes. */
typedef struct {
    uint64_t hash;
    uint32_t note; /* its rank, while keys are ordered; its number in another table, while that absorbs this one */
    uint16_t length;
    uint8_t was_found; /* a bit for each of these: whether it was found to be one */
    uint8_t bytes[];
} kept_text;

enum { AN_IPV6_ADDRESS = 1, A_SOUND_TEXT = 2 };

enum { WAITING = 16 };

typedef struct {
    talker whose;
    uint64_t hash;
    int64_t values[MOST_SUMS];
} waiting_sum;

/* What a row holds: the key's parts, and so many sums. */
typedef struct {
    uint32_t parts, sums;
    bool is_recipe; /* whether the key is the recipe's, which has functions of its own, and no `-` */
    bool is_log;    /* whether a row is added for each record, because hardly any two are alike */
    uint8_t part[LONGEST_KEY]; /* enum part */
    uint8_t bits[2][LONGEST_KEY]; /* the lengths of networks, of IPv4 and of IPv6 */
    uint8_t sum[MOST_SUMS]; /* enum sum */
    uint32_t largest; /* a bit per sum: whether it is the largest of its values; others are what they add up to */
    uint32_t ranked;  /* the number of the sum by which rows rank; 0 for the recipe's key */
} shape;

/* The networks of some IPv6 addresses, by a hash. */
enum { NETWORKS_KEPT = 1 << 10 };

typedef struct {
    uint32_t number; /* of the network's text */
    uint8_t length, address[LONGEST_ADDRESS];
} known_network;

typedef struct {
    shape of;
    size_t row_bytes, sums_at;
    /* The recipe's rows, which are small, are in slots by their hash. Any other rows follow each other, and each slot of an
     * index has the upper half of a hash and the number of a row + 1, or 0. */
    uint8_t *slots;
    uint64_t *index; /* NULL for the recipe's; of a log, it has nothing */
    size_t mask; /* number of slots, a power of two, less one */
    size_t rows, room; /* there is room for so many rows that follow each other */
    size_t file_from;  /* of a log: the first row of the current file */
    uint32_t file; /* the number of the current file, from 1 */
    uint64_t seed; /* random, so that nobody can make up traffic that collides */
    uint64_t *texts;
    size_t texts_known, text_words, text_room; /* the last two in words */
    uint32_t *text_slots; /* number of a text + 1, by its hash; 0 is free */
    size_t text_mask;
    uint32_t last_text[LONGEST_KEY];      /* the number of a part's last text; NO_VALUE for none */
    known_network *networks[LONGEST_KEY]; /* NETWORKS_KEPT for each part that is a network */
    waiting_sum waiting[WAITING]; /* a ring of what is added soon */
    size_t waits;
} sums;

static inline kept_text *text_at(const sums *table, uint32_t number) { return (kept_text *)(void *)(table->texts + number); }

static inline uint32_t number_of(const sums *table, const kept_text *one) {
    return (uint32_t)((const uint64_t *)(const void *)one - table->texts);
}

static inline size_t text_words(size_t length) { return (offsetof(kept_text, bytes) + length + 7) / 8; }

/* All texts, one after the other. */
#define EACH_TEXT(one, table)                                                                                         \
    kept_text *one = text_at(table, 0); number_of(table, one) < (table)->text_words;                                       \
    one = text_at(table, number_of(table, one) + (uint32_t)text_words(one->length))

/* A sum's value from what is kept, or the other way round. */
static inline int64_t as_kept(const shape *of, size_t sum, int64_t value) {
    return of->sum[sum] == FIRST ? FIRST_FROM - value : value;
}

static inline int64_t *sums_of(const sums *table, row *one) {
    return (int64_t *)(void *)((uint8_t *)one + table->sums_at);
}

static inline row *next_used(const sums *table, uint8_t *from) {
    size_t rows = table->index ? table->rows : table->mask + 1;
    for (uint8_t *end = table->slots + rows * table->row_bytes; from < end; from += table->row_bytes) {
        if (((row *)(void *)from)->state != FREE)
            return (row *)(void *)from;
    }
    return NULL;
}

/* All rows in use, one after the other. */
#define EACH_ROW(one, table) \
    row *one = next_used(table, (table)->slots); one; one = next_used(table, (uint8_t *)one + (table)->row_bytes)

static inline void add_value(const sums *table, size_t number, int64_t *sum, int64_t value) {
    if (!(table->of.largest >> number & 1))
        *sum += value;
    else if (*sum < value)
        *sum = value;
}

/* Add pending sums of an earlier file. Returns whether a whole file has counted this talker. */
static inline bool settle(const sums *table, row *one) {
    if (one->file && one->file != table->file) {
        int64_t *sum = sums_of(table, one), *pending = sum + table->of.sums;
        for (size_t i = 0; i < table->of.sums; i++) {
            add_value(table, i, &sum[i], pending[i]);
            pending[i] = 0;
        }
        one->file = 0;
        one->state = COUNTED_ONCE;
    }
    return one->state == COUNTED_ONCE;
}

static inline uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

void *zeroed_room(size_t bytes);
void free_room(void *room, size_t bytes);

bool sums_init(sums *table, uint64_t seed, const shape *of);
void sums_free(sums *table);
void sums_clear(sums *table);
/* Add to a talker's sums on behalf of the current file, some talkers later, when its row has come from memory. */
bool sums_add_soon(sums *table, const talker *whose, const int64_t *values);
/* Add what still waits. */
bool sums_add_waiting(sums *table);
/* A text, kept until the table is cleared; NULL without memory. */
kept_text *sums_text(sums *table, const uint8_t *bytes, size_t length);
/* The same, but NULL when it is not known. */
kept_text *sums_known_text(const sums *table, const uint8_t *bytes, size_t length);
uint64_t hash_bytes(const uint8_t *bytes, size_t length, uint64_t seed);
/* How many rows of the default question take as much memory as so many of a table. */
size_t memory_in_rows(const sums *table, size_t rows);
/* Forget what the index has, and give it room for all rows, so that they can be found in it. */
bool sums_clear_index(sums *table);
/* Make one row of those of a log that are alike. */
bool sums_merge_log(sums *table);
/* The current file counts, or does not; the next file begins. */
void sums_end_file(sums *table, bool counts);

/* Packed rows, in the spill file and in the cache: the key, then 8 bytes per sum. */
enum { LONGEST_ROW = 2 + LONGEST_KEY * (2 + LONGEST_TEXT) + MOST_SUMS * 8 };
size_t pack_row(const sums *table, const row *one, const int64_t *values, uint8_t *to);
/* Read a packed row into a talker and values, or only check its key when `whose` is NULL. Returns where the row ends;
 * NULL when the bytes are no row, or without memory. */
const uint8_t *unpack_row(sums *table, const uint8_t *from, const uint8_t *end, talker *whose, int64_t *values);

/* The order of printed keys. The table must not change. */
typedef struct key_order key_order;
key_order *key_order_new(const sums *table);
void key_order_free(key_order *order);
/* The recipe's keys compare as their ranks do, the last byte being the most significant, and are printed from them. */
enum { RECIPE_RANK_BYTES = 12 };
void rank_recipe(const key_order *order, const row *one, uint8_t *ranks);
uint8_t *print_recipe(const key_order *order, const uint8_t *ranks, uint8_t *to);
/* Other keys compare as the ranks of their parts do, one after the other. */
uint64_t rank_part(const key_order *order, const row *one, size_t part);
uint64_t rank_ipv4(const key_order *order, uint32_t address);
uint64_t rank_other_address(const key_order *order, const kept_text *address);
size_t key_parts(const key_order *order);
uint8_t *print_key(const sums *table, const row *one, uint8_t *to);
uint8_t *print_ipv4(uint8_t *to, uint32_t address);
/* The number that a text is. */
int64_t number_of_text(const kept_text *text);

/* The sum by which a row ranks, and how far that is below the largest number there is. */
static inline int64_t ranking_sum(const sums *table, row *one) {
    return as_kept(&table->of, table->of.ranked, sums_of(table, one)[table->of.ranked]);
}
static inline int64_t below_largest(const sums *table, row *one) { return INT64_MAX - ranking_sum(table, one); }

/* A row while it is sorted. */
typedef struct {
    int64_t below;
    uint64_t rank; /* of a part of the key */
    row *whose;
} row_entry;

/* Sort entries of so many words by their first bytes, the last of which is the most significant. They are moved to
 * other room of as many bytes. False without memory. */
bool sort_words(uint64_t **entries, size_t room, size_t number, size_t words, size_t sorted_bytes);
/* Sort entries by their rank; `spare` has room for half of them. */
void sort_by_rank(row_entry *all, size_t number, row_entry *spare);
/* Sort entries whose keys are equal before a part by the rest of their keys. */
void sort_rows(const key_order *order, row_entry *all, size_t number, size_t part, row_entry *spare);
/* The same of those of equal rank, in entries that are sorted by rank. */
void sort_equal_ranks(const key_order *order, row_entry *all, size_t number, size_t part, row_entry *spare);

/* `2026-11-23T18:00:00Z`. */
uint8_t *print_time(uint8_t *to, int64_t seconds);

static inline uint8_t *print_number(uint8_t *to, uint64_t number) {
    uint8_t digits[LONGEST_NUMBER];
    int n = 0;
    do
        digits[n++] = (uint8_t)('0' + number % 10);
    while (number /= 10);
    while (n)
        *to++ = digits[--n];
    return to;
}

#pragma GCC visibility pop

/* --- for Python --- */

/* The first line that does not fit, its beginning only, and its layout. */
enum { SHOWN_BYTES = 1024, SHOWN_FIELDS = 2048 };

typedef struct {
    int32_t is_odd;    /* whether the line is a sound record, with something odd in a telling column */
    int32_t by_header; /* whether a header set the layout */
    int32_t length;    /* of `line` */
    int32_t columns;   /* of the layout */
    uint8_t line[SHOWN_BYTES];
    char fields[SHOWN_FIELDS]; /* the layout's, separated by spaces; cut where there is no room */
} misfit;

typedef struct counter counter;
typedef struct spill spill;
typedef struct ranking ranking;

/* Lists of names are separated by spaces. */
typedef struct {
    const char *fields;     /* all known field names */
    const char *headerless; /* the columns of lines that have no header before them */
    const char *key;        /* the parts that make a talker, as KIND:FIELD (keys.c); NULL for the recipe's */
    int32_t is_log;         /* whether hardly any two records are alike; it changes no answer */
    size_t key_needs;       /* how many of these, the first ones, a layout must have; the recipe's key needs all */
    const char *sums;       /* the fields that are summed; `records` counts records; of `start` the least is kept, of
                               `end` the largest, and so of `how`, which no record has */
    int32_t ranked;         /* the number of the sum by which the answer is ordered */
    const uint8_t *ports;   /* for each of 65,536 destination ports whether it is wanted */
    const char *action;     /* NULL for any */
    int64_t since, until;   /* record start in [since, until); INT64_MIN and INT64_MAX for any */
    const char *where;      /* the program of `--where`; NULL for none */
    const char *where_fields; /* its fields, in its order, each KIND:FIELD; see where.c */
    uint64_t seed;
} question;

/* NULL without memory; or, with EINVAL in errno, for a question that it cannot answer: another action than ACCEPT and
 * REJECT, no key or a longer one, a part that it does not know, no sums or more, or no program in `where`. */
counter *counter_new(const question *asked);
void counter_free(counter *c);
/* Count the lines in a piece of a file; a line may go on in the next piece. */
int counter_feed(counter *c, const uint8_t *data, size_t length);
/* How the values of a column are stored, as Arrow has them. */
enum storage { MISSING, INT_32, INT_64, TEXTS, DICTIONARY };

/* A column of some records; kernel/columns.py describes it. */
typedef struct {
    int32_t storage;
    int64_t offset;
    const void *values;
    const uint8_t *valid; /* NULL when all rows have a value */
    const int32_t *offsets;
    const uint8_t *texts;
    int64_t texts_length;
} column_data;

/* Begin a file, or a part of one, whose records come in columns. They are named as in a header line; `records`, if it is
 * there, says for how many records a row counts. */
int counter_begin_columns(counter *c, const char *names);
/* Count rows of these columns. -1: errno is EINVAL for another number of columns. */
int counter_feed_columns(counter *c, const column_data *columns, size_t number, size_t rows);
/* End a file: count its last line, and write its tally. Then it has to be kept or dropped. */
int counter_end_lines(counter *c, int64_t tally[TALLIES]);
/* After that: whether the file's lines do not fit their layout, and if so the first that does not. */
int counter_misfit(const counter *c, misfit *found);
/* Write what each of MOST_SUMS sums comes to over all talkers, 0 for times. Returns the largest; -1 when one is more than a sum can hold,
 * and the sums are wrong. */
int64_t counter_totals(const counter *c, int64_t *of_each);
/* Also after counter_end_lines: the hours, in seconds since 1970 and in any order, in which records of the file start
 * that count. Returns their number; with `room` of NULL, that is all it does. 0 if the starts are not known, or are in
 * too many hours to tell. */
size_t counter_hours(const counter *c, int64_t *room);
/* The same of the interfaces of the file's records with the log status SKIPDATA: each name, `-` if it is not known, a
 * space, the number of records, and a space. Returns how many bytes that takes. */
size_t counter_skipping(const counter *c, uint8_t *room);
void counter_end_file(counter *c, int counts);
/* How much it holds, for the bound of memory, in rows of the default question. */
size_t counter_rows(const counter *c);
/* How many talkers whole files have counted; SIZE_MAX without memory. */
size_t counter_talkers(counter *c);
void counter_clear(counter *c);
/* Take over the sums of another counter of the same question; the other is empty then. */
int counter_absorb(counter *into, counter *from);
/* Write all sums as packed rows. Returns how many bytes they take; with `room` of NULL, that is all it does. */
size_t counter_pack(counter *c, uint8_t *room);
/* Whether bytes are packed rows of the counter's shape, whose values add up to no more than a sum can hold. */
int counter_is_packed(counter *c, const uint8_t *rows, size_t length);
/* Add packed rows, which must be sound. */
int counter_add_packed(counter *c, const uint8_t *rows, size_t length);

spill *spill_new(int fd);
void spill_free(spill *s);
/* Move all sums of a counter to the disk. -1: errno is the disk's. */
int counter_spill(counter *c, spill *s);
int64_t spill_bytes(const spill *s);
/* How much memory a part takes at most, in rows of the default question. */
int64_t spill_rows_of_part(const spill *s, int part);
/* Fetch a part's sums back into a counter. */
int spill_fetch(spill *s, int part, counter *into);

/* The order of the answer: by the first sum, descending, then by the printed key; `top` of 0 for all. The counter must
 * not change before ranking_free. */
ranking *ranking_new(counter *c, size_t top);
void ranking_free(ranking *r);
/* Print the next lines, whole ones only: the key's parts, separated by tabs, or the recipe's by colons, then a tab
 * before each sum. 0 at the end. */
size_t ranking_read(ranking *r, uint8_t *room, size_t length);

/* Print all rows that whole files have counted, in no order: a key as `ranking_read` prints it, and after a tab each its
 * sums, times in seconds since 1970. A single sum that adds up has `LongValueSum:` before its key. Whole lines only; `at`
 * is 0 before the first call, and the counter must not change before the last. Returns how many bytes were printed: 0 at
 * the end, -1 without memory. There must be room for 32 KiB. */
int64_t counter_print(counter *c, size_t *at, uint8_t *room, size_t length);

/* Printed rankings, in one file one after the other, merged into one. Before the first sum, a line has so many columns
 * that end with a tab. */
typedef struct merge merge;
merge *merge_new(int fd, const int64_t *starts, const int64_t *ends, size_t rankings, size_t columns, size_t top);
void merge_free(merge *m);
/* The next lines, whole ones only; 0 at the end, -1 when they cannot be read. */
int64_t merge_read(merge *m, uint8_t *room, size_t length);

/* All rows that whole files have counted, in columns, sorted by the first four parts of the key; those that are equal
 * there are in the order of the answer. Not of the recipe's key, of networks or sides. Groups have `most` rows, the last one
 * what is left. Columns are the parts of the key, then the sums: times are INT_64 milliseconds since 1970, other sums
 * INT_64, numbers INT_32, texts DICTIONARY. NULL without memory; or, with ERANGE in errno, if a number has more bits.
 * The counter must not change before export_free. */
typedef struct export export;
export *export_new(counter *c, size_t most);
void export_free(export *e);
/* Make the next group, in the room of the one before. Returns the number of its rows: 0 at the end, -1 without memory. */
int64_t export_next(export *e, column_data *columns);

/* What was found of records on their way to conversations: how many are what. */
typedef struct {
    int64_t malformed_address, malformed_port, malformed_number, ports, copies, collapsed, relayed;
    int64_t oriented[4]; /* by the rule that found the server; copies are in none */
    int64_t without_flags;            /* of TCP; no copies */
    int64_t without_packet_addresses; /* no copies, and no rows of digests */
} findings;

/* Add the records of a counter with the key RECORD_KEY to one with FOLDED_KEY and the sums of digests
 * (question/conversations.py); the former is empty then. `keeps_ports`: also of clients, above 1024. `needs_port`: a record
 * without a destination port is malformed. -1: without memory, or, with EINVAL in errno, for other counters. */
int conversations_fold(counter *records, counter *folded, int keeps_ports, int needs_port, findings *found);
/* Add folded rows to an answer. With a sum `how` it is one of `--pairs`: client, server, port, protocol; nine sums, how. */
int conversations_answer(counter *folded, counter *answer, int is_once, int by_packet, int keeps_ports, findings *found);
/* Of folded rows that are an answer themselves: only count them. */
int conversations_look(counter *folded, findings *found);

/* The lines of an answer, in columns: distinct.c. Distinct keys get numbers from 0. */
typedef struct distinct distinct;
distinct *distinct_new(uint64_t seed);
void distinct_free(distinct *d);
size_t distinct_keys(const distinct *d);
/* The bytes of the keys that were not taken yet, one after the other, and where each ends. distinct_untaken returns how many
 * bytes these are at most. */
size_t distinct_untaken(const distinct *d);
void distinct_take(distinct *d, uint8_t *bytes, uint64_t *ends);

/* What becomes of a column: the number of each text among `keys`; or each sum, UINT64_MAX if it is larger. With neither, the
 * column is left out. */
typedef struct {
    distinct *keys;
    int32_t *numbers;
    uint64_t *sums;
} split_column;

enum { MOST_SPLIT = LONGEST_KEY + MOST_SUMS + 1 };

enum split { ALL_SPLIT, NO_MEMORY, WRONG_COLUMNS, WRONG_SUM };

/* Split whole lines at their tabs, into MOST_SPLIT columns at most. There is room for as many values as lines. After an
 * error, all is to be given up. */
enum split columns_split(const uint8_t *piece, size_t length, const split_column *columns, size_t width);

/* Numbers, or what a table has for them: `of`, or NULL. */
typedef struct {
    const int32_t *numbers, *of;
} row_column;

/* Number the rows of some columns, MOST_SPLIT at most. -1 without memory. */
int distinct_rows(distinct *d, size_t lines, const row_column *columns, size_t width, int32_t *numbers);

/* What may change the name of an address: by address, when it was attached, and whether it depends on the logger; by hour,
 * its end and its epoch; by interface, its VPC. Without hours or interfaces all lines have the number 0. */
typedef struct {
    const int32_t *addresses, *hours, *interfaces;
    const int64_t *attached, *until;
    const int32_t *depends, *epochs, *vpcs;
} case_columns;

/* Number the cases of some lines: the epoch, or -1 - the hour if that ends before the address was attached; the VPC, or 0 if
 * the address does not depend on it; and the address. -1 without memory. */
int distinct_cases(distinct *d, size_t lines, const case_columns *c, int32_t *numbers);

/* Add values to the sums of rows, which end at UINT64_MAX; or keep the largest of what `of` has for some numbers. */
void sums_of_rows(uint64_t *to, size_t lines, const int32_t *rows, const uint64_t *values);
void largest_of_rows(uint64_t *to, size_t lines, const int32_t *rows, const int32_t *numbers, const uint64_t *of);

/* The lines of a shuffle, in blocks: blocks.c. */

/* Divide whole lines into parts, by a hash of their keys. `skipped` bytes at the beginning of each are left out; so many sums
 * follow a key. Writes blocks as job/blocks.py has them, the key of each the number of its part. There is room for `length`
 * bytes, and 12 more for each block: one for each part that has lines, and one for each 64 KiB. Returns how many bytes that
 * takes; -1 without memory, or, with EINVAL in errno, if a line has no key, or the last one no line feed. */
int64_t blocks_divide(const uint8_t *lines, size_t length, size_t skipped, size_t width, uint32_t parts, uint8_t *room);

/* Adds up lines of a key and at most MOST_SUMS sums: enum sum, without HOW. NULL without memory. */
typedef struct adder adder;
adder *adder_new(const uint8_t *sum, size_t width, uint64_t seed);
void adder_free(adder *a);
enum added { ADDED_UP, NO_ROOM, WRONG_LINE, TOO_LARGE };
/* Add whole lines. After anything but ADDED_UP, all is to be given up. */
enum added adder_add(adder *a, const uint8_t *lines, size_t length);
/* Print the next lines, whole ones only, times as `2026-11-23T18:00:00Z`. Returns how many bytes were printed: 0 at the end,
 * -1 if a time is too late. There must be room for 32 KiB. */
int64_t adder_print(adder *a, uint8_t *room, size_t length);
/* Forget all keys. -1 without memory. */
int adder_clear(adder *a);

/* --- within the kernel --- */

#pragma GCC visibility push(hidden)

/* A key that is looked up. */
typedef struct {
    const uint8_t *bytes;
    size_t length;
} text_key;

enum { KEYS_TOGETHER = 16 };

/* The numbers of KEYS_TOGETHER keys at most; false without memory. */
bool distinct_number(distinct *d, const text_key *keys, size_t number, int32_t *numbers);
/* The first key that was not taken yet; false if there is none. */
bool distinct_peek(const distinct *d, text_key *next);
/* Take it. */
void distinct_skip(distinct *d);

/* A piece of the file of spilled sums. */
typedef struct {
    int64_t offset;
    uint32_t length, rows; /* of the default question, that take as much memory */
    int part;
} segment;

typedef struct {
    segment *all;
    size_t number, room;
} segments;

/* What the values add up to, per sum. */
typedef struct {
    int64_t sums[MOST_SUMS];
    bool are_too_large; /* for a sum to hold: the sums are wrong */
} totals;

struct counter {
    sums table;
    int64_t tally[TALLIES];
    bool failed; /* no memory */
    totals total, total_before; /* of all that was counted; before the current file */
    segments provisional; /* spilled of the current file */
    spill *provisional_in;
    struct reader *reader;
};

void spill_settle(counter *c, bool counts);
/* Add to a talker's sums, and to the totals, or note that these are too large; false without memory. */
bool counter_add(counter *c, const talker *whose, const int64_t *values);

#pragma GCC visibility pop

#endif
