/*
 * A list is written from its end to its front (see der.h), so the fields stand here in the reverse
 * of the order that RFC 5280, 5.1 gives.
 */
#include "shared/tls/crl.h"

#include <errno.h>
#include <stdlib.h>

#include "shared/tls/pem.h"
#include "shared/tls/signature.h"
#include "shared/tls/x509_view.h"

/* Of an entry: two headers of 2, a sign, 15 bytes of time with their header. */
enum { ENTRY_BYTES_MAX = X509_SERIAL_MAX + 32, HEAD_BYTES_MAX = 4096 };
enum { AUTHORITY_KEY_ID = 35, CRL_NUMBER = 20 };

static const char *check(const struct crl_template *t, const struct x509 *issuer,
                         const struct x509_view *v, const struct key *key)
{
    if (!v->is_ca || !x509_has_key(issuer, key))
        return "the issuing certificate is no CA's with this key";
    if (v->has_key_usage && !v->usage_crl_sign)
        return "the issuing certificate may not sign CRLs: its key usage has no cRLSign";
    if (v->subject_key_id.len == 0)
        return "the issuing certificate has no subject key identifier, by which a CRL names it";
    if (!der_time_possible(t->this_update_s) || !der_time_possible(t->next_update_s) ||
        t->next_update_s <= t->this_update_s)
        return "the CRL's next update must follow its own, before the year 10000";
    if (t->number_len == 0 || t->number_len > CRL_NUMBER_MAX ||
        (t->number_len == CRL_NUMBER_MAX && t->number[0] & 0x80))
        return "a CRL's number has 1 to 20 bytes";
    for (size_t i = 0; i < t->n; i++) {
        const struct crl_entry *e = &t->entries[i];
        if (e->serial_len == 0 || e->serial_len > X509_SERIAL_MAX ||
            !der_time_possible(e->revoked_s))
            return "a serial has 1 to 20 bytes, and a revocation a date before the year 10000";
    }
    return NULL;
}

static void put_extensions(struct der_out *o, const struct crl_template *t, struct der key_id)
{
    size_t start = o->len, mark = o->len;
    der_put_positive(o, t->number, t->number_len);
    der_wrap_extension(o, mark, CRL_NUMBER, false);
    mark = o->len;
    der_put_element(o, DER_CONTEXT | 0, key_id.data, key_id.len);
    der_wrap(o, mark, DER_SEQUENCE);
    der_wrap_extension(o, mark, AUTHORITY_KEY_ID, false);
    der_wrap(o, start, DER_SEQUENCE);
    der_wrap(o, start, DER_CONTEXT_CONSTRUCTED | 0);
}

/* Without entries the field is absent (5.1.2.6). A reason that is unspecified is absent, too (5.3.1). */
static void put_entries(struct der_out *o, const struct crl_template *t)
{
    size_t start = o->len;
    for (size_t i = t->n; i-- > 0;) {
        size_t mark = o->len;
        der_put_time(o, t->entries[i].revoked_s);
        der_put_positive(o, t->entries[i].serial, t->entries[i].serial_len);
        der_wrap(o, mark, DER_SEQUENCE);
    }
    if (t->n > 0)
        der_wrap(o, start, DER_SEQUENCE);
}

static void put_list(struct der_out *o, const struct crl_template *t,
                     const struct x509_view *issuer)
{
    struct der algorithm = signature_algorithm();
    put_extensions(o, t, issuer->subject_key_id);
    put_entries(o, t);
    der_put_time(o, t->next_update_s);
    der_put_time(o, t->this_update_s);
    der_put(o, issuer->subject.data, issuer->subject.len);
    der_put(o, algorithm.data, algorithm.len);
    der_put_small(o, 1); /* v2 */
    der_wrap(o, 0, DER_SEQUENCE);
}

int crl_make(const struct crl_template *t, const struct x509 *issuer, const struct key *key,
             uint8_t **ret_der, size_t *ret_len, const char **ret_why)
{
    struct x509_view v;
    struct der whole;

    *ret_why = "more certificates are revoked than a CRL may list";
    if (t->n > CRL_ENTRIES_MAX)
        return -E2BIG;
    if (!x509_view_parse((struct der){issuer->der, issuer->der_len}, &v, ret_why))
        return -EINVAL;
    if ((*ret_why = check(t, issuer, &v, key)))
        return -EINVAL;
    *ret_why = "no CRL can be made";
    size_t size = HEAD_BYTES_MAX + v.subject.len + v.subject_key_id.len + t->n * ENTRY_BYTES_MAX;
    struct der_out o = {.data = malloc(size), .size = size};
    if (!o.data)
        return -ENOMEM;
    put_list(&o, t, &v);
    int r = o.overflow ? -EINVAL : signature_wrap(key, der_out_bytes(&o), &whole);
    free(o.data);
    if (r < 0)
        return r;
    *ret_der = (uint8_t *)whole.data;
    *ret_len = whole.len;
    return 0;
}

int crl_to_pem(const uint8_t *der, size_t len, char **ret, size_t *ret_len)
{
    size_t size = len / 3 * 4 + len / 48 + 128;
    char *pem = malloc(size);
    if (!pem)
        return -ENOMEM;
    int r = pem_encode("X509 CRL", der, len, pem, size, ret_len);
    if (r < 0)
        free(pem);
    else
        *ret = pem;
    return r;
}
