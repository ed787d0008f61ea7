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

static bool fits(enum kind kind, column text) {
    switch (kind) {
    case A_VERSION:
        return text.length <= 2 && parse_number(text) >= 0;
    case A_NUMBER:
        return parse_number(text) >= 0;
    case AN_ADDRESS:
        return is_address(text);
    case A_PORT:
        return parse_port(text) >= 0;
    case A_PROTOCOL:
        return parse_port(text) >= 0 && parse_port(text) <= LARGEST_PROTOCOL;
    case AN_ACTION:
        return parse_action(text) != ANY_ACTION;
    case A_STATUS:
        return is_text(text, "OK", 2) || is_text(text, "NODATA", 6) || is_text(text, "SKIPDATA", 8);
    }
    return true;
}

/* Whether a telling column of a record has a value that its field cannot have; `-` tells nothing. */
static bool is_odd_record(const layout *l, const uint8_t *base, const uint32_t *at) {
    bool epoch = false, no_time = false;
    for (int i = 0; i < TELLINGS; i++) {
        if (l->telling[i] == ABSENT)
            continue;
        column text = COLUMN(l->telling[i]);
        if (is_text(text, "-", 1))
            continue;
        if (!fits(TELLING[i].kind, text))
            return true;
        int64_t number = parse_number(text);
        if (i == AT_PACKETS || i == AT_BYTES) /* as large as a time, and written like one */
            epoch |= text.length == 10 && number >= EPOCH_FROM && number < EPOCH_UNTIL;
        if (i == AT_START || i == AT_END)
            no_time |= number < EPOCH_FROM;
    }
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

void take_sample(reader *r, int64_t record, const uint8_t *base, const uint8_t *line, size_t length) {
    stretch *s = &r->lines;
    int64_t number = record - s->first - s->malformed; /* among the sound ones */
    s->next_sample = record + (number + 1 < SAMPLED_FIRST ? 1 : SAMPLED_EVERY - number % SAMPLED_EVERY);
    s->sampled++;
    if (!r->in_columns)
        split(r, line, length); /* until here perhaps only into the columns that the question needs */
    if (is_odd_record(&r->now, base, r->at)) {
        s->odd++;
        s->is_told |= ++s->odd_in_row >= STREAK;
        keep_example(r, line, length, true);
    } else {
        s->odd_in_row = 0;
    }
}

/* Whether compressed bytes begin in a line. */
static bool begins_compressed(const uint8_t *line, size_t length) {
    size_t most = length < TELLING_BYTES ? length : TELLING_BYTES;
    for (size_t i = 0; i < sizeof MAGIC / sizeof *MAGIC; i++) {
        if (memmem(line, most, MAGIC[i], strlen(MAGIC[i])))
            return true;
    }
    return false;
}

/* Whether a malformed line names columns without being a header: the columns of the lines after it may be in any
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

int counter_misfit(const counter *c, misfit *found) {
    const reader *r = c->reader;
    int64_t malformed = 0;
    for (int reason = MALFORMED_COLUMNS; reason < TALLIES; reason++)
        malformed += c->tally[reason];
    bool all_malformed = malformed && malformed == c->tally[RECORDS_READ];
    if (!r->has_misfit && !ends_compressed(r, c->tally[RECORDS_READ] - r->extra) && !all_malformed)
        return 0;
    *found = r->example;
    return 1;
}
