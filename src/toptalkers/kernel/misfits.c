/* Whether the lines of a file fit their layout, and the first line that does not. */
#include "reader.h"

/* Limits of a stretch that fits: see `Stretch` in count_flows.py. */
enum { STREAK = 10, SAMPLED_FIRST = 64, SAMPLED_EVERY = 256 };
static const int64_t EPOCH_FROM = 1000000000, EPOCH_UNTIL = 4000000000;

/* How much of a malformed line is searched. */
enum { TELLING_BYTES = 4096 };
/* The first bytes of gzip, Zstandard, xz, bzip2 and zip. */
static const char *const MAGIC[] = {"\x1f\x8b\x08", "\x28\xb5\x2f\xfd", "\3757zX", "1AY&SY", "PK\3\4"};

const telling_field TELLING[TELLINGS] = {
    {"version", A_VERSION}, {"srcaddr", AN_ADDRESS}, {"dstaddr", AN_ADDRESS}, {"pkt-srcaddr", AN_ADDRESS},
    {"pkt-dstaddr", AN_ADDRESS}, {"srcport", A_PORT}, {"dstport", A_PORT}, {"protocol", A_PROTOCOL},
    {"packets", A_NUMBER}, {"bytes", A_NUMBER}, {"start", A_NUMBER}, {"end", A_NUMBER},
    {"action", AN_ACTION}, {"log-status", A_STATUS},
};

/* Whether a stretch that ends before a record, given by its number in the file, is a misfit. */
static bool is_misfit(const stretch *s, int64_t record) {
    return s->is_told || (s->malformed > 1 && 4 * s->malformed > record - s->first) || 2 * s->odd > s->sampled ||
           (s->odd > 1 && 4 * s->odd > s->sampled);
}

void begin_stretch(reader *r, int64_t record) {
    r->lines = (stretch){.first = record, .next_sample = record, .last_malformed = -1};
}

void end_stretch(reader *r, int64_t record) {
    r->has_misfit |= is_misfit(&r->lines, record);
    begin_stretch(r, record);
}

/* Whether a telling column of a record has a value that its field cannot have; `-` tells nothing. */
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
                numbers[i] = 0; /* perhaps as large as a time, but not written like one */
            break;
        case AN_ADDRESS:
            fits = is_address(text);
            break;
        case A_PORT:
            fits = parse_port(text) >= 0;
            break;
        case A_PROTOCOL:
            port = parse_port(text);
            fits = port >= 0 && port <= LARGEST_PROTOCOL;
            break;
        case AN_ACTION:
            fits = parse_action(text) != ANY_ACTION;
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

/* Check all telling columns of a sound record; `at` has the starts of all its columns. */
void take_sample(reader *r, int64_t record, const uint8_t *base, const uint32_t *at) {
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

/* Whether compressed bytes begin in a line. */
static bool begins_compressed(const uint8_t *line, size_t length) {
    size_t most = length < TELLING_BYTES ? length : TELLING_BYTES;
    for (size_t i = 0; i < most; i++) {
        for (size_t j = 0; j < sizeof MAGIC / sizeof *MAGIC; j++) {
            size_t magic = strlen(MAGIC[j]);
            if (line[i] == (uint8_t)MAGIC[j][0] && most - i >= magic && !memcmp(line + i, MAGIC[j], magic))
                return true;
        }
    }
    return false;
}

/* Whether a malformed line names columns without being a header: the columns of the lines behind it may be in any
 * order. */
static bool names_columns(const uint8_t *line, size_t length) {
    char letters[TELLING_BYTES + 1];
    size_t width = 0, most = length < TELLING_BYTES ? length : TELLING_BYTES;
    for (size_t i = 0; i < most; i++) {
        uint8_t c = line[i];
        if (c && c != ' ' && c != '-' && c != '_')
            letters[width++] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : (char)c;
    }
    letters[width] = 0;
    return strstr(letters, "srcaddr") || strstr(letters, "sourceaddr");
}

/* Whether compressed bytes began, and no sound record came after them, up to a record given by its number. */
static bool ends_compressed(const reader *r, int64_t record) {
    return r->compressed_at >= 0 && record - r->compressed_at == r->malformed - r->compressed_malformed + 1;
}

void note_malformed(reader *r, int64_t record, const uint8_t *line, size_t length, bool is_too_long) {
    stretch *s = &r->lines;
    bool names = !is_too_long && names_columns(line, length);
    bool compressed = !is_too_long && !ends_compressed(r, record) && begins_compressed(line, length);
    if (names || compressed)
        r->has_example = r->has_example && s->is_told; /* this line tells more than an earlier one */
    s->in_row = s->malformed && s->last_malformed == record - 1 ? s->in_row + 1 : 1;
    s->is_told |= names || s->in_row >= STREAK;
    s->last_malformed = record;
    s->malformed++;
    s->next_sample++;
    r->malformed++;
    if (compressed) {
        r->compressed_at = record;
        r->compressed_malformed = r->malformed;
    }
    keep_example(r, line, length, false);
}

/* The same as `take_sample`, but `at` may have only the columns that the question needs. */
void sample_line(reader *r, int64_t record, const uint8_t *base, const uint32_t *at, size_t length) {
    if (r->now.looked_at >= (uint32_t)r->now.columns) {
        take_sample(r, record, base, at);
        return;
    }
    const uint8_t *line = base + at[0];
    split(r, line, length);
    take_sample(r, record, line, r->at);
}

int counter_misfit(const counter *c, misfit *found) {
    const reader *r = c->reader;
    int64_t malformed = 0;
    for (int reason = MALFORMED_COLUMNS; reason < TALLIES; reason++)
        malformed += c->tally[reason];
    bool all_malformed = malformed && malformed == c->tally[RECORDS_READ];
    if (!r->has_misfit && !ends_compressed(r, c->tally[RECORDS_READ]) && !all_malformed)
        return 0;
    *found = r->example;
    return 1;
}
