/* `--where`: which records count. question/where.py describes the program.
 *
 * The program becomes a list of tests, each of which says which test comes next when it holds, and when it does not:
 * no test runs whose result does not matter. All fields are read first, since a field that is malformed counts before
 * any test.
 */
#include "reader.h"

#include <errno.h>
#include <stdlib.h>

/* What a field holds. The last three are found by service.c. */
enum what { TEXT, ADDRESS, PORT, PROTOCOL, NUMBER, TIME_OF, SERVICE_PORT, CLIENT_PORT, SIDE };

static const char *const KINDS[] = {
    "text", "address", "port", "protocol", "number", "time", "service-port", "client-port", "side",
};

/* A field, and its value in the current record. */
typedef struct {
    const char *name;
    enum what what;
    int column;
    column text;
    int64_t number; /* also an IPv4 address; -1 for anything else */
    bool is_ipv6;
    uint8_t ipv6[16], digits[LONGEST_NUMBER];
} field;

typedef struct {
    int64_t low, high;
} range;

typedef struct {
    uint8_t low[16], high[16];
} ipv6_range;

/* The next test; or the end. */
enum { HOLDS = -1, FAILS = -2 };

typedef struct {
    field *of;
    char kind; /* `n`, `a` or `t` */
    int32_t when_true, when_false;
    size_t number, ipv6_number; /* of ranges or texts; of ranges of IPv6 addresses */
    range *ranges;
    ipv6_range *ipv6_ranges;
    column *texts; /* the short ones first */
} test;

struct where {
    char *program, *names; /* cut into words; tests have their texts, and fields their names there */
    field *fields;
    test *tests;
    size_t fields_number, tests_number;
    bool has_service;
    const reader *reads;
};

/* --- the program --- */

static int digit_of(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Read pairs of hexadecimal digits in place. Returns how many bytes they are; -1 if there is anything else. */
static int64_t take_bytes(char *digits, size_t length) {
    for (size_t i = 0; i < length; i += 2) {
        int high = digit_of(digits[i]), low = i + 1 < length ? digit_of(digits[i + 1]) : -1;
        if (high < 0 || low < 0)
            return -1;
        digits[i / 2] = (char)(high << 4 | low);
    }
    return (int64_t)(length / 2);
}

static bool take_decimal(const char *digits, size_t length, int64_t *number) {
    *number = 0;
    if (!length || length > 18)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!is_digit((uint8_t)digits[i]))
            return false;
        *number = *number * 10 + (digits[i] - '0');
    }
    return true;
}

static int64_t ipv4_of(const char *bytes) {
    const uint8_t *b = (const uint8_t *)bytes;
    return (int64_t)((uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]);
}

/* Read `LOW-HIGH`, which is above the ranges before it. */
static bool take_range(test *t, char *low, size_t length) {
    char *high = memchr(low, '-', length);
    if (!high++)
        return false;
    size_t low_length = (size_t)(high - low) - 1, high_length = length - low_length - 1;
    range *one = &t->ranges[t->number];
    if (t->kind == 'n') {
        if (!take_decimal(low, low_length, &one->low) || !take_decimal(high, high_length, &one->high))
            return false;
    } else {
        if (low_length != high_length || take_bytes(low, low_length) < 0 || take_bytes(high, high_length) < 0)
            return false;
        if (low_length == 32) {
            ipv6_range *last = &t->ipv6_ranges[t->ipv6_number++];
            memcpy(last->low, low, 16);
            memcpy(last->high, high, 16);
            return memcmp(last->low, last->high, 16) <= 0 &&
                   (t->ipv6_number == 1 || memcmp(last[-1].high, last->low, 16) < 0);
        }
        if (low_length != 8 || t->ipv6_number)
            return false;
        one->low = ipv4_of(low);
        one->high = ipv4_of(high);
    }
    return one->low <= one->high && (!t->number++ || one[-1].high < one->low);
}

static int compare_texts(const void *a, const void *b) {
    const column *one = a, *other = b;
    if (one->length != other->length)
        return one->length < other->length ? -1 : 1;
    return memcmp(one->text, other->text, one->length);
}

static bool suits(char kind, enum what what) {
    switch (kind) {
    case 'n':
        return what != TEXT && what != ADDRESS && what != SIDE;
    case 'a':
        return what == ADDRESS;
    default:
        return kind == 't';
    }
}

