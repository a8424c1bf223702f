/*
 * Input: an istio.workload.Address. What decodes keeps its bounds, and is the same after a way over
 * the wire.
 * covers: shared/xds/address_codec.c shared/xds/wire.c
 */
#include "shared/xds/xds.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_workload(struct workload *w)
{
    struct workload *back = NULL;
    struct service *none = NULL;
    struct xds_bytes bytes;
    char why[XDS_WHY_MAX];

    if (w->n_addresses > WORKLOAD_ADDRESSES_MAX || w->n_services > WORKLOAD_SERVICES_MAX)
        abort();
    if (xds_workload_encode(w, &bytes) < 0)
        return;
    if (xds_address_decode(bytes.data, bytes.len, &back, &none, why) < 0 || !back ||
        !workload_equal(w, back))
        abort();
    struct workload *packed = workload_pack(w);
    if (packed && !workload_equal(w, packed))
        abort();
    xds_bytes_done(&bytes);
    (void)workload_free(back);
    (void)workload_free(packed);
}

static void check_service(struct service *s)
{
    struct workload *none = NULL;
    struct service *back = NULL;
    struct xds_bytes bytes;
    char why[XDS_WHY_MAX];

    if (s->n_addresses > SERVICE_ADDRESSES_MAX || s->n_ports > SERVICE_PORTS_MAX ||
        s->n_scopes > LB_SCOPES_MAX)
        abort();
    if (xds_service_encode(s, &bytes) < 0)
        return;
    if (xds_address_decode(bytes.data, bytes.len, &none, &back, why) < 0 || !back ||
        !service_equal(s, back))
        abort();
    xds_bytes_done(&bytes);
    (void)service_free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct workload *w = NULL;
    struct service *s = NULL;
    char why[XDS_WHY_MAX] = "";

    if (xds_address_decode(data, size, &w, &s, why) < 0) {
        if (!why[0] || w || s)
            abort();
        return 0;
    }
    if (!w == !s)
        abort();
    if (w)
        check_workload(w);
    else
        check_service(s);
    (void)workload_free(w);
    (void)service_free(s);
    return 0;
}
