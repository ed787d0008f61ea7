/* From the bytes of a file to what counts: lines, headers, columns, and the rules, in their order.
 *
 * The rules are those of job/count_flows.py, whose docstring numbers them; a property test holds both equal
 * to tests/reference.py. Most lines take the way of `count_lines`: spaces and line ends are found 64 bytes at a
 * time, and only the columns that the question needs are looked at. A line that is not sound there may be a header,
 * a record behind a time stamp, a blank line; it takes the way of `count_odd_line`, which looks at it from its
 * first byte on.
 */
#include "kernel.h"

#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* A longer line is malformed, whatever it holds. */
enum { LONGEST_LINE = 1 << 20 };

/* When a stretch of lines is a misfit: see `Stretch` in count_flows.py. */
enum { STREAK = 10, SAMPLED_FIRST = 64, SAMPLED_EVERY = 256 };
static const int64_t EPOCH_FROM = 1000000000, EPOCH_UNTIL = 4000000000;

static const int64_t MILLISECONDS_FROM = 100000000000; /* a start from here on is in milliseconds */

enum { ABSENT = -1 };

/* So much of a malformed line is looked at for what it tells; and how gzip, Zstandard, xz, bzip2 and zip begin. */
enum { TELLING_BYTES = 4096 };
static const char *const PACKED[] = {"\x1f\x8b\x08", "\x28\xb5\x2f\xfd", "\3757zX", "1AY&SY", "PK\3\4"};

/* The columns that tell whether lines fit their layout, by what they may hold. */
enum kind { A_VERSION, A_NUMBER, AN_ADDRESS, A_PORT, A_PROTOCOL, AN_ACTION, A_STATUS };

static const struct {
    const char *name;
    enum kind kind;
} TELLING[] = {
    {"version", A_VERSION}, {"srcaddr", AN_ADDRESS}, {"dstaddr", AN_ADDRESS}, {"pkt-srcaddr", AN_ADDRESS},
    {"pkt-dstaddr", AN_ADDRESS}, {"srcport", A_PORT}, {"dstport", A_PORT}, {"protocol", A_PROTOCOL},
    {"packets", A_NUMBER}, {"bytes", A_NUMBER}, {"start", A_NUMBER}, {"end", A_NUMBER},
    {"action", AN_ACTION}, {"log-status", A_STATUS},
};
enum { TELLINGS = sizeof TELLING / sizeof *TELLING, AT_PACKETS = 8, AT_BYTES, AT_START, AT_END };

/* The records from a header, or a file's beginning, to the next header or the end. */
typedef struct {
    int64_t first;          /* the number of its first record in the file */
    int64_t next_sample;    /* the number of the record from which on the next sound one is a sample */
    int64_t malformed, sampled, odd;
    int64_t last_malformed; /* the number of the last malformed record */
    int in_row, odd_in_row;
    bool is_told; /* whether some lines have told that it is a misfit, however many others there are */
} stretch;

typedef struct {
    int columns; /* how many columns a line of this layout has */
    int src, dst, port, status, action, start, value;
    int telling[TELLINGS];
    uint32_t looked_at; /* how many columns there are up to the last that is looked at */
    bool usable;        /* whether it has all that the question needs */
} layout;

