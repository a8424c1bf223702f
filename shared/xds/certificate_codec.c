#include "citadel.pb-c.h"
#include "shared/xds/wire.h"

#include <errno.h>
#include <stdlib.h>

enum { GROWTH = 32, CSR_MAX = 64 * 1024, PEMS_MAX = 64 };
static char impersonation_key[] = "ImpersonatedIdentity"; /* as Istio's node agents write it */

/* A heap copy with a maximum; *field is NULL before. */
static int take_copy(char **field, const char *value, size_t max, const char *name,
                     char why[static XDS_WHY_MAX])
{
    struct text t = text_of(value);

    if (t.len > max)
        return wire_refuse(why, "%s: has %zu bytes, at most %zu are allowed", name, t.len, max);
    return (*field = text_dup(t)) ? 0 : wire_no_memory(why);
}

int certificate_request_decode(const uint8_t *data, size_t len, struct certificate_request *ret,
                               char why[static XDS_WHY_MAX])
{
    struct certificate_request request = {0};
    const ProtobufCMessage *unpacked;
    const char *impersonated = "";
    struct arena arena;

    arena_init(&arena, wire_space(len, GROWTH));
    int r = wire_unpack(&istio__v1__auth__istio_certificate_request__descriptor, data, len, &arena,
                        &unpacked, why);
    if (r < 0)
        goto done;
    const Istio__V1__Auth__IstioCertificateRequest *m =
        (const Istio__V1__Auth__IstioCertificateRequest *)unpacked;
    for (size_t i = 0; m->metadata && i < m->metadata->n_fields; i++) {
        const Google__Protobuf__Struct__FieldsEntry *e = m->metadata->fields[i];
        if (strcmp(e->key, impersonation_key) != 0)
            continue;
        /* Asked for and not readable is refused: the caller's own identity is not what was
         * meant. */
        if (!e->value || !*e->value->string_value) {
            r = wire_refuse(why, "metadata.%s: must be a text", impersonation_key);
            goto done;
        }
        impersonated = e->value->string_value;
    }
    if (m->validity_duration < 0) {
        r = wire_refuse(why, "validity_duration: must not be negative");
        goto done;
    }
    request.validity_s = m->validity_duration;
    if ((r = take_copy(&request.csr_pem, m->csr, CSR_MAX, "csr", why)) < 0 ||
        (r = take_copy(&request.impersonated_identity, impersonated, XDS_NAME_MAX * 2,
                       "metadata.ImpersonatedIdentity", why)) < 0)
        certificate_request_done(&request);
    else
        *ret = request;
done:
    arena_done(&arena);
    return r;
}

int certificate_request_encode(const struct certificate_request *r, struct xds_bytes *ret)
{
    Istio__V1__Auth__IstioCertificateRequest m = ISTIO__V1__AUTH__ISTIO_CERTIFICATE_REQUEST__INIT;
    Google__Protobuf__Struct metadata = GOOGLE__PROTOBUF__STRUCT__INIT;
    Google__Protobuf__Struct__FieldsEntry entry = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT;
    Google__Protobuf__Struct__FieldsEntry *entries[] = {&entry};
    Google__Protobuf__Value value = GOOGLE__PROTOBUF__VALUE__INIT;

    m.csr = r->csr_pem;
    m.validity_duration = r->validity_s;
    if (r->impersonated_identity && *r->impersonated_identity) {
        value.string_value = r->impersonated_identity;
        entry.key = impersonation_key;
        entry.value = &value;
        metadata.n_fields = 1;
        metadata.fields = entries;
        m.metadata = &metadata;
    }
    return wire_pack(&m.base, ret);
}

void certificate_request_done(struct certificate_request *r)
{
    free(r->csr_pem);
    free(r->impersonated_identity);
    *r = (struct certificate_request){0};
}

int certificate_response_decode(const uint8_t *data, size_t len, struct certificate_response *ret,
                                char why[static XDS_WHY_MAX])
{
    struct certificate_response response = {0};
    const ProtobufCMessage *unpacked;
    struct arena arena;

    arena_init(&arena, wire_space(len, GROWTH));
    int r = wire_unpack(&istio__v1__auth__istio_certificate_response__descriptor, data, len, &arena,
                        &unpacked, why);
    if (r < 0)
        goto done;
    const Istio__V1__Auth__IstioCertificateResponse *m =
        (const Istio__V1__Auth__IstioCertificateResponse *)unpacked;
    if (m->n_cert_chain == 0 || m->n_cert_chain > PEMS_MAX) {
        r = wire_refuse(why, "cert_chain: has %zu entries, must be 1 to %d", m->n_cert_chain,
                        PEMS_MAX);
        goto done;
    }
    if (!(response.pems = calloc(m->n_cert_chain, sizeof *response.pems))) {
        r = wire_no_memory(why);
        goto done;
    }
    for (size_t i = 0; r == 0 && i < m->n_cert_chain; i++) {
        r = take_copy(&response.pems[i], m->cert_chain[i], WIRE_STRING_MAX, "cert_chain", why);
        response.n += r == 0;
    }
    if (r < 0)
        certificate_response_done(&response);
    else
        *ret = response;
done:
    arena_done(&arena);
    return r;
}

int certificate_response_encode(const struct certificate_response *r, struct xds_bytes *ret)
{
    Istio__V1__Auth__IstioCertificateResponse m = ISTIO__V1__AUTH__ISTIO_CERTIFICATE_RESPONSE__INIT;

    m.n_cert_chain = r->n;
    m.cert_chain = r->pems;
    return wire_pack(&m.base, ret);
}

void certificate_response_done(struct certificate_response *r)
{
    for (size_t i = 0; r->pems && i < r->n; i++)
        free(r->pems[i]);
    free(r->pems);
    *r = (struct certificate_response){0};
}
