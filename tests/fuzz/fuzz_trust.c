/*
 * What the CA says of trust, as a node proxy takes it: refused with a reason, or all of it is found
 * again, also after it was written and read once more.
 * covers: shared/xds/trust_codec.c shared/mesh/trust.c
 */
#include <assert.h>
#include <string.h>

#include "shared/xds/trust_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trust *t, *again;
    struct xds_bytes bytes;
    char why[XDS_WHY_MAX] = "";
    if (trust_decode(data, size, &t, why) < 0) {
        assert(why[0]);
        return 0;
    }
    assert(t->n_identities <= TRUST_IDENTITIES_MAX && t->n_serials <= TRUST_SERIALS_MAX);
    for (size_t i = 0; i < t->n_identities; i++)
        assert(trust_revokes_identity(t, t->identities[i]));
    for (size_t i = 0; i < t->n_serials; i++)
        assert(trust_revokes_serial(t, t->serials[i]));
    assert(trust_encode(t, &bytes) == 0);
    assert(trust_decode(bytes.data, bytes.len, &again, why) == 0);
    assert(again->version == t->version && strcmp(again->roots_pem, t->roots_pem) == 0);
    assert(again->n_serials == t->n_serials && again->n_identities <= t->n_identities);
    xds_bytes_done(&bytes);
    trust_unref(again);
    trust_unref(t);
    return 0;
}