/* Take the fields of a program, KIND:FIELD. Returns 0, or the number of the error. */
static int take_fields(where *w) {
    size_t most = 1, kinds = sizeof KINDS / sizeof *KINDS;
    for (const char *c = w->names; *c; c++)
        most += *c == ' ';
    if (!(w->fields = calloc(most, sizeof *w->fields)))
        return ENOMEM;
    char *rest = w->names;
    for (char *word = strtok_r(rest, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *name = strchr(word, ':');
        size_t kind = 0;
        if (!name)
            return EINVAL;
        *name++ = 0;
        while (kind < kinds && strcmp(KINDS[kind], word))
            kind++;
        if (kind == kinds)
            return EINVAL;
        w->fields[w->fields_number++] = (field){.name = name, .what = (enum what)kind};
        w->has_service |= kind >= SERVICE_PORT;
    }
    return 0;
}

static field *find_field(const where *w, const char *name) {
    for (size_t i = 0; i < w->fields_number; i++) {
        if (!strcmp(w->fields[i].name, name))
            return &w->fields[i];
    }
    return NULL;
}

/* Read `FIELD:KIND:VALUE+VALUE`. Returns 0, or the number of the error. */
static int take_test(where *w, char *word) {
    char *colon = strchr(word, ':');
    if (!colon || !colon[1] || colon[2] != ':')
        return EINVAL;
    *colon = 0;
    test *t = &w->tests[w->tests_number++];
    t->kind = colon[1];
    t->of = find_field(w, word);
    if (!t->of || !suits(t->kind, t->of->what))
        return EINVAL;
    size_t most = 1;
    for (const char *c = colon + 3; *c; c++)
        most += *c == '+';
    if (t->kind == 't' ? !(t->texts = calloc(most, sizeof *t->texts))
                       : !(t->ranges = calloc(most, sizeof *t->ranges)) ||
                             (t->kind == 'a' && !(t->ipv6_ranges = calloc(most, sizeof *t->ipv6_ranges))))
        return ENOMEM;
    char *value = colon + 3;
    for (size_t i = 0; i < most; i++) {
        size_t length = strcspn(value, "+");
        if (t->kind == 't') {
            int64_t bytes = take_bytes(value, length);
            if (bytes < 0)
                return EINVAL;
            t->texts[t->number++] = (column){(const uint8_t *)value, (size_t)bytes};
        } else if (!take_range(t, value, length)) {
            return EINVAL;
        }
        value += length + 1;
    }
    if (t->kind == 't')
        qsort(t->texts, t->number, sizeof *t->texts, compare_texts);
    return 0;
}

/* What the result of an operand decides: the next test when it holds and when it does not. Of the left operand of
 * `and` and `or`, one of them is where the right one begins, which is not known until that one is placed. */
typedef struct {
    int32_t when_true, when_false;
    char left_of; /* `a` of `and`, `o` of `or`, 0 for anything else */
} operand;

/* Give each test the next ones, from the last word to the first. `open` has room for the operands that are not placed
 * yet: no more than there are words. Returns false when a word lacks operands, or some are left. */
static bool place_tests(where *w, const char *words, size_t number, operand *open) {
    size_t opened = 1;
    int32_t begins = 0; /* the first test of what was placed last */
    open[0] = (operand){HOLDS, FAILS, 0};
    for (size_t i = number, test_number = w->tests_number; i-- > 0;) {
        if (!opened)
            return false;
        operand now = open[--opened];
        if (now.left_of == 'a')
            now.when_true = begins;
        if (now.left_of == 'o')
            now.when_false = begins;
        switch (words[i]) {
        case 'n':
            open[opened++] = (operand){now.when_false, now.when_true, 0};
            break;
        case 'a':
        case 'o':
            open[opened++] = (operand){now.when_true, now.when_false, words[i]};
            open[opened++] = (operand){now.when_true, now.when_false, 0};
            break;
        default:
            begins = (int32_t)--test_number;
            w->tests[begins].when_true = now.when_true;
            w->tests[begins].when_false = now.when_false;
        }
    }
    return !opened;
}

/* Read the words of a program. Returns 0, or the number of the error. */
static int take_program(where *w) {
    size_t number = 1;
    for (const char *c = w->program; *c; c++)
        number += *c == ',';
    if (number > INT32_MAX)
        return EINVAL;
    char *words = calloc(number, 1); /* the first letter of an operator, 0 for a test */
    operand *open = calloc(number + 1, sizeof *open);
    w->tests = calloc(number, sizeof *w->tests);
    int error = words && open && w->tests ? 0 : ENOMEM;
    char *word = w->program;
    for (size_t i = 0; i < number && !error; i++) {
        size_t length = strcspn(word, ",");
        word[length] = 0;
        if (!strcmp(word, "and") || !strcmp(word, "or") || !strcmp(word, "not"))
            words[i] = word[0];
        else
            error = take_test(w, word);
        word += length + 1;
    }
    if (!error && !place_tests(w, words, number, open))
        error = EINVAL;
    free(words);
    free(open);
    return error;
}

where *where_new(const char *program, const char *fields) {
    where *w = calloc(1, sizeof *w);
    int error = w && (w->program = strdup(program)) && (w->names = strdup(fields)) ? take_fields(w) : ENOMEM;
    if (!error)
        error = take_program(w);
    if (error) {
        where_free(w);
        w = NULL;
    }
    errno = error;
    return w;
}

void where_free(where *w) {
    if (!w)
        return;
    for (size_t i = 0; i < w->tests_number; i++) {
        free(w->tests[i].ranges);
        free(w->tests[i].ipv6_ranges);
        free(w->tests[i].texts);
    }
    free(w->tests);
    free(w->fields);
    free(w->program);
    free(w->names);
    free(w);
}

/* --- records --- */

void where_set_layout(where *w, reader *r) {
    w->reads = r;
    for (size_t i = 0; i < w->fields_number; i++) {
        if (w->fields[i].what >= SERVICE_PORT)
            continue;
        w->fields[i].column = need(r, w->fields[i].name);
        if (w->fields[i].what <= ADDRESS)
            use_text(r, w->fields[i].column);
    }
    for (size_t i = 0; i < w->tests_number; i++) {
        if (w->tests[i].kind == 't' && w->tests[i].of->what < SERVICE_PORT)
            use_text(r, w->tests[i].of->column);
    }
    if (w->has_service) {
        need(r, "srcport");
        need(r, "dstport");
        use_service(r);
    }
}

static void take_service(field *f, const service *found) {
    static const char *const SIDES[] = {"-", "src", "dst", "both"};
    if (f->what == SIDE) {
        f->text = (column){(const uint8_t *)SIDES[found->side], strlen(SIDES[found->side])};
        return;
    }
    f->number = f->what == SERVICE_PORT ? found->service : found->client;
    f->digits[0] = '-';
    f->text = (column){f->digits, f->number < 0 ? 1 : (size_t)(print_number(f->digits, (uint64_t)f->number) - f->digits)};
}

/* Read a value that is not `-`. */
static enum tally take_value(const where *w, field *f) {
    uint32_t bits;
    switch (f->what) {
    case ADDRESS:
        if (take_ipv4(w->reads, f->column, f->text, &bits))
            f->number = bits;
        else if (!(f->is_ipv6 = parse_ipv6(f->text, f->ipv6)))
            return MALFORMED_ADDRESS;
        return COUNTED;
    case PORT:
        f->number = take_port(w->reads, f->column, f->text);
        return f->number < 0 ? MALFORMED_PORT : COUNTED;
    case PROTOCOL:
        f->number = take_port(w->reads, f->column, f->text);
        return f->number < 0 || f->number > LARGEST_PROTOCOL ? MALFORMED_NUMBER : COUNTED;
    case NUMBER:
        f->number = take_number(w->reads, f->column, f->text);
        return f->number < 0 ? MALFORMED_NUMBER : COUNTED;
    case TIME_OF:
        f->number = take_time(w->reads, f->column, f->text);
        return f->number < 0 ? MALFORMED_NUMBER : COUNTED;
    default:
        return COUNTED;
    }
}

static bool is_in_ranges(const test *t, int64_t number) {
    const range *from = t->ranges;
    for (size_t left = t->number; left > 1;) { /* the last range that does not begin above */
        size_t half = left / 2;
        from += from[half].low <= number ? half : 0;
        left -= half;
    }
    return t->number && number >= from->low && number <= from->high;
}

static bool is_in_ipv6_ranges(const test *t, const uint8_t *address) {
    const ipv6_range *from = t->ipv6_ranges;
    for (size_t left = t->ipv6_number; left > 1;) {
        size_t half = left / 2;
        from += memcmp(from[half].low, address, 16) <= 0 ? half : 0;
        left -= half;
    }
    return t->ipv6_number && memcmp(from->low, address, 16) <= 0 && memcmp(address, from->high, 16) <= 0;
}

static bool holds(const test *t) {
    const field *f = t->of;
    if (t->kind == 't')
        return t->number == 1 ? f->text.length == t->texts->length && !compare_texts(&f->text, t->texts)
                              : bsearch(&f->text, t->texts, t->number, sizeof *t->texts, compare_texts) != NULL;
    return f->is_ipv6 ? is_in_ipv6_ranges(t, f->ipv6) : f->number >= 0 && is_in_ranges(t, f->number);
}

enum tally where_examine(where *w, const uint8_t *base, const uint32_t *at) {
    service found;
    bool has_found = false;
    for (field *f = w->fields, *end = f + w->fields_number; f < end; f++) {
        enum tally verdict = COUNTED;
        f->number = -1;
        f->is_ipv6 = false;
        if (f->what >= SERVICE_PORT) {
            if (!has_found && (verdict = service_of(w->reads, base, at, &found)) != COUNTED)
                return verdict;
            has_found = true;
            take_service(f, &found);
            continue;
        }
        f->text = COLUMN(f->column);
        if (!is_text(f->text, "-", 1) && (verdict = take_value(w, f)) != COUNTED)
            return verdict;
    }
    int32_t next = 0;
    do {
        const test *t = &w->tests[next];
        next = holds(t) ? t->when_true : t->when_false;
    } while (next >= 0);
    return next == HOLDS ? COUNTED : WHERE;
}
