/*
 * What whoever taps a node is told of a request that is over: one line of JSON (docs/OBSERVABILITY.md).
 * Asked of every request, by its client's side and by its server's; a look at one number while nobody
 * taps. Values of header fields are never told, and the path's query only where it was asked for.
 */
#ifndef NODEPROXY_PATH_REQUEST_TAP_H
#define NODEPROXY_PATH_REQUEST_TAP_H
#include "nodeproxy/path/local_pod.h"
#include "nodeproxy/path/request_account.h"

struct request_tap {
    const struct local_pod *pod;           /* the side that is on this node */
    const struct request_account *account; /* whose labels say who and whom */
    const struct ip *source;
    const struct addr *destination; /* that was called */
    bool outbound;
};
void request_tap_write(const struct request_tap *t, const struct exchange_record *record);
static inline void request_tap_tell(const struct request_tap *t,
                                    const struct exchange_record *record)
{
    if (__builtin_expect(t->pod->env->taps.n > 0, 0))
        request_tap_write(t, record);
}
#endif
