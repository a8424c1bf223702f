#define _GNU_SOURCE
#include "shared/tls/pem.h"

#include "shared/base/base64.h"
#include <errno.h>

enum { LINE_BYTES = 48 }; /* which are 64 letters */

static const char dashes[] = "-----";

/* Finds "-----WORD label-----" on a line of its own. */
static bool find_line(struct text in, const char *word, struct text *ret_label,
                      struct text *ret_before, struct text *ret_after)
{
    const char *p = in.data, *end = in.data + in.len;
    size_t n_word = strlen(word), n_dashes = sizeof dashes - 1;

    while (p < end) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        const char *next = line_end ? line_end + 1 : end;
        if (!line_end)
            line_end = end;
        const char *last = line_end;
        while (last > p && (last[-1] == '\r' || last[-1] == ' ' || last[-1] == '\t'))
            last--;
        size_t len = (size_t)(last - p);
        if (len >= 2 * n_dashes + n_word && memcmp(p, dashes, n_dashes) == 0 &&
            memcmp(p + n_dashes, word, n_word) == 0 &&
            memcmp(last - n_dashes, dashes, n_dashes) == 0) {
            const char *label = p + n_dashes + n_word;
            *ret_label = (struct text){label, (size_t)(last - n_dashes - label)};
            *ret_before = (struct text){in.data, (size_t)(p - in.data)};
            *ret_after = (struct text){next, (size_t)(end - next)};
            return true;
        }
        p = next;
    }
    return false;
}

int pem_next(struct text *pem, struct pem_block *ret)
{
    struct text label, end_label, before, after, body;

    if (!find_line(*pem, "BEGIN ", &label, &before, &after)) {
        pem->data += pem->len;
        pem->len = 0;
        return 0;
    }
    if (!find_line(after, "END ", &end_label, &body, &after) || !text_equal(label, end_label))
        return -EINVAL;
    *ret = (struct pem_block){label, body};
    *pem = after;
    return 1;
}

/* No table lookup: what is decoded may be a secret, and tables leave traces in the cache. */
static unsigned sextet(unsigned char c)
{
    unsigned upper = c - 'A', lower = c - 'a', digit = c - '0';
    if (upper < 26)
        return upper;
    if (lower < 26)
        return lower + 26;
    if (digit < 10)
        return digit + 52;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

int pem_decode(struct text body, uint8_t *out, size_t size, size_t *ret_len)
{
    uint32_t group = 0;
    size_t n_group = 0, n_pad = 0, len = 0;

    for (size_t i = 0; i < body.len; i++) {
        unsigned char c = (unsigned char)body.data[i];
        if (c == '\n' || c == '\r' || c == ' ' || c == '\t')
            continue;
        if (c == '=') {
            if (++n_pad > 2 || n_group < 2)
                return -EINVAL;
            group <<= 6;
        } else {
            unsigned s = sextet(c);
            if (s > 63 || n_pad > 0)
                return -EINVAL;
            group = group << 6 | s;
        }
        if (++n_group < 4)
            continue;
        size_t n = 3 - n_pad;
        /* The bits that padding leaves over must be zero: one text per value. */
        if (group & ((1u << (8 * n_pad)) - 1))
            return -EINVAL;
        if (n > size - len)
            return -ENOBUFS;
        for (size_t k = 0; k < n; k++)
            out[len++] = (uint8_t)(group >> (16 - 8 * k));
        if (n_pad > 0) {
            n_group = 4;
            group = 0;
            for (i++; i < body.len; i++)
                if (!strchr("\r\n \t", body.data[i]) || body.data[i] == '\0')
                    return -EINVAL;
            break;
        }
        n_group = 0;
        group = 0;
    }
    if (n_group != 0 && n_group != 4)
        return -EINVAL;
    *ret_len = len;
    return 0;
}

int pem_encode(const char *label, const uint8_t *der, size_t len, char *out, size_t size,
               size_t *ret_len)
{
    size_t n_base64 = (len + 2) / 3 * 4, n_lines = (n_base64 + 63) / 64;
    size_t frame =
        2 * strlen(label) + sizeof "-----BEGIN -----\n" - 1 + sizeof "-----END -----\n" - 1;

    if (size < n_base64 + n_lines + frame + 1)
        return -ENOBUFS;
    struct text_out o = {out, 0, size, false};
    text_puts(&o, "-----BEGIN ");
    text_puts(&o, label);
    text_puts(&o, "-----\n");
    for (size_t i = 0; i < len; i += LINE_BYTES) {
        base64_put(&o, der + i, len - i < LINE_BYTES ? len - i : LINE_BYTES);
        text_putc(&o, '\n');
    }
    text_puts(&o, "-----END ");
    text_puts(&o, label);
    text_puts(&o, "-----\n");
    *ret_len = o.len;
    return o.overflow ? -ENOBUFS : 0;
}
