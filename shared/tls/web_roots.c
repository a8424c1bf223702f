#include "shared/tls/web_roots.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "shared/base/file.h"
#include "shared/tls/pem.h"
#include "shared/tls/x509_view.h"

struct web_roots {
    atomic_uint refs;
    size_t n;
    struct x509_view *views; /* into bytes */
    uint8_t *bytes;
};

static struct web_roots *roots_free(struct web_roots *r)
{
    free(r->views);
    free(r->bytes);
    free(r);
    return NULL;
}

/* How many certificates the text holds, and at most how many bytes they are. */
static int measure(struct text pem, size_t *ret_n, size_t *ret_bytes)
{
    struct pem_block block;
    int more;
    *ret_n = *ret_bytes = 0;
    while ((more = pem_next(&pem, &block)) > 0)
        if (text_equal(block.label, TEXT("CERTIFICATE"))) {
            ++*ret_n;
            *ret_bytes += block.body.len;
        }
    return more;
}

/* Where its bytes end up; false: it is none that could be an issuer. */
static bool take(struct web_roots *r, struct text body, size_t *used)
{
    const char *why;
    size_t len;
    uint8_t *at = r->bytes + *used;
    if (pem_decode(body, at, body.len, &len) < 0)
        return false;
    struct x509_view *v = &r->views[r->n];
    if (!x509_view_parse((struct der){at, len}, v, &why) || !v->is_ca)
        return false;
    *used += len;
    r->n++;
    return true;
}

int web_roots_from_pem(struct text pem, struct web_roots **ret, size_t *ret_left_out,
                       const char **ret_why)
{
    size_t n, bytes, used = 0, left_out = 0;
    struct pem_block block;

    *ret_why = "too many bytes";
    if (pem.len > WEB_ROOTS_BYTES_MAX)
        return -E2BIG;
    *ret_why = "a PEM block has no end";
    if (measure(pem, &n, &bytes) < 0)
        return -EINVAL;
    *ret_why = n == 0 ? "no certificate in PEM" : "too many certificates";
    if (n == 0 || n > WEB_ROOTS_MAX)
        return -EINVAL;
    *ret_why = "out of memory";
    struct web_roots *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    atomic_init(&r->refs, 1);
    r->views = calloc(n, sizeof *r->views);
    r->bytes = malloc(bytes + 1);
    if (!r->views || !r->bytes) {
        roots_free(r);
        return -ENOMEM;
    }
    while (pem_next(&pem, &block) > 0)
        if (text_equal(block.label, TEXT("CERTIFICATE")))
            left_out += !take(r, block.body, &used);
    if (r->n == 0) {
        *ret_why = "no CA certificate";
        roots_free(r);
        return -EINVAL;
    }
    if (ret_left_out)
        *ret_left_out = left_out;
    *ret_why = NULL;
    *ret = r;
    return 0;
}

int web_roots_read(const char *path, struct web_roots **ret, size_t *ret_left_out,
                   const char **ret_why)
{
    size_t len;
    *ret_why = "out of memory";
    char *text = malloc(WEB_ROOTS_BYTES_MAX + 1);
    if (!text)
        return -ENOMEM;
    *ret_why = "it can't be read";
    int r = file_read(path, 0, text, WEB_ROOTS_BYTES_MAX + 1, &len);
    if (r == 0)
        r = web_roots_from_pem((struct text){text, len}, ret, ret_left_out, ret_why);
    free(text);
    return r;
}

struct web_roots *web_roots_ref(struct web_roots *r)
{
    unsigned before = atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    assert(before > 0);
    return r;
}

struct web_roots *web_roots_unref(struct web_roots *r)
{
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    return roots_free(r);
}

size_t web_roots_views(const struct web_roots *r, const struct x509_view **ret)
{
    *ret = r->views;
    return r->n;
}
