/*
 * Input: an istio.security.Authorization. What decodes can be evaluated, and is the same after a
 * way over the wire.
 * covers: shared/xds/policy_codec.c
 */
#include "shared/xds/xds.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct access access_by(const struct spiffe_id *id)
{
    struct access a = {.identity = id, .destination_port = 8080};

    (void)ip_parse(TEXT("10.0.0.1"), &a.source);
    (void)ip_parse(TEXT("fd00::2"), &a.destination);
    return a;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct policy *p = NULL, *back = NULL;
    struct xds_bytes bytes;
    struct spiffe_id id;
    char why[XDS_WHY_MAX] = "";

    if (xds_policy_decode(data, size, &p, why) < 0) {
        if (!why[0] || p)
            abort();
        return 0;
    }
    if (xds_policy_encode(p, &bytes) == 0) {
        if (xds_policy_decode(bytes.data, bytes.len, &back, why) < 0 || !policy_equal(p, back))
            abort();
        xds_bytes_done(&bytes);
    }
    (void)spiffe_id_parse(TEXT("spiffe://cluster.local/ns/shop/sa/web"), &id);
    const struct access accesses[] = {access_by(NULL), access_by(&id)};
    for (unsigned i = 0; i < 2; i++) {
        const struct policy *list[] = {p};
        struct verdict v;
        bool matches = policy_matches(p, &accesses[i]);
        policies_decide(list, 1, &accesses[i], &v);
        /* One policy alone: in force it decides, as a dry run it never does. */
        if (v.allowed != (p->dry_run || matches == (p->action == POLICY_ALLOW)))
            abort();
    }
    (void)policy_free(p);
    (void)policy_free(back);
    return 0;
}
