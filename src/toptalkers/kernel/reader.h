/* Shared by all that reads records: the state of a counter's reader, and parsers of columns. */
#ifndef TOPTALKERS_READER_H
#define TOPTALKERS_READER_H

#include "kernel.h"

#include <string.h>

#pragma GCC visibility push(hidden)

/* A longer line is malformed, whatever it holds. */
enum { LONGEST_LINE = 1 << 20 };

enum { ABSENT = -1, LARGEST_PORT = 65535, LARGEST_PROTOCOL = 255 };

/* The fields whose columns tell whether lines fit their layout, and what these columns may hold. */
enum kind { A_VERSION, A_NUMBER, AN_ADDRESS, A_PORT, A_PROTOCOL, AN_ACTION, A_STATUS };

typedef struct {
    const char *name;
    enum kind kind;
} telling_field;

enum { TELLINGS = 14, AT_PACKETS = 8, AT_BYTES, AT_START, AT_END };
extern const telling_field TELLING[TELLINGS];

/* The records from the beginning of a file, or a header, to the next header or the end. */
typedef struct {
    int64_t first;          /* the number of its first record in the file */
    int64_t next_sample;    /* from this record on, the next sound one is a sample */
    int64_t malformed, sampled, odd;
    int64_t last_malformed; /* the number of the last malformed record */
    int in_row, odd_in_row;
    bool is_told; /* whether some lines show a misfit, however many others there are */
} stretch;

enum action { ANY_ACTION, ACCEPT, REJECT };

/* Numbers of columns, from 0; ABSENT where there is none, or none is needed. */
typedef struct {
    int columns; /* how many there are */
    int key[LONGEST_KEY], sums[MOST_SUMS], port, status, action, start;
    int srcport, dstport_any, flags; /* of a service; set by `use_service` */
    int noted_start, interface;      /* only for notes */
    int no_data[3]; /* without a log status, a record that has `-` in all of these has no data */
    int telling[TELLINGS];
    uint32_t looked_at; /* how many columns there are up to the last one that is needed */
    bool usable;        /* whether it has all that the question needs */
    uint64_t texts;     /* a bit per column, by its place: whether its text is looked at, even if it is a number */
} layout;

typedef struct where where;

/* The service of a record. Ports are ABSENT for `-`. */
enum side { NO_SIDE, SRC_SIDE, DST_SIDE, BOTH_SIDES };

typedef struct {
    int32_t service, client;
    uint8_t side;
} service;

enum { SYN_FLAG = 2, ACK_FLAG = 16, HIGHEST_KNOWN_PORT = 1024 };

/* The side of a record's service (docs/questions.md) by its two ports and its flags, which are negative for `-`. */
static inline enum side side_of_service(uint32_t src, uint32_t dst, int64_t flags) {
    if (flags >= 0 && flags & SYN_FLAG)
        return flags & ACK_FLAG ? SRC_SIDE : DST_SIDE;
    return src == dst ? BOTH_SIDES : src < dst ? SRC_SIDE : DST_SIDE;
}

enum { SECONDS_PER_HOUR = 3600, LONGEST_NAME = 55 };

/* An interface at which AWS left records out, and in how many windows. */
typedef struct {
    int64_t times;
    uint8_t length, name[LONGEST_NAME];
} skipping_interface;

/* What is noted of a file beside its sums (notes.c). */
typedef struct {
    uint64_t seed;
    size_t names, hours, hour_room;
    skipping_interface *skipping; /* in the order in which they were found; NULL before the first */
    uint16_t *slots;              /* by the hash of a name: the interface's number + 1; 0 is free */
    uint32_t *hour;               /* since 1970, + 1, in slots by their hash; 0 is free */
    /* The first eight of ten digits of the times in the last hour, which begins at a multiple of 100 seconds: the least,
     * as a number that has the order of the texts, and the greatest less that. */
    uint64_t lowest, span;
} notes;

