#define _GNU_SOURCE
#include "shared/tls/x509_view.h"

enum { EXTENSIONS_MAX = 40, NAMES_MAX = 256 };

/* Extensions, 2.5.29.x (id-ce). */
enum {
    CE_SUBJECT_KEY_ID = 14,
    CE_KEY_USAGE = 15,
    CE_ALTERNATIVE_NAMES = 17,
    CE_BASIC_CONSTRAINTS = 19,
    CE_NAME_CONSTRAINTS = 30,
    CE_POLICIES = 32,
    CE_AUTHORITY_KEY_ID = 35,
    CE_EXTENDED_USAGE = 37,
};
enum { NAME_URI = 6 };

static bool take_basic_constraints(struct der in, struct x509_view *c)
{
    unsigned path_len;

    if (!der_take(&in, DER_SEQUENCE, &in))
        return false;
    if (der_next_is(in, DER_BOOLEAN) && !der_take_boolean(&in, &c->is_ca))
        return false;
    if (in.len > 0) {
        if (!c->is_ca || !der_take_small(&in, &path_len))
            return false;
        c->path_len = (int)path_len;
    }
    return in.len == 0;
}

static bool take_key_usage(struct der in, struct x509_view *c)
{
    struct der bits;
    unsigned unused;

    if (!der_take_bits(&in, &bits, &unused) || in.len != 0 || bits.len == 0)
        return false;
    c->has_key_usage = true;
    c->usage_digital_signature = bits.data[0] & 0x80;
    c->usage_cert_sign = bits.data[0] & 0x04;
    c->usage_crl_sign = bits.data[0] & 0x02;
    return true;
}

static bool take_extended_usage(struct der in, struct x509_view *c)
{
    static const uint8_t server[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
    static const uint8_t client[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02};
    static const uint8_t any[] = {0x55, 0x1d, 0x25, 0x00};
    struct der oid;

    if (!der_take(&in, DER_SEQUENCE, &in) || in.len == 0)
        return false;
    c->has_extended_usage = true;
    while (in.len > 0) {
        if (!der_take(&in, DER_OID, &oid))
            return false;
        bool is_any = der_equal(oid, DER_OF(any));
        c->extended_server |= is_any || der_equal(oid, DER_OF(server));
        c->extended_client |= is_any || der_equal(oid, DER_OF(client));
    }
    return true;
}

/* A URI is visible ASCII (RFC 3986); a NUL or a blank inside would be read differently by
 * others. */
static bool is_uri_text(struct der name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] <= ' ' || name.data[i] > '~')
            return false;
    return name.len > 0 && name.len <= X509_URI_MAX;
}

static bool take_alternative_names(struct der in, struct x509_view *c)
{
    struct der name, whole;
    uint8_t tag;
    unsigned count = 0;

    if (!der_take(&in, DER_SEQUENCE, &in) || in.len == 0)
        return false;
    c->alternative_names = in;
    while (in.len > 0) {
        if (++count > NAMES_MAX || !der_take_any(&in, &tag, &name, &whole) ||
            (tag & 0xc0) != DER_CONTEXT)
            return false;
        if (tag != (DER_CONTEXT | NAME_URI))
            continue;
        if (!is_uri_text(name))
            return false;
        c->uri_count++;
        c->uri =
            c->uri_count == 1 ? (struct text){(const char *)name.data, name.len} : (struct text){0};
    }
    return true;
}

static bool take_subject_key_id(struct der in, struct x509_view *c)
{
    return der_take(&in, DER_OCTETS, &c->subject_key_id) && in.len == 0 &&
           c->subject_key_id.len > 0;
}

static bool take_authority_key_id(struct der in, struct x509_view *c)
{
    if (!der_take(&in, DER_SEQUENCE, &in))
        return false;
    /* Issuer name and serial may follow; the issuer is found without them. */
    return !der_next_is(in, DER_CONTEXT | 0) ||
           (der_take(&in, DER_CONTEXT | 0, &c->authority_key_id) && c->authority_key_id.len > 0);
}

static bool take_name_constraints(struct der in, struct x509_view *c)
{
    return der_take(&in, DER_SEQUENCE, &c->name_constraints) && in.len == 0 &&
           c->name_constraints.len > 0;
}

/* One extension; its inside decides. *ret_known: we understood it. */
static bool take_inside(struct der oid, struct der inside, struct x509_view *c, bool *ret_known)
{
    *ret_known = oid.len == 3 && oid.data[0] == 0x55 && oid.data[1] == 0x1d;
    switch (*ret_known ? oid.data[2] : 0) {
    case CE_SUBJECT_KEY_ID:
        return take_subject_key_id(inside, c);
    case CE_KEY_USAGE:
        return take_key_usage(inside, c);
    case CE_ALTERNATIVE_NAMES:
        return take_alternative_names(inside, c);
    case CE_BASIC_CONSTRAINTS:
        return take_basic_constraints(inside, c);
    case CE_NAME_CONSTRAINTS:
        return take_name_constraints(inside, c);
    case CE_AUTHORITY_KEY_ID:
        return take_authority_key_id(inside, c);
    case CE_EXTENDED_USAGE:
        return take_extended_usage(inside, c);
    case CE_POLICIES: /* we require none, so every set of them will do */
        return true;
    default:
        *ret_known = false;
        return true;
    }
}