typedef struct reader {
    char *fields; /* known field names, parted by spaces, with one before and behind */
    uint64_t field_lengths[32]; /* by the first letter of known field names: a bit for each length */
    char *headerless;
    uint8_t ports[1 << 16];
    char action[8];
    char metric[8];
    int64_t since, until;
    bool timed;
    layout now;
    stretch lines;
    bool has_misfit;  /* whether a stretch of the file is one */
    int64_t malformed;        /* how many records of the file are */
    int64_t packed_at;        /* the number of the malformed record in which packed bytes began; -1 for none */
    int64_t packed_malformed; /* how many were malformed up to that one */
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

/* --- layouts --- */

static bool set_layout(reader *r, const char *names, size_t length) {
    layout l = {0, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, {0}, 0, true};
    struct {
        const char *name;
        int *at;
    } wanted[] = {
        {"srcaddr", &l.src}, {"dstaddr", &l.dst}, {"dstport", &l.port},  {"log-status", &l.status},
        {"action", &l.action}, {"start", &l.start}, {r->metric, &l.value},
    };
    char *columns = realloc(r->columns, length + 1);
    if (!columns)
        return false;
    r->columns = columns;
    for (size_t i = 0; i < length; i++)
        columns[i] = names[i] == '_' ? '-' : names[i];
    columns[length] = 0;
    for (size_t i = 0; i < TELLINGS; i++)
        l.telling[i] = ABSENT;
    const char *end = columns + length;
    for (const char *name = columns; name <= end; l.columns++) {
        const char *stop = memchr(name, ' ', (size_t)(end - name));
        if (!stop)
            stop = end;
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
            size_t wide = strlen(wanted[i].name);
            if (*wanted[i].at == ABSENT && wide == (size_t)(stop - name) && !memcmp(name, wanted[i].name, wide))
                *wanted[i].at = l.columns;
        }
        for (size_t i = 0; i < TELLINGS; i++) {
            size_t wide = strlen(TELLING[i].name);
            if (l.telling[i] == ABSENT && wide == (size_t)(stop - name) && !memcmp(name, TELLING[i].name, wide))
                l.telling[i] = l.columns;
        }
        name = stop + 1;
    }
    l.usable = l.src != ABSENT && l.dst != ABSENT && l.port != ABSENT && (!*r->action || l.action != ABSENT) &&
               (!r->timed || l.start != ABSENT) && (!*r->metric || l.value != ABSENT);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (*wanted[i].at != ABSENT && l.looked_at < (uint32_t)*wanted[i].at + 1)
            l.looked_at = (uint32_t)*wanted[i].at + 1;
    }
    uint32_t *at = realloc(r->at, ((size_t)l.columns + 3) * sizeof *at);
    if (!at)
        return false;
    r->at = at;
    r->now = l;
    return true;
}

/* How the stretch looks that ends before a record, which is given by its number in the file. */
static bool is_misfit(const stretch *s, int64_t record) {
    return s->is_told || (s->malformed > 1 && 4 * s->malformed > record - s->first) || 2 * s->odd > s->sampled ||
           (s->odd > 1 && 4 * s->odd > s->sampled);
}

static void begin_stretch(reader *r, int64_t record) {
    r->lines = (stretch){.first = record, .next_sample = record, .last_malformed = -1};
}

static void end_stretch(reader *r, int64_t record) {
    r->has_misfit |= is_misfit(&r->lines, record);
    begin_stretch(r, record);
}

static bool begin_file(reader *r) {
    r->rest_length = 0;
    begin_stretch(r, 0);
    r->malformed = 0;
    r->packed_at = -1;
    r->has_misfit = r->has_example = r->by_header = false;
    return set_layout(r, r->headerless, strlen(r->headerless));
}

