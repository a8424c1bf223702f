/*
 * A certificate is written from its end to its front (see der.h), so the fields stand here in the
 * reverse of the order that RFC 5280, 4.1 gives.
 */
#define _GNU_SOURCE
#include "shared/tls/x509.h"

#include <errno.h>
#include <stdlib.h>

#include "shared/base/rng.h"
#include "shared/tls/digest.h"
#include "shared/tls/signature.h"
#include "shared/tls/x509_view.h"

enum { ID_BYTES = 20, SERIAL_BYTES = 16, PATH_LEN_MAX = 127 };
enum { MAKE_BYTES_MAX = X509_URI_MAX + 4 * X509_DNS_NAME_MAX + 4096 };

static bool is_name(struct text t)
{
    if (t.len > X509_NAME_MAX)
        return false;
    for (size_t i = 0; i < t.len; i++)
        if ((unsigned char)t.data[i] < ' ' || t.data[i] == 0x7f)
            return false;
    return true;
}

static bool is_dns_name(struct text t)
{
    if (t.len > X509_DNS_NAME_MAX)
        return false;
    for (size_t i = 0; i < t.len; i++) {
        char c = t.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '.' || c == '_' || c == '*'))
            return false;
    }
    return true;
}

static bool is_uri(struct text t)
{
    if (t.len > X509_URI_MAX)
        return false;
    for (size_t i = 0; i < t.len; i++)
        if (t.data[i] <= ' ' || t.data[i] > '~')
            return false;
    return true;
}

static bool has_names(const struct x509_template *t)
{
    bool any = t->uri.len > 0;
    for (size_t i = 0; i < 4; i++)
        any |= t->dns[i].len > 0;
    return any;
}

static bool has_subject(const struct x509_template *t)
{
    return t->common_name.len > 0 || t->organization.len > 0;
}

static bool is_possible(const struct x509_template *t)
{
    if (!is_uri(t->uri) || !is_name(t->common_name) || !is_name(t->organization) ||
        !der_time_possible(t->not_before_s) || !der_time_possible(t->not_after_s) ||
        t->not_after_s <= t->not_before_s)
        return false;
    for (size_t i = 0; i < 4; i++)
        if (!is_dns_name(t->dns[i]))
            return false;
    if (t->is_ca)
        return has_subject(t) && !t->server && !t->client && t->path_len >= -1 &&
               t->path_len <= PATH_LEN_MAX;
    return t->path_len <= 0 && (has_subject(t) || has_names(t));
}

/* AttributeTypeAndValue in a set of its own; 2.5.4.x. */
static void put_name_part(struct der_out *o, uint8_t kind, struct text value)
{
    size_t mark = o->len;
    uint8_t oid[] = {0x55, 0x04, kind};

    if (value.len == 0)
        return;
    der_put_element(o, DER_UTF8, value.data, value.len);
    der_put_element(o, DER_OID, oid, sizeof oid);
    der_wrap(o, mark, DER_SEQUENCE);
    der_wrap(o, mark, DER_SET);
}

static void put_subject(struct der_out *o, const struct x509_template *t)
{
    enum { COMMON_NAME = 3, ORGANIZATION = 10 };
    size_t mark = o->len;
    put_name_part(o, COMMON_NAME, t->common_name);
    put_name_part(o, ORGANIZATION, t->organization);
    der_wrap(o, mark, DER_SEQUENCE);
}

static void put_alternative_names(struct der_out *o, const struct x509_template *t)
{
    enum { DNS = DER_CONTEXT | 2, URI = DER_CONTEXT | 6 };
    size_t mark = o->len;

    if (!has_names(t))
        return;
    for (size_t i = 4; i-- > 0;)
        if (t->dns[i].len > 0)
            der_put_element(o, DNS, t->dns[i].data, t->dns[i].len);
    if (t->uri.len > 0)
        der_put_element(o, URI, t->uri.data, t->uri.len);
    der_wrap(o, mark, DER_SEQUENCE);
    der_wrap_extension(o, mark, 17, !has_subject(t));
}

