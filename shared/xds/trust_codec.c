#include "shared/xds/trust_codec.h"

#include "shared/xds/wire.h"
#include "weir_trust.pb-c.h"
#include <errno.h>
#include <stdlib.h>

enum { GROWTH = 32 };

int trust_encode(const struct trust *t, struct xds_bytes *ret)
{
    Weir__Ca__V1__Trust m = WEIR__CA__V1__TRUST__INIT;
    char **serials = calloc(t->n_serials + 1, sizeof *serials);
    size_t bytes = strlen(t->roots_pem) + 64 * 1024 + t->n_serials * (TRUST_SERIAL_BYTES + 2);
    for (size_t i = 0; i < t->n_identities; i++)
        bytes += strlen(t->identities[i]) + 4;
    if (!serials || bytes > TRUST_MESSAGE_MAX) {
        int r = serials ? -E2BIG : -ENOMEM;
        free(serials);
        return r;
    }
    for (size_t i = 0; i < t->n_serials; i++)
        serials[i] = t->serials[i];
    m.version = t->version;
    m.roots = t->roots_pem;
    m.revoked_identities = t->identities;
    m.n_revoked_identities = t->n_identities;
    m.revoked_serials = serials;
    m.n_revoked_serials = t->n_serials;
    m.incomplete = t->incomplete;
    int r = wire_pack(&m.base, ret);
    free(serials);
    return r;
}

static int take(const Weir__Ca__V1__Trust *m, struct trust *t, char why[static XDS_WHY_MAX])
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < m->n_revoked_identities; i++)
        r = trust_add_identity(t, text_of(m->revoked_identities[i]));
    if (r < 0)
        return r == -ENOMEM ? wire_no_memory(why)
                            : wire_refuse(why, "revoked_identities: must be SPIFFE IDs of the form "
                                               "spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT");
    for (size_t i = 0; r == 0 && i < m->n_revoked_serials; i++)
        r = trust_add_serial(t, text_of(m->revoked_serials[i]));
    if (r < 0)
        return wire_refuse(why, "revoked_serials: must be hex in small letters, up to 40");
    trust_sort(t);
    t->incomplete = m->incomplete;
    return 0;
}

int trust_decode(const uint8_t *data, size_t len, struct trust **ret, char why[static XDS_WHY_MAX])
{
    const ProtobufCMessage *unpacked;
    struct trust *t = NULL;
    struct arena arena;
    arena_init(&arena, wire_space(len, GROWTH));
    int r = wire_unpack(&weir__ca__v1__trust__descriptor, data, len, &arena, &unpacked, why);
    if (r == 0) {
        const Weir__Ca__V1__Trust *m = (const Weir__Ca__V1__Trust *)unpacked;
        if (!m->roots[0] || strlen(m->roots) > TRUST_ROOTS_BYTES_MAX)
            r = wire_refuse(why, "roots: must be PEM, up to %d bytes", TRUST_ROOTS_BYTES_MAX);
        else if (m->n_revoked_identities > TRUST_IDENTITIES_MAX)
            r = wire_refuse(why, "revoked_identities: %d at most", TRUST_IDENTITIES_MAX);
        else if (m->n_revoked_serials > TRUST_SERIALS_MAX)
            r = wire_refuse(why, "revoked_serials: %d at most", TRUST_SERIALS_MAX);
        else if (!(t = trust_new(m->version, text_of(m->roots), m->n_revoked_identities,
                                 m->n_revoked_serials)))
            r = wire_no_memory(why);
        else
            r = take(m, t, why);
    }
    arena_done(&arena);
    if (r < 0)
        trust_unref(t);
    else
        *ret = t;
    return r;
}
