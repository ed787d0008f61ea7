/* From the bytes of a file to records: lines, headers, columns.
 *
 * `count_lines` counts most lines: it finds spaces and line ends 64 bytes at a time, and reads only the columns that
 * the question needs. A line that is not a sound record may be a header, a record after a time stamp or a blank line.
 * `count_odd_line` reads such a line from its first byte.
 */
#include "reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static bool begin_file(reader *r) {
    r->rest_length = 0;
    begin_stretch(r, 0);
    r->malformed = 0;
    r->compressed_at = -1;
    r->weight = 1;
    r->extra = 0;
    notes_clear(&r->noted);
    r->has_misfit = r->has_example = r->by_header = r->in_columns = false;
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
    size_t columns = 0, known = 0, width;
    bool first_is_known = false;
    for (const uint8_t *from = line; from <= end; from += width + 1) {
        const uint8_t *space = memchr(from, ' ', (size_t)(end - from));
        width = (size_t)((space ? space : end) - from);
        if (!is_field_name(from, width))
            return false;
        known += is_known_field(r, from, width);
        first_is_known |= !columns++ && known;
    }
    return first_is_known || 2 * known > columns;
}

uint32_t split(reader *r, const uint8_t *line, size_t length) {
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

/* Whether a line may begin with a byte order mark or a time stamp, which its columns alone would not show. */
static bool may_be_odd(const uint8_t *line, size_t length) {
    return line[0] == 0xef || (length > 19 && line[10] == 'T' && line[4] == '-' && line[7] == '-');
}

/* Count a line that has its layout's columns, which start at `at`. Returns false when it is not sound, and then counts
 * nothing. */
static inline bool count_record(counter *c, const uint8_t *base, const uint32_t *at, size_t line, size_t length) {
    if (!c->reader->now.usable || base[line + length - 1] == ' ' || length > LONGEST_LINE ||
        may_be_odd(base + line, length))
        return false;
    enum tally verdict = examine(c, base, at);
    if (verdict >= MALFORMED_COLUMNS)
        return false;
    int64_t record = c->tally[RECORDS_READ]++;
    c->tally[verdict]++;
    if (__builtin_expect(record >= c->reader->lines.next_sample, 0))
        take_sample(c->reader, record, base + line, base + line, length);
    return true;
}

static bool is_blank(const uint8_t *line, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (line[i] != ' ' && (line[i] < '\t' || line[i] > '\r'))
            return false;
    }
    return true;
}

/* The length of the ISO 8601 time stamp that CloudWatch's export puts before a line, with its space; 0 for none. */
static size_t time_stamp_length(const uint8_t *line, size_t length) {
    static const char pattern[] = "0000-00-00T00:00:00";
    size_t at = sizeof pattern - 1;
    if (length <= at)
        return 0;
    for (size_t i = 0; i < at; i++) {
        if (pattern[i] == '0' ? !is_digit(line[i]) : line[i] != pattern[i])
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

/* Count a line that may be anything. */
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
        c->failed |= !set_layout(r, (const char *)line, length);
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
        take_sample(r, record, line, line, length);
}

/* --- lines --- */

/* One bit per byte: which of 64 bytes are spaces, and which end a line. */
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

/* Count all lines that end within `data`. Returns where the line begins that does not. */
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
                if (columns > looked_at) { /* the columns that are left are only counted */
                    uint64_t later = marks & (marks - 1), later_ends = later & ends;
                    uint64_t up_to = later_ends ? (later_ends & -later_ends) - 1 : UINT64_MAX;
                    columns += (uint32_t)__builtin_popcountll(later & up_to);
                    marks &= ~(later & up_to);
                }
                continue;
            }
            size_t width = next - 1 - line;
            if (width && __builtin_expect(columns != most || !count_record(c, data, at, line, width), 0)) {
                count_odd_line(c, data + line, width);
                at = r->at;
                most = (uint32_t)r->now.columns + 1;
                looked_at = r->now.looked_at;
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
        return true; /* it is too long already, and the rest does not matter */
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
    if (c->reader->rest_length)
        count_odd_line(c, c->reader->rest, c->reader->rest_length);
    c->reader->rest_length = 0;
}

int counter_feed(counter *c, const uint8_t *data, size_t length) {
    reader *r = c->reader;
    if (r->in_columns) { /* a file has lines or columns */
        errno = EINVAL;
        return -1;
    }
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
    end_stretch(c->reader, c->tally[RECORDS_READ] - c->reader->extra);
    c->failed |= !sums_add_waiting(&c->table);
    memcpy(tally, c->tally, sizeof c->tally);
    return c->failed ? -1 : 0;
}