static void put_usages(struct der_out *o, const struct x509_template *t)
{
    static const uint8_t server[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
    static const uint8_t client[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02};
    static const uint8_t sign[] = {1, 0x06},
                         digital_signature[] = {7, 0x80}; /* unused bits, bits */
    size_t mark = o->len;

    if (t->server || t->client) {
        if (t->client)
            der_put_element(o, DER_OID, client, sizeof client);
        if (t->server)
            der_put_element(o, DER_OID, server, sizeof server);
        der_wrap(o, mark, DER_SEQUENCE);
        der_wrap_extension(o, mark, 37, false);
    }
    mark = o->len;
    if (t->is_ca)
        der_put_element(o, DER_BITS, sign, sizeof sign);
    else
        der_put_element(o, DER_BITS, digital_signature, sizeof digital_signature);
    der_wrap_extension(o, mark, 15, true);
}

/* An empty sequence says CA:FALSE, for a default is not written (X.690, 11.5). */
static void put_basic_constraints(struct der_out *o, const struct x509_template *t)
{
    size_t mark = o->len;
    if (t->is_ca && t->path_len >= 0)
        der_put_small(o, (unsigned)t->path_len);
    if (t->is_ca)
        der_put_element(o, DER_BOOLEAN, &(uint8_t){0xff}, 1);
    der_wrap(o, mark, DER_SEQUENCE);
    der_wrap_extension(o, mark, 19, true);
}

static void put_key_ids(struct der_out *o, struct der subject_id, struct der authority_id)
{
    size_t mark = o->len;
    if (authority_id.len > 0) {
        der_put_element(o, DER_CONTEXT | 0, authority_id.data, authority_id.len);
        der_wrap(o, mark, DER_SEQUENCE);
        der_wrap_extension(o, mark, 35, false);
    }
    mark = o->len;
    der_put_element(o, DER_OCTETS, subject_id.data, subject_id.len);
    der_wrap_extension(o, mark, 14, false);
}

/* RFC 7093, method 1: the leftmost 160 bits of the SHA-256 of the key's bits. */
static int make_key_id(struct der point, uint8_t out[static ID_BYTES])
{
    uint8_t hash[DIGEST_BYTES];
    int r = digest_sha256((struct text){(const char *)point.data, point.len}, hash);
    if (r == 0)
        memcpy(out, hash, ID_BYTES);
    return r;
}

static int put_tbs(struct der_out *o, const struct x509_template *t, struct der public_key,
                   const struct x509_view *issuer)
{
    uint8_t serial[SERIAL_BYTES], id[ID_BYTES];
    struct der point, authority_id = {id, sizeof id};
    int r = signature_p256_point(public_key, &point);

    if (r == 0)
        r = make_key_id(point, id);
    if (r == 0)
        r = rng_os(serial, sizeof serial);
    if (r < 0)
        return r;
    if (issuer)
        authority_id = issuer->subject_key_id;
    put_alternative_names(o, t);
    put_key_ids(o, DER_OF(id), authority_id);
    put_usages(o, t);
    put_basic_constraints(o, t);
    der_wrap(o, 0, DER_SEQUENCE);
    der_wrap(o, 0, DER_CONTEXT_CONSTRUCTED | 3);
    der_put(o, public_key.data, public_key.len);
    put_subject(o, t);
    size_t mark = o->len;
    der_put_time(o, t->not_after_s);
    der_put_time(o, t->not_before_s);
    der_wrap(o, mark, DER_SEQUENCE);
    if (issuer)
        der_put(o, issuer->subject.data, issuer->subject.len);
    else
        put_subject(o, t);
    struct der algorithm = signature_algorithm();
    der_put(o, algorithm.data, algorithm.len);
    der_put_positive(o, serial, sizeof serial);
    mark = o->len;
    der_put_small(o, 2); /* v3 */
    der_wrap(o, mark, DER_CONTEXT_CONSTRUCTED | 0);
    der_wrap(o, 0, DER_SEQUENCE);
    return o->overflow ? -EINVAL : 0;
}

/* May this issuer issue that, and is the key its own? */
static bool is_issuer(const struct x509 *issuer, const struct x509_view *v, const struct key *key,
                      const struct x509_template *t)
{
    return v->is_ca && (!v->has_key_usage || v->usage_cert_sign) &&
           !(t->is_ca && v->path_len == 0) && x509_has_key(issuer, key);
}

static int sign(struct der tbs, const struct key *key, struct x509 *ret)
{
    struct der whole;
    const char *why;
    int r = signature_wrap(key, tbs, &whole);

    if (r < 0)
        return r;
    r = x509_parse(whole.data, whole.len, ret, &why);
    free((void *)whole.data);
    return r;
}

int x509_make(const struct x509_template *t, const uint8_t *public_der, size_t public_len,
              const struct x509 *issuer, const struct key *issuer_key, struct x509 *ret)
{
    struct der public_key = {public_der, public_len};
    uint8_t own[KEY_PUBLIC_MAX];
    size_t n_own;
    struct x509_view v;
    const char *why;

    if (!is_possible(t))
        return -EINVAL;
    if (issuer) {
        if (!x509_view_parse((struct der){issuer->der, issuer->der_len}, &v, &why) ||
            !is_issuer(issuer, &v, issuer_key, t))
            return -EINVAL;
    } else {
        int e = key_public_der(issuer_key, own, sizeof own, &n_own);
        if (e < 0)
            return e;
        if (!has_subject(t) || !der_equal(public_key, (struct der){own, n_own}))
            return -EINVAL;
    }
    struct der_out o = {.data = malloc(MAKE_BYTES_MAX), .size = MAKE_BYTES_MAX};
    if (!o.data)
        return -ENOMEM;
    int r = put_tbs(&o, t, public_key, issuer ? &v : NULL);
    if (r == 0)
        r = sign(der_out_bytes(&o), issuer_key, ret);
    free(o.data);
    return r;
}