static bool is_field_name(const uint8_t *text, size_t length) {
    if (!length || text[0] < 'a' || text[0] > 'z')
        return false;
    for (size_t i = 1; i < length; i++) {
        uint8_t c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return true;
}

/* `text` is shaped like a field name. */
static bool is_known_field(const reader *r, const uint8_t *text, size_t length) {
    char name[48];
    if (length + 3 > sizeof name || !(r->field_lengths[text[0] & 31] >> length & 1))
        return false;
    name[0] = ' ';
    for (size_t i = 0; i < length; i++)
        name[i + 1] = text[i] == '_' ? '-' : (char)text[i];
    memcpy(name + 1 + length, " ", 2);
    return strstr(r->fields, name) != NULL;
}

static bool is_header(const reader *r, const uint8_t *line, size_t length) {
    const uint8_t *end = line + length;
    size_t columns = 0, known = 0;
    bool first_is_known = false;
    for (const uint8_t *from = line; from <= end; columns++) {
        const uint8_t *stop = memchr(from, ' ', (size_t)(end - from));
        if (!stop)
            stop = end;
        size_t wide = (size_t)(stop - from);
        if (!is_field_name(from, wide))
            return false;
        known += is_known_field(r, from, wide);
        if (!columns)
            first_is_known = known > 0;
        from = stop + 1;
    }
    return first_is_known || 2 * known > columns;
}

/* --- columns --- */

static bool is_digit(uint8_t c) { return (uint8_t)(c - '0') < 10; }

static bool is_text(column c, const char *text, size_t length) {
    return c.length == length && !memcmp(c.text, text, length);
}

/* At most 15 digits, so that nine thousand sums of the largest fit 64 bits; -1 when it is not such a number. */
static int64_t parse_number(column c) {
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
static int parse_port(column c) {
    int port = 0;
    if (!c.length || c.length > 5 || (c.text[0] == '0' && c.length > 1))
        return -1;
    for (size_t i = 0; i < c.length; i++) {
        if (!is_digit(c.text[i]))
            return -1;
        port = port * 10 + (c.text[i] - '0');
    }
    return port > 65535 ? -1 : port;
}

static bool parse_ipv4(column c, uint32_t *address) {
    const uint8_t *at = c.text, *end = at + c.length;
    uint32_t bits = 0;
    if (c.length < 7 || c.length > 15)
        return false;
    for (int octet = 0; octet < 4; octet++) {
        if (octet && (at == end || *at++ != '.'))
            return false;
        const uint8_t *first = at;
        uint32_t value = 0;
        for (; at < end && is_digit(*at); at++)
            value = value * 10 + (*at - '0');
        size_t digits = (size_t)(at - first);
        if (!digits || digits > 3 || value > 255 || (digits > 1 && *first == '0'))
            return false;
        bits = bits << 8 | value;
    }
    *address = bits;
    return at == end;
}

/* How many groups of 16 bits stand between colons; -1 for anything else. The last may be an IPv4 address. */
static int ipv6_groups(const uint8_t *text, const uint8_t *end, bool may_end_in_ipv4) {
    int groups = 0;
    for (const uint8_t *from = text;; from++) {
        const uint8_t *stop = from;
        while (stop < end && *stop != ':')
            stop++;
        size_t wide = (size_t)(stop - from);
        uint32_t ignored;
        if (stop == end && may_end_in_ipv4 && parse_ipv4((column){from, wide}, &ignored))
            return groups + 2;
        if (!wide || wide > 4)
            return -1;
        for (; from < stop; from++) {
            uint8_t c = *from | 0x20;
            if (!is_digit(*from) && (c < 'a' || c > 'f'))
                return -1;
        }
        groups++;
        if (stop == end)
            return groups;
    }
}

/* RFC 4291, section 2.2, without a zone. */
static bool is_ipv6(column c) {
    const uint8_t *text = c.text, *end = text + c.length, *gap = text;
    if (c.length < 2 || c.length > LONGEST_ADDRESS)
        return false;
    while (gap + 1 < end && !(gap[0] == ':' && gap[1] == ':'))
        gap++;
    if (gap + 1 >= end)
        return ipv6_groups(text, end, true) == 8;
    int before = gap == text ? 0 : ipv6_groups(text, gap, false);
    int behind = gap + 2 == end ? 0 : ipv6_groups(gap + 2, end, true);
    return before >= 0 && behind >= 0 && before + behind <= 7;
}

bool is_text_address(const uint8_t *text, size_t length) {
    return is_ipv6((column){.text = text, .length = (uint32_t)length});
}

/* 0 when it is an address, which a talker can hold; its kind is `text_kind` when it is not IPv4. */
static int take_address(counter *c, column text, uint32_t *address, uint8_t text_kind, uint8_t *kinds) {
    if (parse_ipv4(text, address))
        return 0;
    if (text.length < 2 || text.length > LONGEST_ADDRESS)
        return -1;
    uint64_t hash = hash_bytes(text.text, text.length, c->table.seed);
    int64_t number = sums_known_address(&c->table, text.text, text.length, hash);
    if (number < 0) {
        if (!is_ipv6(text))
            return -1;
        number = sums_address(&c->table, text.text, text.length, hash);
        if (number < 0) {
            c->failed = true;
            return -1;
        }
    }
    *address = (uint32_t)number;
    *kinds |= text_kind;
    return 0;
}

static bool is_address(column text) {
    uint32_t ignored;
    return parse_ipv4(text, &ignored) || is_ipv6(text);
}

/* --- records --- */

#define COLUMN(number) ((column){base + at[number], at[(number) + 1] - at[number] - 1})

/* Examine a record that has its layout's columns, of which each one's start is known, and the end as the start of
 * one more. Only what is sound is added to the sums. */
static enum tally examine(counter *c, const uint8_t *base, const uint32_t *at) {
    const reader *r = c->reader;
    const layout *l = &r->now;
    enum tally verdict = COUNTED;
    if (l->status != ABSENT) {
        column status = COLUMN(l->status);
        if (!is_text(status, "OK", 2))
            return is_text(status, "NODATA", 6) ? NODATA : is_text(status, "SKIPDATA", 8) ? SKIPDATA : MALFORMED_STATUS;
    } else if (is_text(COLUMN(l->port), "-", 1) && is_text(COLUMN(l->src), "-", 1) && is_text(COLUMN(l->dst), "-", 1)) {
        return NODATA;
    }
    if (*r->action && !is_text(COLUMN(l->action), r->action, 6)) {
        if (!is_text(COLUMN(l->action), "ACCEPT", 6) && !is_text(COLUMN(l->action), "REJECT", 6))
            return MALFORMED_ACTION;
        verdict = ACTION;
    }
    if (r->timed) {
        int64_t start = parse_number(COLUMN(l->start));
        if (start < 0)
            return MALFORMED_NUMBER;
        if (start >= MILLISECONDS_FROM)
            start /= 1000;
        if (verdict == COUNTED && (start < r->since || start >= r->until))
            verdict = TIME;
    }
    int port = parse_port(COLUMN(l->port));
    if (port < 0)
        return MALFORMED_PORT;
    if (verdict == COUNTED && !r->ports[port])
        verdict = PORTS;
    if (verdict != COUNTED)
        return verdict;
    talker whose = {.port = (uint16_t)port};
    if (take_address(c, COLUMN(l->src), &whose.src, SRC_IS_TEXT, &whose.kinds) ||
        take_address(c, COLUMN(l->dst), &whose.dst, DST_IS_TEXT, &whose.kinds))
        return MALFORMED_ADDRESS;
    int64_t value = 1; /* fewer records than a sum can hold, so that no total is kept of them */
    if (*r->metric) {
        value = parse_number(COLUMN(l->value));
        if (value < 0)
            return MALFORMED_NUMBER;
    }
    if (!(*r->metric ? counter_add(c, whose, value) : sums_add_soon(&c->table, whose, 1)))
        c->failed = true;
    return COUNTED;
}

/* Whether a telling column of a record holds what it cannot hold; `-` tells nothing. */
static bool is_odd_record(const layout *l, const uint8_t *base, const uint32_t *at) {
    int64_t numbers[TELLINGS];
    for (int i = 0; i < TELLINGS; i++) {
        numbers[i] = -1;
        if (l->telling[i] == ABSENT)
            continue;
        column text = COLUMN(l->telling[i]);
        if (is_text(text, "-", 1))
            continue;
        bool fits = true;
        int64_t port;
        switch (TELLING[i].kind) {
        case A_VERSION:
            fits = text.length <= 2 && parse_number(text) >= 0;
            break;
        case A_NUMBER:
            numbers[i] = parse_number(text);
            fits = numbers[i] >= 0;
            if (fits && (i == AT_PACKETS || i == AT_BYTES) && text.length != 10)
                numbers[i] = 0; /* as large, perhaps, but not written as a time is */
            break;
        case AN_ADDRESS:
            fits = is_address(text);
            break;
        case A_PORT:
            fits = parse_port(text) >= 0;
            break;
        case A_PROTOCOL:
            port = parse_port(text);
            fits = port >= 0 && port <= 255;
            break;
        case AN_ACTION:
            fits = is_text(text, "ACCEPT", 6) || is_text(text, "REJECT", 6);
            break;
        case A_STATUS:
            fits = is_text(text, "OK", 2) || is_text(text, "NODATA", 6) || is_text(text, "SKIPDATA", 8);
            break;
        }
        if (!fits)
            return true;
    }
    bool epoch = (numbers[AT_PACKETS] >= EPOCH_FROM && numbers[AT_PACKETS] < EPOCH_UNTIL) ||
                 (numbers[AT_BYTES] >= EPOCH_FROM && numbers[AT_BYTES] < EPOCH_UNTIL);
    bool no_time = (numbers[AT_START] >= 0 && numbers[AT_START] < EPOCH_FROM) ||
                   (numbers[AT_END] >= 0 && numbers[AT_END] < EPOCH_FROM);
    return epoch && no_time;
}

#undef COLUMN

/* Where the columns of a line start, into `at`, with one more that starts behind its end; how many there are. */
static uint32_t split(reader *r, const uint8_t *line, size_t length) {
    uint32_t columns = 0, most = (uint32_t)r->now.columns + 1;
    const uint8_t *end = line + length;
    for (const uint8_t *from = line; from <= end;) {
        r->at[columns < most ? columns : most + 1] = (uint32_t)(from - line);
        columns++;
        const uint8_t *stop = memchr(from, ' ', (size_t)(end - from));
        from = (stop ? stop : end) + 1;
    }
    r->at[columns < most ? columns : most + 1] = (uint32_t)length + 1;
    return columns;
}

static void keep_example(reader *r, const uint8_t *line, size_t length, bool is_odd) {
    if (r->has_example)
        return;
    misfit *m = &r->example;
    r->has_example = true;
    m->is_odd = is_odd;
    m->by_header = r->by_header;
    m->columns = r->now.columns;
    m->length = (int32_t)(length < SHOWN_BYTES ? length : SHOWN_BYTES);
    memcpy(m->line, line, (size_t)m->length);
    strncpy(m->fields, r->columns, SHOWN_FIELDS - 1);
    m->fields[SHOWN_FIELDS - 1] = 0;
}

/* Look at a sound record, of which each column's start is known, in all telling columns. */
__attribute__((noinline)) static void take_sample(reader *r, int64_t record, const uint8_t *base, const uint32_t *at) {
    stretch *s = &r->lines;
    int64_t number = record - s->first - s->malformed; /* among the sound ones */
    s->next_sample = record + (number + 1 < SAMPLED_FIRST ? 1 : SAMPLED_EVERY - number % SAMPLED_EVERY);
    s->sampled++;
    if (is_odd_record(&r->now, base, at)) {
        s->odd++;
        s->is_told |= ++s->odd_in_row >= STREAK;
        keep_example(r, base + at[0], at[r->now.columns] - at[0] - 1, true);
    } else {
        s->odd_in_row = 0;
    }
}

/* Whether packed bytes begin in a line. */
static bool begins_packed(const uint8_t *line, size_t length) {
    size_t most = length < TELLING_BYTES ? length : TELLING_BYTES;
    for (size_t i = 0; i < most; i++) {
        for (size_t j = 0; j < sizeof PACKED / sizeof *PACKED; j++) {
            size_t magic = strlen(PACKED[j]);
            if (line[i] == (uint8_t)PACKED[j][0] && most - i >= magic && !memcmp(line + i, PACKED[j], magic))
                return true;
        }
    }
    return false;
}

/* Whether a malformed line names columns, in a way that is no header: those behind it may be in any order. */
static bool names_columns(const uint8_t *line, size_t length) {
    char letters[TELLING_BYTES + 1];
    size_t wide = 0, most = length < TELLING_BYTES ? length : TELLING_BYTES;
    for (size_t i = 0; i < most; i++) {
        uint8_t c = line[i];
        if (c && c != ' ' && c != '-' && c != '_')
            letters[wide++] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : (char)c;
    }
    letters[wide] = 0;
    return strstr(letters, "srcaddr") || strstr(letters, "sourceaddr");
}

/* Whether nothing sound came after packed bytes began, before a record that is given by its number. */
static bool ends_packed(const reader *r, int64_t record) {
    return r->packed_at >= 0 && record - r->packed_at == r->malformed - r->packed_malformed + 1;
}

static void note_malformed(reader *r, int64_t record, const uint8_t *line, size_t length, bool is_too_long) {
    stretch *s = &r->lines;
    bool names = !is_too_long && names_columns(line, length);
    bool packed = !is_too_long && !ends_packed(r, record) && begins_packed(line, length);
    if (names || packed)
        r->has_example = r->has_example && s->is_told; /* this line says more than one before it */
    s->in_row = s->malformed && s->last_malformed == record - 1 ? s->in_row + 1 : 1;
    s->is_told |= names || s->in_row >= STREAK;
    s->last_malformed = record;
    s->malformed++;
    s->next_sample++;
    r->malformed++;
    if (packed) {
        r->packed_at = record;
        r->packed_malformed = r->malformed;
    }
    keep_example(r, line, length, false);
}

/* Look at a record as `take_sample` does, where only the columns that the question needs may be known. */
__attribute__((noinline)) static void sample_line(reader *r, int64_t record, const uint8_t *base, const uint32_t *at,
                                                  size_t length) {
    if (r->now.looked_at >= (uint32_t)r->now.columns) {
        take_sample(r, record, base, at);
        return;
    }
    const uint8_t *line = base + at[0];
    split(r, line, length);
    take_sample(r, record, line, r->at);
}

/* Whether what stands before a line may hide that it is none, or another, when its columns are looked at. */
static bool may_be_odd(const uint8_t *line, size_t length) {
    return line[0] == 0xef || (length > 19 && line[10] == 'T' && line[4] == '-' && line[7] == '-');
}

/* Count a line that has its layout's columns, known by their starts; or say that it is not sound, and count nothing. */
static inline bool count_record(counter *c, const uint8_t *base, const uint32_t *at, size_t line, size_t length) {
    if (!c->reader->now.usable || base[line + length - 1] == ' ' || length > LONGEST_LINE || may_be_odd(base + line, length))
        return false;
    enum tally verdict = examine(c, base, at);
    if (verdict >= MALFORMED_COLUMNS)
        return false;
    int64_t record = c->tally[RECORDS_READ]++;
    c->tally[verdict]++;
    if (__builtin_expect(record >= c->reader->lines.next_sample, 0))
        sample_line(c->reader, record, base, at, length);
    return true;
}

static bool is_blank(const uint8_t *line, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (line[i] != ' ' && (line[i] < '\t' || line[i] > '\r'))
            return false;
    }
    return true;
}

/* How long the ISO 8601 time stamp is that CloudWatch's export puts before a line, with its space; 0 for none. */
static size_t time_stamp_length(const uint8_t *line, size_t length) {
    static const char shape[] = "0000-00-00T00:00:00";
    size_t at = sizeof shape - 1;
    if (length <= at)
        return 0;
    for (size_t i = 0; i < at; i++) {
        if (shape[i] == '0' ? !is_digit(line[i]) : line[i] != shape[i])
            return 0;
    }
    if (line[at] == '.') {
        size_t digits = ++at;
        while (at < length && is_digit(line[at]))
            at++;
        if (at == digits)
            return 0;
    }
    if (at == length || line[at] != 'Z')
        return 0;
    at++;
    return at == length ? at : line[at] == ' ' ? at + 1 : 0;
}

/* A line that may be anything, looked at from its first byte on. */
__attribute__((noinline)) static void count_odd_line(counter *c, const uint8_t *line, size_t length) {
    reader *r = c->reader;
    bool is_too_long = length > LONGEST_LINE;
    if (length >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) {
        line += 3;
        length -= 3;
    }
    size_t stamp = time_stamp_length(line, length);
    line += stamp;
    length -= stamp;
    if (!is_too_long && is_blank(line, length))
        return;
    while (length && line[length - 1] == ' ')
        length--;
    if (!is_too_long && is_header(r, line, length)) {
        end_stretch(r, c->tally[RECORDS_READ]);
        r->by_header = true;
        if (!set_layout(r, (const char *)line, length))
            c->failed = true;
        return;
    }
    enum tally verdict = MALFORMED_COLUMNS;
    if (!is_too_long && r->now.usable && split(r, line, length) == (uint32_t)r->now.columns)
        verdict = examine(c, line, r->at);
    int64_t record = c->tally[RECORDS_READ]++;
    c->tally[verdict]++;
    if (verdict >= MALFORMED_COLUMNS)
        note_malformed(r, record, line, length, is_too_long);
    else if (record >= r->lines.next_sample)
        take_sample(r, record, line, r->at);
}

/* --- lines --- */

/* One bit a byte: which of 64 bytes are spaces, and which end a line. */
static inline void find_marks(const uint8_t *bytes, uint64_t *spaces, uint64_t *ends) {
    *spaces = *ends = 0;
#ifdef __SSE2__
    const __m128i space = _mm_set1_epi8(' '), feed = _mm_set1_epi8('\n'), carriage = _mm_set1_epi8('\r');
    for (int i = 0; i < 4; i++) {
        __m128i some = _mm_loadu_si128((const __m128i *)(const void *)(bytes + 16 * i));
        __m128i end = _mm_or_si128(_mm_cmpeq_epi8(some, feed), _mm_cmpeq_epi8(some, carriage));
        *spaces |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(some, space)) << 16 * i;
        *ends |= (uint64_t)(uint32_t)_mm_movemask_epi8(end) << 16 * i;
    }
#else
    for (int i = 0; i < 64; i++) {
        *spaces |= (uint64_t)(bytes[i] == ' ') << i;
        *ends |= (uint64_t)(bytes[i] == '\n' || bytes[i] == '\r') << i;
    }
#endif
}

