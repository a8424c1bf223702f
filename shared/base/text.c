#include "shared/base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

char text_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool text_equal_nocase(struct text a, struct text b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (text_lower(a.data[i]) != text_lower(b.data[i]))
            return false;
    return true;
}

bool text_starts_with(struct text t, struct text prefix)
{
    return t.len >= prefix.len && text_equal((struct text){t.data, prefix.len}, prefix);
}

bool text_ends_with(struct text t, struct text suffix)
{
    if (t.len < suffix.len)
        return false;
    return text_equal((struct text){t.data + (t.len - suffix.len), suffix.len}, suffix);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct text text_trim(struct text t)
{
    while (t.len > 0 && is_blank(t.data[0])) {
        t.data++;
        t.len--;
    }
    while (t.len > 0 && is_blank(t.data[t.len - 1]))
        t.len--;
    return t;
}

bool text_split(struct text t, char at, struct text *ret_head, struct text *ret_tail)
{
    const char *found = t.len > 0 ? memchr(t.data, at, t.len) : NULL;
    if (!found)
        return false;
    size_t before = (size_t)(found - t.data);
    *ret_head = (struct text){t.data, before};
    *ret_tail = (struct text){found + 1, t.len - before - 1};
    return true;
}

int text_to_u64(struct text t, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;

    if (t.len == 0)
        return -EINVAL;
    /* First the whole shape, so that "99999x" is no number rather than one out of range. */
    for (size_t i = 0; i < t.len; i++)
        if (t.data[i] < '0' || t.data[i] > '9')
            return -EINVAL;
    for (size_t i = 0; i < t.len; i++) {
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(t.data[i] - '0'), &value) || value > max)
            return -ERANGE;
    }
    *ret = value;
    return 0;
}

static uint64_t unit_ms(struct text unit)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600 * 1000},
    };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (text_equal(unit, text_of(units[i].name)))
            return units[i].ms;
    return 0;
}

static size_t count_while(struct text t, size_t from, bool digits)
{
    size_t i = from;
    while (i < t.len && (t.data[i] >= '0' && t.data[i] <= '9') == digits &&
           (digits || t.data[i] != '.'))
        i++;
    return i - from;
}

/* The decimals of one number, in milliseconds of its unit; what is below a millisecond is
 * dropped. */
static uint64_t fraction_ms(struct text digits, uint64_t ms)
{
    uint64_t sum = 0, scale = 1;
    for (size_t i = 0; i < digits.len && i < 9; i++) {
        scale *= 10;
        sum = sum * 10 + (uint64_t)(digits.data[i] - '0');
    }
    return sum * ms / scale;
}

int text_to_duration_ms(struct text t, uint64_t *ret_ms)
{
    uint64_t sum = 0;
    size_t at = 0;

    if (t.len == 0)
        return -EINVAL;
    while (at < t.len) {
        struct text whole = {t.data + at, count_while(t, at, true)}, fraction = {"", 0};
        size_t start = at;
        at += whole.len;
        if (at < t.len && t.data[at] == '.') {
            at++;
            fraction = (struct text){t.data + at, count_while(t, at, true)};
            at += fraction.len;
            if (fraction.len == 0)
                return -EINVAL;
        }
        struct text unit = {t.data + at, count_while(t, at, false)};
        at += unit.len;
        bool alone = start == 0 && at == t.len;
        uint64_t ms = unit.len == 0 && alone ? 1000 : unit_ms(unit);
        uint64_t value;
        if (whole.len == 0 || ms == 0)
            return -EINVAL;
        int r = text_to_u64(whole, UINT64_MAX, &value);
        if (r < 0)
            return r;
        if (__builtin_mul_overflow(value, ms, &value) || __builtin_add_overflow(sum, value, &sum) ||
            __builtin_add_overflow(sum, fraction_ms(fraction, ms), &sum))
            return -ERANGE;
    }
    *ret_ms = sum;
    return 0;
}

int text_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int text_percent_byte(struct text t)
{
    if (t.len < 3 || t.data[0] != '%')
        return -1;
    int high = text_hex_digit(t.data[1]), low = text_hex_digit(t.data[2]);
    return high >= 0 && low >= 0 ? high * 16 + low : -1;
}

char *text_dup(struct text t)
{
    char *copy = malloc(t.len + 1);
    if (!copy)
        return NULL;
    if (t.len > 0)
        memcpy(copy, t.data, t.len);
    copy[t.len] = '\0';
    return copy;
}