typedef struct reader {
    char *fields; /* known field names, separated by spaces, with one before and behind */
    uint64_t field_lengths[32]; /* by the first letter of known field names: a bit for each length */
    char *headerless;
    char *names; /* of the fields in `key` and `sums` */
    const char *key[LONGEST_KEY], *sums[MOST_SUMS]; /* a sum without a name counts records */
    bool is_recipe, key_has_service, all_ports;
    size_t key_needs; /* how many parts of the key, the first ones, a layout must have */
    bool key_is_number[LONGEST_KEY]; /* whether a part's text is not looked at where its number is known */
    uint8_t ports[1 << 16];
    enum action action;
    int64_t since, until;
    where *condition; /* NULL for none */
    int64_t weight;   /* for how many records a record counts: 1 for a line */
    int64_t extra;    /* how many more records were read of the file than lines or rows */
    bool in_columns;  /* whether the file's records come in columns */
    notes noted;
    int weight_column;
    layout now;
    stretch lines;
    bool has_misfit;   /* whether a stretch of the file is one */
    int64_t malformed; /* how many records of the file are */
    int64_t compressed_at;        /* the number of the malformed record in which compressed bytes begin; -1 for none */
    int64_t compressed_malformed; /* how many were malformed up to that one */
    bool has_example; /* whether `example` shows a line of the file */
    misfit example;
    char *columns;  /* of the layout now, separated by spaces */
    bool by_header; /* whether a header set it */
    /* Where the columns of a line start; room for those of the layout, one more, and one to lose. Of a row, whose values
     * may lie anywhere, a start and an end for each column. */
    uint32_t *at;
    /* By column, what was read before; NULL for a line: IPv4 addresses, numbers whose text was left out (-1 for none), and
     * where a dictionary's text has the number of its kept text (NULL for none). */
    const int64_t *ipv4, *numbers;
    uint32_t **kept;
    uint8_t *rest; /* the beginning of a line that goes on in the next piece */
    size_t rest_length, rest_room;
} reader;

typedef struct {
    const uint8_t *text;
    size_t length;
} column;

#define COLUMN(number) ((column){base + at[number], at[(number) + 1] - at[number] - 1})

static inline bool is_digit(uint8_t c) { return (uint8_t)(c - '0') < 10; }

static inline bool is_text(column c, const char *text, size_t length) {
    return c.length == length && !memcmp(c.text, text, length);
}

/* At most 15 digits, so that nine thousand of the largest fit into a sum; -1 when it is not such a number. */
static inline int64_t parse_number(column c) {
    int64_t number = 0;
    if (!c.length || c.length > 15)
        return -1;
    if (c.length >= 8) { /* eight digits at a time: pairs, then fours, then all */
        uint64_t digits;
        memcpy(&digits, c.text, 8);
        digits ^= 0x3030303030303030;
        if (((digits + 0x7676767676767676) | digits) & 0x8080808080808080)
            return -1;
        digits = digits * 10 + (digits >> 8);
        digits = ((digits & 0x000000ff000000ff) * (100 + (1000000ull << 32)) +
                  (digits >> 16 & 0x000000ff000000ff) * (1 + (10000ull << 32))) >> 32;
        number = (int64_t)digits;
        c.text += 8;
        c.length -= 8;
    }
    for (size_t i = 0; i < c.length; i++) {
        if (!is_digit(c.text[i]))
            return -1;
        number = number * 10 + (c.text[i] - '0');
    }
    return number;
}

static const int64_t LARGEST_NUMBER = 999999999999999;

/* A number as `parse_number` has it, of a column that is given by its number, too. */
static inline int64_t take_number(const reader *r, int number, column c) {
    if (!r->numbers || r->numbers[number] < 0)
        return parse_number(c);
    return r->numbers[number] > LARGEST_NUMBER ? -1 : r->numbers[number];
}

/* Like `parse_number`, of up to 19 digits: the sums of many records. */
static inline int64_t parse_total(column c) {
    int64_t number = 0;
    if (!c.length || c.length > 19)
        return -1;
    for (size_t i = 0; i < c.length; i++) {
        if (!is_digit(c.text[i]) || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, c.text[i] - '0', &number))
            return -1;
    }
    return number;
}

enum { SECONDS_PER_DAY = 86400 };
static const int64_t MILLISECONDS_FROM = 100000000000; /* a time from here on is in milliseconds */
static const int64_t LARGEST_TIME = 253402300799;      /* in seconds: the end of the year 9999 */

/* Seconds since 1970 of a start or an end; -1 when it is not a number, or later than the year 9999. */
static inline int64_t take_time(const reader *r, int number, column c) {
    int64_t time = take_number(r, number, c);
    if (time >= MILLISECONDS_FROM)
        time /= 1000;
    return time > LARGEST_TIME ? -1 : time;
}

/* A decimal without leading zeros, 0 to 65535; -1 when it is not. */
static inline int parse_port(column c) {
    int64_t port = c.length > 1 && c.text[0] == '0' ? -1 : parse_number(c);
    return port > LARGEST_PORT ? -1 : (int)port;
}

/* The same of a column, given by its number, too. */
static inline int take_port(const reader *r, int number, column c) {
    if (!r->numbers || r->numbers[number] < 0)
        return parse_port(c);
    return r->numbers[number] > LARGEST_PORT ? -1 : (int)r->numbers[number];
}

/* ANY_ACTION when it is neither. */
static inline enum action parse_action(column c) {
    return is_text(c, "ACCEPT", 6) ? ACCEPT : is_text(c, "REJECT", 6) ? REJECT : ANY_ACTION;
}

/* Whether a column has no value. */
static inline bool is_none(column c) { return c.length == 1 && c.text[0] == '-'; }

