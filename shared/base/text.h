/*
 * A view of bytes that somebody else owns (pointer and length, not NUL-terminated), with the
 * few operations that parsers need, and a bounded writer of text. Nothing here allocates.
 */
#ifndef SHARED_BASE_TEXT_H
#define SHARED_BASE_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
    const char *data;
    size_t len;
};
#define TEXT(literal) ((struct text){(literal), sizeof(literal) - 1})

static inline struct text text_of(const char *s)
{
    return (struct text){s ? s : "", s ? strlen(s) : 0};
}
static inline bool text_equal(struct text a, struct text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
bool text_equal_nocase(struct text a, struct text b); /* ASCII only */
bool text_starts_with(struct text t, struct text prefix);
bool text_ends_with(struct text t, struct text suffix);
struct text text_trim(struct text t); /* spaces and tabs off both ends */
/* Splits at the first `at`: *ret_head is what is before, the result what is after; false: no
 * `at`. */
bool text_split(struct text t, char at, struct text *ret_head, struct text *ret_tail);
/* Whole text as a decimal number, no sign, no blanks; -EINVAL, -ERANGE (greater than max). */
int text_to_u64(struct text t, uint64_t max, uint64_t *ret);
/* Seconds, or numbers with units one after another, as Go and the Gateway API write them: "10",
 * "10s", "5m", "24h", "1500ms", "2d", "0.5s", "1h30m". What is below a millisecond is dropped.
 * -EINVAL, -ERANGE. */
int text_to_duration_ms(struct text t, uint64_t *ret_ms);
char text_lower(char c);    /* ASCII only */
int text_hex_digit(char c); /* 0 to 15; -1: none */
/* The byte that "%41" at the front of t stands for (RFC 3986 section 2.1); -1: there is none. */
int text_percent_byte(struct text t);
char *text_dup(struct text t);    /* heap, NUL-terminated; NULL: no memory */
bool text_is_utf8(struct text t); /* well-formed: no overlong forms, no surrogates */
/* Takes the next character off the front of *t and writes it as it stands inside a JSON string:
 * control characters (DEL and C1 too), quotes and backslashes escaped, bytes that are no UTF-8 as
 * \ufffd. Returns the bytes written, 0 at the end. */
enum { TEXT_ESCAPE_MAX = 8 };
size_t text_escape_next(struct text *t, char out[static TEXT_ESCAPE_MAX]);

/* A bounded writer. When it is full it drops the rest and remembers so in `overflow`; what is in
 * `data` is always NUL-terminated. The memory belongs to the caller. */
struct text_out {
    char *data;
    size_t len, size;
    bool overflow;
};
#define TEXT_OUT(array) ((struct text_out){memset((array), 0, 1), 0, sizeof(array), false})
void text_put(struct text_out *o, struct text t);
void text_puts(struct text_out *o, const char *s);
void text_putc(struct text_out *o, char c);
void text_printf(struct text_out *o, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A growing text with a maximum, on the heap: for dumps and answers, not for the data path. */
struct text_heap {
    char *data; /* NUL-terminated; NULL while empty */
    size_t len, size, max;
    bool failed; /* no memory, or more than max: what was written since is lost */
};
void text_heap_init(struct text_heap *h, size_t max);
void text_heap_put(struct text_heap *h, struct text t);
void text_heap_puts(struct text_heap *h, const char *s);
void text_heap_printf(struct text_heap *h, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void text_heap_done(struct text_heap *h);
#endif
