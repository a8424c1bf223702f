#define _GNU_SOURCE
#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/ecc.h>

#include "shared/tls/csr.h"

#include <errno.h>
#include <stdlib.h>

#include "shared/tls/library.h"
#include "shared/tls/pem.h"
#include "shared/tls/signature.h"
#include "shared/tls/x509.h"

enum { URI = DER_CONTEXT | 6, ALTERNATIVE_NAMES = 17, DER_MAX = CSR_PEM_MAX };

/* The attribute extensionRequest (RFC 2985, 5.4.2) with one extension, the SAN. */
static void put_attributes(struct der_out *o, struct text uri)
{
    static const uint8_t request[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e};
    static const uint8_t names[] = {0x55, 0x1d, ALTERNATIVE_NAMES};
    size_t mark = o->len;

    if (uri.len > 0) {
        der_put_element(o, URI, uri.data, uri.len);
        der_wrap(o, mark, DER_SEQUENCE);
        der_wrap(o, mark, DER_OCTETS);
        der_put_element(o, DER_BOOLEAN, &(uint8_t){0xff}, 1); /* critical: the subject is empty */
        der_put_element(o, DER_OID, names, sizeof names);
        der_wrap(o, mark, DER_SEQUENCE);
        der_wrap(o, mark, DER_SEQUENCE);
        der_wrap(o, mark, DER_SET);
        der_put_element(o, DER_OID, request, sizeof request);
        der_wrap(o, mark, DER_SEQUENCE);
    }
    der_wrap(o, mark, DER_CONTEXT_CONSTRUCTED | 0);
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

static int make(const struct key *key, struct text uri, struct der_out *info, struct der_out *o)
{
    uint8_t public_key[KEY_PUBLIC_MAX], signature[SIGNATURE_MAX];
    size_t n_public, n_signature;
    int r = key_public_der(key, public_key, sizeof public_key, &n_public);

    if (r < 0)
        return r;
    put_attributes(info, uri);
    der_put(info, public_key, n_public);
    der_put_element(info, DER_SEQUENCE, "", 0); /* empty subject */
    der_put_small(info, 0);                     /* v1 */
    der_wrap(info, 0, DER_SEQUENCE);
    struct der message = der_out_bytes(info), algorithm = signature_algorithm();
    r = signature_make(key, message, signature, &n_signature);
    if (r < 0)
        return r;
    der_put(o, signature, n_signature);
    der_put(o, &(uint8_t){0}, 1);
    der_wrap(o, 0, DER_BITS);
    der_put(o, algorithm.data, algorithm.len);
    der_put(o, message.data, message.len);
    der_wrap(o, 0, DER_SEQUENCE);
    return info->overflow || o->overflow ? -ENOBUFS : 0;
}

int csr_make(const struct key *key, struct text uri, char *out_pem, size_t size, size_t *ret_len)
{
    uint8_t info_data[X509_URI_MAX + 512], data[X509_URI_MAX + 1024];
    struct der_out info = DER_OUT(info_data), o = DER_OUT(data);

    if (!is_uri(uri))
        return -EINVAL;
    int r = make(key, uri, &info, &o);
    if (r < 0)
        return r;
    struct der whole = der_out_bytes(&o);
    return pem_encode("CERTIFICATE REQUEST", whole.data, whole.len, out_pem, size, ret_len);
}

/* A point that isn't on the curve is no key, and signatures by it prove nothing. */
static bool is_on_curve(struct der point)
{
    ecc_key ecc;
    if (library_ready() < 0 || wc_ecc_init(&ecc) != 0)
        return false;
    bool good = wc_ecc_import_x963_ex(point.data, (word32)point.len, &ecc, ECC_SECP256R1) == 0 &&
                wc_ecc_check_key(&ecc) == 0;
    wc_ecc_free(&ecc);
    return good;
}

static int judge(struct der whole, struct der *ret_public, const char **ret_why)
{
    struct der in = whole, info, parts, subject, public_key, point, algorithm, signature;
    unsigned version, unused;

    *ret_why = "malformed certificate signing request";
    if (!der_take(&in, DER_SEQUENCE, &in) || in.data + in.len != whole.data + whole.len ||
        !der_take_whole(&in, DER_SEQUENCE, &info) ||
        !der_take_whole(&in, DER_SEQUENCE, &algorithm) ||
        !der_take_bits(&in, &signature, &unused) || unused != 0 || in.len != 0)
        return -EINVAL;
    parts = info;
    if (!der_take(&parts, DER_SEQUENCE, &parts) || !der_take_small(&parts, &version) ||
        version != 0 || !der_take(&parts, DER_SEQUENCE, &subject) ||
        !der_take_whole(&parts, DER_SEQUENCE, &public_key) ||
        !der_next_is(parts, DER_CONTEXT_CONSTRUCTED | 0) ||
        !der_take(&parts, DER_CONTEXT_CONSTRUCTED | 0, &subject) || parts.len != 0)
        return -EINVAL;
    int r = signature_p256_point(public_key, &point);
    if (r == -ENOTSUP)
        *ret_why = "only ECDSA P-256 keys are accepted";
    if (r < 0)
        return r;
    if (!is_on_curve(point)) {
        *ret_why = "the public key is not a point of P-256";
        return -EINVAL;
    }
    *ret_why = signature_check(algorithm, public_key, info, signature);
    if (*ret_why)
        return -EKEYREJECTED;
    *ret_public = public_key;
    return 0;
}

int csr_public_key(struct text pem, uint8_t *out_der, size_t size, size_t *ret_len,
                   const char **ret_why)
{
    struct pem_block block, second;
    struct der whole, public_key;
    uint8_t data[DER_MAX];

    *ret_why = "no certificate signing request in the text";
    if (pem.len > CSR_PEM_MAX || pem_next(&pem, &block) <= 0 ||
        !(text_equal(block.label, TEXT("CERTIFICATE REQUEST")) ||
          text_equal(block.label, TEXT("NEW CERTIFICATE REQUEST"))))
        return -EINVAL;
    *ret_why = "more than one PEM block in the text"; /* which one is meant is not ours to guess */
    if (pem_next(&pem, &second) != 0)
        return -EINVAL;
    *ret_why = "not base 64";
    if (pem_decode(block.body, data, sizeof data, &whole.len) < 0)
        return -EINVAL;
    whole.data = data;
    int r = judge(whole, &public_key, ret_why);
    if (r < 0)
        return r;
    if (public_key.len > size) {
        *ret_why = "no room for the public key";
        return -ENOBUFS;
    }
    memcpy(out_der, public_key.data, public_key.len);
    *ret_len = public_key.len;
    return 0;
}