/* Count all lines that end within `data`; gives where the one begins that does not. */
static size_t count_lines(counter *c, const uint8_t *data, size_t length) {
    reader *r = c->reader;
    uint32_t *at = r->at, most = (uint32_t)r->now.columns + 1, looked_at = r->now.looked_at, columns = 1;
    uint32_t line = 0;
    uint8_t last[64];
    at[0] = 0;
    for (size_t base = 0; base < length; base += 64) {
        const uint8_t *bytes = data + base;
        if (length - base < 64) {
            memset(last, 0, sizeof last);
            memcpy(last, bytes, length - base);
            bytes = last;
        }
        uint64_t spaces, ends;
        find_marks(bytes, &spaces, &ends);
        for (uint64_t marks = spaces | ends; marks; marks &= marks - 1) {
            int bit = __builtin_ctzll(marks);
            uint32_t next = (uint32_t)(base + (size_t)bit) + 1;
            at[columns < most ? columns : most] = next;
            columns++;
            if (!(ends >> bit & 1)) {
                if (columns > looked_at) { /* what is left of the line is but counted */
                    uint64_t later = marks & (marks - 1), later_ends = later & ends;
                    uint64_t up_to = later_ends ? (later_ends & -later_ends) - 1 : UINT64_MAX;
                    columns += (uint32_t)__builtin_popcountll(later & up_to);
                    marks &= ~(later & up_to);
                }
                continue;
            }
            size_t wide = next - 1 - line;
            if (wide) {
                if (__builtin_expect(columns != most, 0) || __builtin_expect(!count_record(c, data, at, line, wide), 0)) {
                    count_odd_line(c, data + line, wide);
                    at = r->at;
                    most = (uint32_t)r->now.columns + 1;
                    looked_at = r->now.looked_at;
                }
            }
            line = next;
            at[0] = next;
            columns = 1;
        }
    }
    return line;
}

