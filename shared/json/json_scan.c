#include "shared/json/json_scan.h"

#include <errno.h>
#include <stdlib.h>

struct scan {
    const struct json_limits *limits;
    struct text t;
    size_t at;
    uint32_t line;
    unsigned depth;
    struct json_place *places;
    size_t n, size;
    struct json_error *error;
};

static int fail(struct scan *s, int error, const char *why)
{
    if (!json_failed(s->error)) {
        struct text_out o = TEXT_OUT(s->error->text);
        text_puts(&o, why);
        s->error->line = s->line;
    }
    return error;
}

static int peek(const struct scan *s) /* -1: the end */
{
    return s->at < s->t.len ? (unsigned char)s->t.data[s->at] : -1;
}

static void skip_blank(struct scan *s)
{
    for (int c; (c = peek(s)) == ' ' || c == '\t' || c == '\n' || c == '\r'; s->at++)
        if (c == '\n')
            s->line++;
}

static int add_place(struct scan *s)
{
    if (s->n >= s->limits->nodes_max)
        return fail(s, -E2BIG, "too many values");
    if (s->n == s->size) {
        size_t size = s->size > 0 ? s->size * 2 : 64;
        struct json_place *places = realloc(s->places, size * sizeof *places);
        if (!places)
            return fail(s, -ENOMEM, "out of memory");
        s->places = places;
        s->size = size;
    }
    s->places[s->n++] = (struct json_place){(uint32_t)s->at, s->line};
    return 0;
}

static int hex4(const struct scan *s, size_t at)
{
    int value = 0;
    if (s->t.len - at < 4)
        return -1;
    for (size_t i = at; i < at + 4; i++) {
        int digit = text_hex_digit(s->t.data[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* After the backslash. A \u0000 would end the string early for who reads it as a C string. */
static int scan_escape(struct scan *s)
{
    int c = peek(s);

    s->at++;
    if (c > 0 && strchr("\"\\/bfnrt", c))
        return 0;
    int unit = c == 'u' ? hex4(s, s->at) : -1;
    if (unit < 0)
        return fail(s, -EINVAL, "a string has an escape that JSON does not know");
    if (unit == 0)
        return fail(s, -EINVAL, "a string holds a NUL");
    s->at += 4;
    if (unit < 0xd800 || unit > 0xdfff)
        return 0;
    if (unit < 0xdc00 && s->t.len - s->at >= 6 && s->t.data[s->at] == '\\' &&
        s->t.data[s->at + 1] == 'u') {
        int low = hex4(s, s->at + 2);
        s->at += 6;
        if (low >= 0xdc00 && low <= 0xdfff)
            return 0;
    }
    return fail(s, -EINVAL, "a string has half a surrogate pair");
}

static int scan_string(struct scan *s)
{
    size_t start = ++s->at;

    for (;;) {
        int c = peek(s);
        if (c < 0)
            return fail(s, -EINVAL, "a string does not end");
        if (c < 0x20)
            return fail(s, -EINVAL, "a string holds a control character that is not escaped");
        s->at++;
        if (c == '"')
            break;
        if (c == '\\') {
            int r = scan_escape(s);
            if (r < 0)
                return r;
        }
    }
    if (!text_is_utf8((struct text){s->t.data + start, s->at - start}))
        return fail(s, -EINVAL, "a string is not UTF-8");
    return 0;
}

static size_t skip_digits(struct scan *s)
{
    size_t start = s->at;
    for (int c; (c = peek(s)) >= '0' && c <= '9'; s->at++)
        ;
    return s->at - start;
}

static int scan_number(struct scan *s)
{
    size_t start = s->at;

    if (peek(s) == '-')
        s->at++;
    bool zero = peek(s) == '0';
    size_t n = skip_digits(s);
    bool ok = n > 0 && !(zero && n > 1);
    if (ok && peek(s) == '.') {
        s->at++;
        ok = skip_digits(s) > 0;
    }
    if (ok && (peek(s) == 'e' || peek(s) == 'E')) {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-')
            s->at++;
        ok = skip_digits(s) > 0;
    }
    if (!ok)
        return fail(s, -EINVAL, "a number has a form that JSON does not know");
    if (s->at - start > JSON_NUMBER_BYTES_MAX)
        return fail(s, -E2BIG, "a number is too long");
    return 0;
}

static int scan_word(struct scan *s, struct text word)
{
    if (!text_starts_with((struct text){s->t.data + s->at, s->t.len - s->at}, word))
        return fail(s, -EINVAL, "a value is expected");
    s->at += word.len;
    return 0;
}

static int scan_value(struct scan *s);

static int scan_name(struct scan *s)
{
    if (peek(s) != '"')
        return fail(s, -EINVAL, "a name in quotes is expected");
    int r = scan_string(s);
    if (r < 0)
        return r;
    skip_blank(s);
    if (peek(s) != ':')
        return fail(s, -EINVAL, "a colon is expected after a name");
    s->at++;
    skip_blank(s);
    return 0;
}

static int scan_container(struct scan *s, char end)
{
    int r = 0;

    s->at++;
    if (++s->depth > s->limits->depth_max)
        return fail(s, -E2BIG, "too many arrays and objects in one another");
    skip_blank(s);
    if (peek(s) != end) {
        for (;;) {
            if (end == '}')
                r = scan_name(s);
            if (r == 0)
                r = scan_value(s);
            if (r < 0)
                return r;
            skip_blank(s);
            if (peek(s) != ',')
                break;
            s->at++;
            skip_blank(s);
        }
        if (peek(s) != end)
            return fail(s, -EINVAL,
                        end == '}' ? "a comma or } is expected" : "a comma or ] is expected");
    }
    s->at++;
    s->depth--;
    return 0;
}

/* Recursion is bounded by depth_max. */
static int scan_value(struct scan *s)
{
    int c = peek(s), r = add_place(s);

    if (r < 0)
        return r;
    switch (c) {
    case '{':
        return scan_container(s, '}');
    case '[':
        return scan_container(s, ']');
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, TEXT("true"));
    case 'f':
        return scan_word(s, TEXT("false"));
    case 'n':
        return scan_word(s, TEXT("null"));
    default:
        if (c == '-' || (c >= '0' && c <= '9'))
            return scan_number(s);
        return fail(s, -EINVAL,
                    c < 0 ? "the text ends where a value is expected" : "a value is expected");
    }
}

int json_scan(struct text t, const struct json_limits *limits, struct json_place **ret_places,
              size_t *ret_n, struct json_error *ret_error)
{
    struct scan s = {.limits = limits, .t = t, .line = 1, .error = ret_error};

    int r = t.len > limits->bytes_max || t.len > UINT32_MAX
                ? fail(&s, -E2BIG, "the text is too long")
                : 0;
    if (r == 0) {
        skip_blank(&s);
        r = scan_value(&s);
    }
    if (r == 0) {
        skip_blank(&s);
        if (s.at < t.len)
            r = fail(&s, -EINVAL, "something follows after the value");
    }
    if (r < 0) {
        free(s.places);
        return r;
    }
    *ret_places = s.places;
    *ret_n = s.n;
    return 0;
}
