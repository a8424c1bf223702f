/*
 * Envoy's words for what became of a request, so that who knows them from elsewhere finds them in our
 * log, metrics and spans: %RESPONSE_FLAGS% and %RESPONSE_CODE_DETAILS%. Pure.
 */
#ifndef NODEPROXY_PATH_REQUEST_WORDS_H
#define NODEPROXY_PATH_REQUEST_WORDS_H
#include "nodeproxy/http/exchange.h"

static inline struct text at_most(struct text t, size_t len)
{
    return (struct text){t.data, t.len < len ? t.len : len};
}
/* In the order in which they are written. */
#define RESPONSE_FLAGS(X)                                                                          \
    X(UH) /* no healthy endpoint */                                                                \
    X(UT) /* the answer, or all of it, took too long */                                            \
    X(UF) /* no connection to the server */                                                        \
    X(UC) /* the server's connection ended before the answer */                                    \
    X(UO) /* a bound was reached: of connections, of waiting requests */                           \
    X(NR) /* no route */                                                                           \
    X(DI) /* a fault: held up */                                                                   \
    X(FI) /* a fault: answered */                                                                  \
    X(DC) /* the client's connection ended */                                                      \
    X(URX) /* the retries of its route were used up */                                             \
    X(SI) /* no byte for too long */                                                               \
    X(DPE) /* the client broke HTTP */                                                             \
    X(NC)  /* the route's cluster is not there */                                                  \
    X(OM)  /* out of memory */                                                                     \
    X(UPE) /* the server broke HTTP */
enum response_flag {
#define X(name) RESPONSE_##name,
    RESPONSE_FLAGS(X)
#undef X
        RESPONSE_FLAG_COUNT
};
enum { RESPONSE_FLAGS_TEXT_MAX = 64 };
unsigned response_flags_of(const struct exchange_record *r); /* a bit for each */
/* "UF,URX"; "-": none. */
struct text response_flags_text(unsigned flags, char out[static RESPONSE_FLAGS_TEXT_MAX]);
/* "via_upstream", or which of our own answers it was. Never empty; valid as the record, or in `out`. */
struct text response_details(const struct exchange_record *r, struct text_out *out);
/* Of gRPC, for a label: what no status of gRPC is counts as UNKNOWN. -1: none. */
int response_grpc_status(const struct exchange_record *r);
/* What Envoy marks a span with as an error: 5xx, no answer, a status of gRPC that is a server's fault. */
bool response_is_failure(const struct exchange_record *r);
#endif