static bool keep_rest(reader *r, const uint8_t *data, size_t length) {
    if (r->rest_length > LONGEST_LINE)
        return true; /* it is too long already, and no more of it matters */
    if (r->rest_length + length > r->rest_room) {
        size_t room = r->rest_length + length + 4096;
        uint8_t *larger = realloc(r->rest, room);
        if (!larger)
            return false;
        r->rest = larger;
        r->rest_room = room;
    }
    memcpy(r->rest + r->rest_length, data, length);
    r->rest_length += length;
    return true;
}

static void count_rest(counter *c) {
    reader *r = c->reader;
    size_t length = r->rest_length;
    r->rest_length = 0;
    if (length)
        count_odd_line(c, r->rest, length);
}

int counter_feed(counter *c, const uint8_t *data, size_t length) {
    reader *r = c->reader;
    if (r->rest_length) {
        size_t end = 0;
        while (end < length && data[end] != '\n' && data[end] != '\r')
            end++;
        if (!keep_rest(r, data, end))
            return -1;
        if (end == length)
            return 0;
        count_rest(c);
        data += end;
        length -= end;
    }
    size_t rest = count_lines(c, data, length);
    if (rest < length && !keep_rest(r, data + rest, length - rest))
        return -1;
    c->failed |= !sums_add_waiting(&c->table);
    return c->failed ? -1 : 0;
}

