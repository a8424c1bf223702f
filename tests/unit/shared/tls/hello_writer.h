/* ClientHellos byte by byte, for tests of what reads them. */
#ifndef TESTS_UNIT_SHARED_TLS_HELLO_WRITER_H
#define TESTS_UNIT_SHARED_TLS_HELLO_WRITER_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { HELLO_MAX = 20000 };
struct hello {
    uint8_t bytes[HELLO_MAX];
    size_t len;
};

static inline void hello_put(struct hello *h, size_t value, size_t n_bytes)
{
    while (n_bytes-- > 0)
        h->bytes[h->len++] = (uint8_t)(value >> (8 * n_bytes));
}

static inline void hello_fill(struct hello *h, size_t n)
{
    memset(h->bytes + h->len, 0x55, n);
    h->len += n;
}

/* name NULL: no such extension. filler: bytes of another extension in front. The message alone. */
static inline struct hello hello_message(const char *name, size_t filler)
{
    struct hello h = {.len = 0};
    size_t n = name ? strlen(name) : 0, extensions = 4 + filler + (name ? 9 + n : 0);
    hello_put(&h, 1, 1);
    hello_put(&h, 2 + 32 + 1 + 32 + 2 + 4 + 1 + 1 + 2 + extensions, 3);
    hello_put(&h, 0x0303, 2);
    hello_fill(&h, 32);
    hello_put(&h, 32, 1);
    hello_fill(&h, 32);
    hello_put(&h, 4, 2);
    hello_put(&h, 0x13011302, 4);
    hello_put(&h, 1, 1);
    hello_put(&h, 0, 1);
    hello_put(&h, extensions, 2);
    hello_put(&h, 21, 2); /* padding */
    hello_put(&h, filler, 2);
    hello_fill(&h, filler);
    if (name) {
        hello_put(&h, 0, 2);
        hello_put(&h, 5 + n, 2);
        hello_put(&h, 3 + n, 2);
        hello_put(&h, 0, 1);
        hello_put(&h, n, 2);
        memcpy(h.bytes + h.len, name, n);
        h.len += n;
    }
    return h;
}

/* In records of at most `most` bytes. */
static inline struct hello hello_records(const struct hello *message, size_t most)
{
    struct hello h = {.len = 0};
    for (size_t at = 0, n; at < message->len; at += n) {
        n = message->len - at < most ? message->len - at : most;
        hello_put(&h, 22, 1);
        hello_put(&h, 0x0301, 2);
        hello_put(&h, n, 2);
        memcpy(h.bytes + h.len, message->bytes + at, n);
        h.len += n;
    }
    return h;
}

static inline struct hello hello_named(const char *name)
{
    const struct hello m = hello_message(name, 0);
    return hello_records(&m, 16384);
}
#endif
