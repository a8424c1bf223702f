/*
 * Certificates as somebody else sends them. The first byte says what the rest is: 'p' a PEM text,
 * else two certificates in DER, the first as long as the next two bytes say: a leaf and what may be
 * its CA.
 * covers: shared/tls/web_name.c shared/tls/web_roots.c shared/tls/x509_view.c shared/tls/x509_verify.c shared/tls/der.c
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shared/tls/name_constraints.h"
#include "shared/tls/signature.h"
#include "shared/tls/web_name.h"
#include "shared/tls/web_roots.h"
#include "shared/tls/x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is true of each certificate that was read. */
static void look_at(const struct x509 *c)
{
    static char pem[X509_PEM_MAX];
    char serial[2 * X509_SERIAL_MAX + 1];
    size_t len;

    assert(strlen(c->uri) == c->uri_len);
    assert(c->uri_len == 0 || c->uri_count == 1);
    assert(c->serial_len >= 1 && c->serial_len <= X509_SERIAL_MAX);
    x509_serial_text(c, serial);
    assert(strlen(serial) == 2 * c->serial_len);
    if (!x509_check_svid_leaf(c))
        assert(!c->is_ca && c->uri_count == 1 && c->usage_digital_signature && !c->usage_cert_sign);
    /* As text and back it is the same. */
    struct x509 again;
    const char *why;
    size_t n;
    assert(x509_to_pem(c, pem, sizeof pem, &len) == 0);
    int r = x509_from_pem((struct text){pem, len}, &again, 1, &n, &why);
    assert(r == 0 && n == 1);
    assert(again.der_len == c->der_len && memcmp(again.der, c->der, c->der_len) == 0);
    x509_done(&again);
}

static void read_roots(struct text pem)
{
    struct web_roots *roots = NULL;
    const struct x509_view *views;
    const char *why = NULL;
    size_t left_out;

    int r = web_roots_from_pem(pem, &roots, &left_out, &why);
    assert((r == 0) == !why);
    if (r < 0)
        return;
    assert(web_roots_views(roots, &views) > 0 && views[0].is_ca);
    web_roots_unref(roots);
}

/* A certificate for this name, of whatever kind it is. */
static void look_for_name(const struct x509_view *leaf, struct text name)
{
    struct web_name *n = calloc(1, sizeof *n);
    if (n && web_name_set(n, name) == 0)
        (void)web_name_fits(n, leaf->alternative_names.data, leaf->alternative_names.len);
    web_names_free(n, n != NULL);
}

static void read_pem(struct text pem)
{
    static struct x509 all[X509_CHAIN_MAX];
    const char *why = NULL;
    size_t n;

    read_roots(pem);

    int r = x509_from_pem(pem, all, X509_CHAIN_MAX, &n, &why);
    assert(r == 0 || why);
    for (size_t i = 0; r == 0 && i < n; i++) {
        look_at(&all[i]);
        x509_done(&all[i]);
    }
}

static void read_pair(struct der first, struct der second)
{
    static struct x509 leaf, ca;
    struct x509_view leaf_view, ca_view;
    const char *why = NULL;

    if (x509_parse(first.data, first.len, &leaf, &why) < 0) {
        assert(why);
        return;
    }
    look_at(&leaf);
    if (x509_parse(second.data, second.len, &ca, &why) == 0) {
        look_at(&ca);
        int64_t now_s = leaf.not_before_s;
        int r = x509_verify(&leaf, 1, &ca, 1, now_s, &why);
        assert(r == 0 || why);
        assert(r < 0 || ca.is_ca);
        (void)x509_verify((struct x509[]){leaf, ca}, 2, &leaf, 1, now_s, &why);
        /* Behind the signature, where random bytes do not come. */
        if (x509_view_parse(first, &leaf_view, &why) && x509_view_parse(second, &ca_view, &why)) {
            (void)name_constraints_check(&ca_view, &leaf_view, true);
            (void)signature_check_key(leaf_view.public_key);
            look_for_name(&leaf_view, TEXT("host.example"));
            look_for_name(&leaf_view, TEXT("192.0.2.1"));
            look_for_name(&leaf_view, leaf_view.uri);
            (void)signature_check(leaf_view.algorithm, ca_view.public_key, leaf_view.tbs,
                                  leaf_view.signature);
        }
        x509_done(&ca);
    }
    x509_done(&leaf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    if (data[0] == 'p') {
        read_pem((struct text){(const char *)data + 1, size - 1});
        return 0;
    }
    size_t len = (size_t)data[1] << 8 | data[2];
    if (len > size - 3)
        len = size - 3;
    read_pair((struct der){data + 3, len}, (struct der){data + 3 + len, size - 3 - len});
    return 0;
}