int counter_end_lines(counter *c, int64_t tally[TALLIES]) {
    count_rest(c);
    end_stretch(c->reader, c->tally[RECORDS_READ]);
    c->failed |= !sums_add_waiting(&c->table);
    memcpy(tally, c->tally, sizeof c->tally);
    return c->failed ? -1 : 0;
}

int counter_misfit(const counter *c, misfit *found) {
    const reader *r = c->reader;
    int64_t malformed = 0;
    for (int reason = MALFORMED_COLUMNS; reason < TALLIES; reason++)
        malformed += c->tally[reason];
    if (!r->has_misfit && !ends_packed(r, c->tally[RECORDS_READ]) && (!malformed || malformed != c->tally[RECORDS_READ]))
        return 0;
    *found = r->example;
    return 1;
}

void counter_end_file(counter *c, int counts) {
    if (!counts) {
        c->is_too_large = c->total_before < 0;
        c->total = c->is_too_large ? c->total : c->total_before;
    }
    c->total_before = counter_total(c);
    memset(c->tally, 0, sizeof c->tally);
    spill_settle(c, counts);
    sums_end_file(&c->table, counts);
    if (!begin_file(c->reader))
        c->failed = true;
}

/* --- counters --- */

counter *counter_new(const question *asked) {
    counter *c = calloc(1, sizeof *c);
    reader *r = calloc(1, sizeof *r);
    if (!c || !r) {
        free(c);
        free(r);
        return NULL;
    }
    c->reader = r;
    r->fields = malloc(strlen(asked->fields) + 3);
    r->headerless = malloc(strlen(asked->headerless) + 1);
    if (!sums_init(&c->table, asked->seed) || !r->fields || !r->headerless) {
        counter_free(c);
        return NULL;
    }
    strcpy(r->fields, " ");
    strcat(r->fields, asked->fields);
    strcat(r->fields, " ");
    strcpy(r->headerless, asked->headerless);
    for (const char *name = asked->fields; *name;) {
        size_t wide = strcspn(name, " ");
        r->field_lengths[*name & 31] |= (uint64_t)1 << (wide & 63);
        name += wide + (name[wide] == ' ');
    }
    memcpy(r->ports, asked->ports, sizeof r->ports);
    strncpy(r->action, asked->action ? asked->action : "", sizeof r->action - 1);
    strncpy(r->metric, asked->metric ? asked->metric : "", sizeof r->metric - 1);
    r->since = asked->since;
    r->until = asked->until;
    r->timed = asked->timed;
    if (!begin_file(r)) {
        counter_free(c);
        return NULL;
    }
    return c;
}

void counter_free(counter *c) {
    if (!c)
        return;
    if (c->reader) {
        free(c->reader->fields);
        free(c->reader->headerless);
        free(c->reader->at);
        free(c->reader->columns);
        free(c->reader->rest);
        free(c->reader);
    }
    free(c->provisional);
    sums_free(&c->table);
    free(c);
}