static bool take_extensions(struct der in, struct x509_view *c, const char **ret_why)
{
    struct der seen[EXTENSIONS_MAX], extension, oid, inside;
    size_t n_seen = 0;

    *ret_why = "malformed extensions";
    if (!der_take(&in, DER_SEQUENCE, &in) || in.len == 0)
        return false;
    while (in.len > 0) {
        bool critical = false, known;
        if (!der_take(&in, DER_SEQUENCE, &extension) || !der_take(&extension, DER_OID, &oid) ||
            (der_next_is(extension, DER_BOOLEAN) && !der_take_boolean(&extension, &critical)) ||
            !der_take(&extension, DER_OCTETS, &inside) || extension.len != 0)
            return false;
        if (n_seen == EXTENSIONS_MAX) {
            *ret_why = "too many extensions";
            return false;
        }
        for (size_t i = 0; i < n_seen; i++)
            if (der_equal(seen[i], oid)) {
                *ret_why = "an extension occurs twice";
                return false;
            }
        seen[n_seen++] = oid;
        if (!take_inside(oid, inside, c, &known)) {
            *ret_why = "a malformed extension, or a URI name that isn't text";
            return false;
        }
        c->unknown_critical |= critical && !known;
    }
    return true;
}

/* tbsCertificate, RFC 5280, 4.1.2. */
static bool take_tbs(struct der in, struct x509_view *c, const char **ret_why)
{
    struct der part, algorithm;
    unsigned version;

    *ret_why = "not a certificate of version 3";
    if (!der_take(&in, DER_SEQUENCE, &in) || !der_take(&in, DER_CONTEXT_CONSTRUCTED | 0, &part) ||
        !der_take_small(&part, &version) || version != 2 || part.len != 0)
        return false;
    *ret_why = "malformed serial number";
    if (!der_take_integer(&in, &c->serial) || (c->serial.data[0] & 0x80))
        return false;
    while (c->serial.len > 1 && c->serial.data[0] == 0)
        c->serial = (struct der){c->serial.data + 1, c->serial.len - 1};
    if (c->serial.len > X509_SERIAL_MAX)
        return false;
    *ret_why = "the two signature algorithms differ";
    if (!der_take_whole(&in, DER_SEQUENCE, &algorithm) || !der_equal(algorithm, c->algorithm))
        return false;
    *ret_why = "malformed names, validity or public key";
    if (!der_take_whole(&in, DER_SEQUENCE, &c->issuer) || !der_take(&in, DER_SEQUENCE, &part) ||
        !der_take_time(&part, &c->not_before_s) || !der_take_time(&part, &c->not_after_s) ||
        part.len != 0 || !der_take_whole(&in, DER_SEQUENCE, &c->subject) ||
        !der_take_whole(&in, DER_SEQUENCE, &c->public_key))
        return false;
    /* Unique identifiers, which nobody uses. */
    for (unsigned n = 1; n <= 2; n++)
        if (der_next_is(in, (uint8_t)(DER_CONTEXT | n)) &&
            !der_take(&in, (uint8_t)(DER_CONTEXT | n), &part))
            return false;
    if (der_next_is(in, DER_CONTEXT_CONSTRUCTED | 3)) {
        if (!der_take(&in, DER_CONTEXT_CONSTRUCTED | 3, &part) ||
            !take_extensions(part, c, ret_why))
            return false;
    }
    *ret_why = "bytes after the last field";
    return in.len == 0;
}

bool x509_view_parse(struct der der, struct x509_view *ret, const char **ret_why)
{
    struct x509_view c = {.whole = der, .path_len = -1};
    struct der in = der;
    unsigned unused;

    *ret_why = "not a certificate";
    if (der.len > X509_DER_MAX || !der_take(&in, DER_SEQUENCE, &in))
        return false;
    if (in.data + in.len != der.data + der.len) {
        *ret_why = "bytes after the certificate";
        return false;
    }
    if (!der_take_whole(&in, DER_SEQUENCE, &c.tbs) ||
        !der_take_whole(&in, DER_SEQUENCE, &c.algorithm) ||
        !der_take_bits(&in, &c.signature, &unused) || unused != 0 || in.len != 0)
        return false;
    if (!take_tbs(c.tbs, &c, ret_why))
        return false;
    *ret_why = NULL;
    *ret = c;
    return true;
}

/* SPIFFE X509-SVID, sections 2 to 4. What the ID says is judged where IDs are known. */
const char *x509_view_check_svid_leaf(const struct x509_view *c)
{
    if (c->uri_count == 0)
        return "no URI name: it is not an SVID";
    if (c->uri_count > 1)
        return "more than one URI name";
    if (!text_starts_with(c->uri, TEXT("spiffe://")))
        return "the URI name is not a SPIFFE ID";
    if (c->is_ca)
        return "a CA certificate is not a leaf";
    if (c->usage_cert_sign || c->usage_crl_sign)
        return "a leaf must not be allowed to sign certificates";
    if (!c->has_key_usage || !c->usage_digital_signature)
        return "the key usage lacks digitalSignature";
    if (c->has_extended_usage && !c->extended_server && !c->extended_client)
        return "the extended key usage is for neither servers nor clients";
    if (c->unknown_critical)
        return "an unknown critical extension";
    return NULL;
}
