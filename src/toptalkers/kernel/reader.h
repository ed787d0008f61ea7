/* Shared by lines.c, rules.c, misfits.c and keys.c: the state of a counter's reader, and parsers of columns. */
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
    int telling[TELLINGS];
    uint32_t looked_at; /* how many columns there are up to the last one that is needed */
    bool usable;        /* whether it has all that the question needs */
} layout;

typedef struct reader {
    char *fields; /* known field names, separated by spaces, with one before and behind */
    uint64_t field_lengths[32]; /* by the first letter of known field names: a bit for each length */
    char *headerless;
    char *names; /* of the fields in `key` and `sums` */
    const char *key[LONGEST_KEY], *sums[MOST_SUMS]; /* a sum without a name counts records */
    int largest[LONGEST_KEY]; /* of the numbers in the key */
    int port_part;            /* which part of the key is the destination port */
    bool all_ports;
    uint8_t ports[1 << 16];
    enum action action;
    int64_t since, until;
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
    uint32_t *at; /* where the columns of a line start; room for those of the layout, one more, and one to lose */
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
    for (size_t i = 0; i < c.length; i++) {
        if (!is_digit(c.text[i]))
            return -1;
        number = number * 10 + (c.text[i] - '0');
    }
    return number;
}

/* A decimal without leading zeros, 0 to 65535; -1 when it is not. */
static inline int parse_port(column c) {
    int64_t port = c.length > 1 && c.text[0] == '0' ? -1 : parse_number(c);
    return port > LARGEST_PORT ? -1 : (int)port;
}

/* ANY_ACTION when it is neither. */
static inline enum action parse_action(column c) {
    return is_text(c, "ACCEPT", 6) ? ACCEPT : is_text(c, "REJECT", 6) ? REJECT : ANY_ACTION;
}

/* keys.c */
bool is_address(column text);
/* Read a part of a key into a talker. Returns COUNTED, or why the record is malformed. */
enum tally take_part(counter *c, column text, size_t part, talker *whose);

/* lines.c */
/* Write the starts of a line's columns into `at`, and the start of one more behind its end. Returns their number. */
uint32_t split(reader *r, const uint8_t *line, size_t length);

/* rules.c */
bool set_layout(reader *r, const char *names, size_t length);
/* Examine a record that has its layout's columns; `at` has the start of each that is needed and of the next. Adds the
 * record to the sums when it counts. */
enum tally examine(counter *c, const uint8_t *base, const uint32_t *at);

/* misfits.c */
void begin_stretch(reader *r, int64_t record);
void end_stretch(reader *r, int64_t record);
/* Check all telling columns of a sound record. */
void take_sample(reader *r, int64_t record, const uint8_t *line, size_t length);
void note_malformed(reader *r, int64_t record, const uint8_t *line, size_t length, bool is_too_long);

#pragma GCC visibility pop

#endif