/* Bytes of the UTF-8 character at the start of t, by Unicode table 3-7; 0: not well-formed. */
static size_t utf8_len(struct text t, uint32_t *ret_point)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *u = (const unsigned char *)t.data;
    size_t n = u[0] < 0x80   ? 1
               : u[0] < 0xc2 ? 0
               : u[0] < 0xe0 ? 2
               : u[0] < 0xf0 ? 3
               : u[0] < 0xf5 ? 4
                             : 0;
    uint32_t point;

    if (n == 0 || n > t.len)
        return 0;
    point = n == 1 ? u[0] : u[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((u[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (u[i] & 0x3fu);
    }
    if (point < least[n] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return 0;
    *ret_point = point;
    return n;
}

bool text_is_utf8(struct text t)
{
    uint32_t point;
    for (size_t i = 0; i < t.len;) {
        size_t n = utf8_len((struct text){t.data + i, t.len - i}, &point);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

size_t text_escape_next(struct text *t, char out[static TEXT_ESCAPE_MAX])
{
    static const char hex[] = "0123456789abcdef";
    static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    uint32_t point;

    if (t->len == 0)
        return 0;
    size_t n = utf8_len(*t, &point);
    if (n == 0) {
        point = 0xfffd;
        n = 1;
    } else if (point >= 0x20 && point != '"' && point != '\\' && (point < 0x7f || point > 0x9f)) {
        memcpy(out, t->data, n);
        t->data += n;
        t->len -= n;
        return n;
    }
    t->data += n;
    t->len -= n;
    out[0] = '\\';
    for (size_t i = 0; i + 1 < sizeof named - 1; i += 2) {
        if (point == (unsigned char)named[i]) {
            out[1] = named[i + 1];
            return 2;
        }
    }
    out[1] = 'u';
    for (unsigned i = 0; i < 4; i++)
        out[2 + i] = hex[point >> (12 - 4 * i) & 15];
    return 6;
}

void text_put(struct text_out *o, struct text t)
{
    if (o->size == 0 || o->len >= o->size) {
        o->overflow = o->overflow || t.len > 0;
        return;
    }
    size_t room = o->size - 1 - o->len;
    size_t n = t.len < room ? t.len : room;
    if (n < t.len)
        o->overflow = true;
    if (n > 0)
        memcpy(o->data + o->len, t.data, n);
    o->len += n;
    o->data[o->len] = '\0';
}

void text_puts(struct text_out *o, const char *s)
{
    text_put(o, text_of(s));
}

void text_putc(struct text_out *o, char c)
{
    text_put(o, (struct text){&c, 1});
}

void text_printf(struct text_out *o, const char *format, ...)
{
    va_list args;
    size_t room = o->len < o->size ? o->size - o->len : 0;

    va_start(args, format);
    int n = vsnprintf(room > 0 ? o->data + o->len : NULL, room, format, args);
    va_end(args);
    if (n < 0) {
        o->overflow = true;
        if (room > 0)
            o->data[o->len] = '\0';
    } else if ((size_t)n < room) {
        o->len += (size_t)n;
    } else {
        o->overflow = o->overflow || n > 0;
        if (room > 0)
            o->len = o->size - 1;
    }
}

void text_heap_init(struct text_heap *h, size_t max)
{
    *h = (struct text_heap){.max = max};
}

/* Room for `more` bytes and the NUL; false, and failed is set: none. */
static bool heap_grow(struct text_heap *h, size_t more)
{
    if (h->failed || more > h->max - h->len) {
        h->failed = true;
        return false;
    }
    size_t need = h->len + more + 1;
    if (need <= h->size)
        return true;
    size_t size = h->size > 0 ? h->size : 256;
    while (size < need)
        size = size > SIZE_MAX / 2 ? need : size * 2;
    char *data = realloc(h->data, size);
    if (!data) {
        h->failed = true;
        return false;
    }
    h->data = data;
    h->size = size;
    return true;
}

void text_heap_put(struct text_heap *h, struct text t)
{
    if (!heap_grow(h, t.len))
        return;
    if (t.len > 0)
        memcpy(h->data + h->len, t.data, t.len);
    h->len += t.len;
    h->data[h->len] = '\0';
}

void text_heap_puts(struct text_heap *h, const char *s)
{
    text_heap_put(h, text_of(s));
}

void text_heap_printf(struct text_heap *h, const char *format, ...)
{
    va_list args, again;

    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        h->failed = true;
    else if (heap_grow(h, (size_t)n)) {
        (void)vsnprintf(h->data + h->len, (size_t)n + 1, format, again);
        h->len += (size_t)n;
    }
    va_end(again);
}

void text_heap_done(struct text_heap *h)
{
    free(h->data);
    *h = (struct text_heap){.max = h->max};
}