void counter_end_file(counter *c, int counts) {
    if (!counts)
        c->total = c->total_before;
    c->total_before = c->total;
    memset(c->tally, 0, sizeof c->tally);
    spill_settle(c, counts);
    sums_end_file(&c->table, counts);
    c->failed |= !begin_file(c->reader);
}

/* --- counters --- */

static const char RECIPE[] = "address:srcaddr address:dstaddr port:dstport";

/* Split a list of names, in place. Returns their number; 0 for none, or more than `most`. */
static size_t take_names(char *list, const char **names, size_t most) {
    size_t number = 0;
    for (char *name = strtok_r(list, " ", &list); name; name = strtok_r(NULL, " ", &list)) {
        if (number == most)
            return 0;
        names[number++] = name;
    }
    return number;
}

/* Take the parts of a key. Returns false when there is none, or one that is not known. */
static bool take_parts(reader *r, char *list, shape *of) {
    for (char *word = strtok_r(list, " ", &list); word; word = strtok_r(NULL, " ", &list)) {
        const char *field = take_part(of, word);
        if (!field)
            return false;
        uint8_t part = of->part[of->parts - 1];
        r->key[of->parts - 1] = field;
        r->key_is_number[of->parts - 1] = part >= PORT_PART && part != TEXT_PART;
        r->key_has_service |= part == SERVICE_PART || part == CLIENT_PART || part == SIDE_PART;
    }
    return of->parts && of->part[of->parts - 1] != LESSER_PART;
}

/* Take a question's key, sums and filters. Returns false when it cannot be answered. */
static bool take_question(reader *r, const question *asked, shape *of) {
    of->is_recipe = r->is_recipe = !asked->key;
    of->is_log = asked->key && asked->is_log;
    r->key_needs = asked->key ? asked->key_needs : LONGEST_KEY;
    size_t key_length = strlen(asked->key ? asked->key : RECIPE);
    if (!take_parts(r, r->names, of))
        return false;
    of->sums = (uint32_t)take_names(r->names + key_length + 1, r->sums, MOST_SUMS);
    for (uint32_t i = 0; i < of->sums; i++) {
        of->sum[i] = !strcmp(r->sums[i], "start") ? FIRST
                     : !strcmp(r->sums[i], "end") ? LAST
                     : !strcmp(r->sums[i], "how") ? HOW
                                                  : ADDED;
        of->largest |= (uint32_t)(of->sum[i] != ADDED) << i;
        r->sums[i] = strcmp(r->sums[i], "records") ? r->sums[i] : NULL;
    }
    memcpy(r->ports, asked->ports, sizeof r->ports);
    r->all_ports = !memchr(r->ports, 0, sizeof r->ports);
    if (asked->action)
        r->action = parse_action((column){(const uint8_t *)asked->action, strlen(asked->action)});
    r->since = asked->since;
    r->until = asked->until;
    of->ranked = (uint32_t)asked->ranked;
    return of->sums > of->ranked && (!asked->action || r->action != ANY_ACTION);
}

/* Returns 0, or the number of the error. */
static int init(counter *c, const question *asked) {
    reader *r = c->reader = calloc(1, sizeof *r);
    if (!r || asprintf(&r->fields, " %s ", asked->fields) < 0 || !(r->headerless = strdup(asked->headerless)) ||
        asprintf(&r->names, "%s%c%s", asked->key ? asked->key : RECIPE, 0, asked->sums) < 0)
        return ENOMEM;
    for (const char *name = asked->fields; *name;) {
        size_t width = strcspn(name, " ");
        r->field_lengths[*name & 31] |= (uint64_t)1 << (width & 63);
        name += width + (name[width] == ' ');
    }
    if (asked->where && !(r->condition = where_new(asked->where, asked->where_fields)))
        return errno == EINVAL ? EINVAL : ENOMEM;
    r->noted.seed = asked->seed;
    shape of = {0};
    if (!take_question(r, asked, &of))
        return EINVAL;
    return sums_init(&c->table, asked->seed, &of) && begin_file(r) ? 0 : ENOMEM;
}

counter *counter_new(const question *asked) {
    counter *c = calloc(1, sizeof *c);
    int error = c ? init(c, asked) : ENOMEM;
    if (c && error) {
        counter_free(c);
        c = NULL;
    }
    errno = error;
    return c;
}

void counter_free(counter *c) {
    reader *r = c->reader;
    if (r) {
        free(r->fields);
        free(r->headerless);
        free(r->names);
        free(r->at);
        free(r->columns);
        free(r->rest);
        notes_free(&r->noted);
        where_free(r->condition);
        free(r);
    }
    free(c->provisional.all);
    sums_free(&c->table);
    free(c);
}