/* addresses.c */
bool is_address(column c);
bool is_ipv6(column c);
bool parse_ipv4(column c, uint32_t *address);
/* The same of a column, given by its number, too. */
static inline bool take_ipv4(const reader *r, int number, column c, uint32_t *address) {
    if (!r->ipv4 || r->ipv4[number] < 0)
        return parse_ipv4(c, address);
    *address = (uint32_t)r->ipv4[number];
    return true;
}
/* RFC 4291, section 2.2, without a zone: 16 bytes, the most significant first. */
bool parse_ipv6(column c, uint8_t *address);
/* The network of an IPv6 address (RFC 5952, section 4), with its length behind a slash. */
enum { LONGEST_NETWORK = 39 + 4 };
uint8_t *print_ipv6_network(uint8_t *to, const uint8_t *address, uint32_t bits);

/* keys.c */
/* Take a part of a question's key, KIND:FIELD. Returns its field; NULL if there is no such part. */
const char *take_part(shape *of, char *word);
/* Read a record's key into a talker. Returns COUNTED, or why the record is malformed. */
enum tally take_key(counter *c, const uint8_t *base, const uint32_t *at, talker *whose);
/* The recipe's, whose port was read before. */
enum tally take_recipe(counter *c, const uint8_t *base, const uint32_t *at, uint32_t port, talker *whose);
/* The network of an IPv4 address, of the length that the part has. */
uint32_t network_of(const shape *of, size_t part, uint32_t ipv4);
/* Read the network of an IPv6 address. Returns COUNTED or MALFORMED_ADDRESS. */
enum tally take_ipv6_network(counter *c, column from, size_t part, talker *whose);
/* Exchange two addresses, of this part and the next, if the first one is the greater text. */
void sort_pair(column a, column b, size_t part, talker *whose);

/* lines.c */
/* Write the starts of a line's columns into `at`, and the start of one more behind its end. Returns their number. */
uint32_t split(reader *r, const uint8_t *line, size_t length);

/* rules.c */
/* The first column of a name; ABSENT if there is none. */
int find_column(const reader *r, const char *name);
/* Look up a column that the question needs, while the layout is set. Without it, the layout is not usable. */
int need(reader *r, const char *name);
/* Look up a column that the question uses, and takes for `-` where there is none: ABSENT. */
int use(reader *r, const char *name);
/* Note that the text of a column is looked at. ABSENT is none. */
void use_text(reader *r, int number);
/* Look up the columns of a service; those that are ABSENT are taken for `-`. */
void use_service(reader *r);
bool set_layout(reader *r, const char *names, size_t length);
/* Examine a record that has its layout's columns; `at` has the start of each that is needed and of the next. Adds the
 * record to the sums when it counts. */
enum tally examine(counter *c, const uint8_t *base, const uint32_t *at);

/* notes.c */
void notes_clear(notes *n);
void notes_free(notes *n);
/* Note a record of an interface that AWS left out. False without memory. */
bool note_skipping(notes *n, column name);
/* Note the hour of a time in seconds. False without memory. */
bool note_time(notes *n, int64_t seconds);
/* Note the hour of a start that is in another hour than the last one, or is no time. False without memory. */
bool note_other_hour(reader *r, column start);

/* Note the hour in which a record starts that counts. Most are in the hour of the one before. */
static inline bool note_hour(reader *r, const uint8_t *base, const uint32_t *at) {
    int number = r->now.noted_start;
    if (__builtin_expect(number == ABSENT, 0))
        return true;
    column start = COLUMN(number);
    uint64_t digits;
    if (__builtin_expect(start.length != 10, 0))
        return note_other_hour(r, start);
    memcpy(&digits, start.text, sizeof digits);
    if (__builtin_expect(__builtin_bswap64(digits) - r->noted.lowest <= r->noted.span, 1))
        return true; /* if it is no number, it is not noted either */
    return note_other_hour(r, start);
}

/* service.c */
/* The service of a record: COUNTED, or MALFORMED_PORT. */
enum tally service_of(const reader *r, const uint8_t *base, const uint32_t *at, service *found);

/* where.c */
/* Read the program of `--where` (question/where.py) and its fields, KIND:FIELD. NULL without memory, or with EINVAL in
 * errno if it is none. */
where *where_new(const char *program, const char *fields);
void where_free(where *w);
/* Look up the columns of a new layout. */
void where_set_layout(where *w, reader *r);
/* COUNTED, WHERE, or why the record is malformed. */
enum tally where_examine(where *w, const uint8_t *base, const uint32_t *at);

/* misfits.c */
void begin_stretch(reader *r, int64_t record);
void end_stretch(reader *r, int64_t record);
/* Check all telling columns of a sound record. A line is its own base. */
void take_sample(reader *r, int64_t record, const uint8_t *base, const uint8_t *line, size_t length);
void note_malformed(reader *r, int64_t record, const uint8_t *line, size_t length, bool is_too_long);

#pragma GCC visibility pop

#endif
