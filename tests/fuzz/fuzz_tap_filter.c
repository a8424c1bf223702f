/*
 * The query of GET /tap. What is refused says why and changes nothing; what is taken has its bounds, and
 * a filter that was taken has a request that it wants.
 * covers: nodeproxy/path/tap_filter.c
 */
#include "nodeproxy/path/tap_filter.h"
#include <assert.h>
#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tap_filter f = {.max = 7};
    char why[WHY_MAX] = "";
    int r = tap_filter_read((struct text){(const char *)data, size}, &f, why);
    if (r < 0) {
        assert(r == -EINVAL && why[0] && f.max == 7 && !f.ns[0] && !f.path[0]);
        return 0;
    }
    assert(f.max <= TAP_MAX_MAX && f.status_min <= f.status_max);
    assert(f.status_max == 0 || (f.status_min >= 100 && f.status_max <= 999));
    assert(!f.path[0] || f.path[0] == '/');
    struct tap_subject s = {.ns = text_of(f.ns),
                            .pod = text_of(f.workload),
                            .workload = TEXT(""),
                            .outbound = f.direction == TAP_OUTBOUND,
                            .method = text_of(f.method),
                            .path = text_of(f.path),
                            .status = f.status_min};
    assert(strchr(f.path, '?') || tap_filter_has(&f, &s));
    s.outbound = !s.outbound;
    assert(f.direction == TAP_BOTH || !tap_filter_has(&f, &s));
    return 0;
}
