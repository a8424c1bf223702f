/*
 * The words of HBONE on the wire: the heads of a CONNECT and its answer (istio/ztunnel: outbound.rs create_hbone_request,
 * inbound.rs; RFC 9113 section 8.5). Pure.
 */
#ifndef NODEPROXY_PEER_HBONE_H
#define NODEPROXY_PEER_HBONE_H
#include "shared/base/addr.h"
#include "shared/base/rng.h"
#include "shared/http2/http2.h"
#include "shared/mesh/workload.h"

enum { HBONE_AUTHORITY_MAX = 272, HBONE_BAGGAGE_MAX = 1024, HBONE_FORWARDED_MAX = 400, HBONE_TRACEPARENT_MAX = 56 };

struct hbone_request { /* what the source side says; texts are NUL-terminated */
    char authority[HBONE_AUTHORITY_MAX];
    char forwarded[HBONE_FORWARDED_MAX];
    char baggage[HBONE_BAGGAGE_MAX];
    char traceparent[HBONE_TRACEPARENT_MAX];
};
/* source: the client's address; service_host "": not called through a service. */
void hbone_request_make(struct hbone_request *r, const struct addr *destination, const struct addr *source, struct text service_host, const struct workload *from, struct rng *rng);
size_t hbone_request_headers(const struct hbone_request *r, struct http2_header *out, size_t n_max);

/* Where a CONNECT wants to go. */
struct hbone_authority {
    bool is_name;
    struct addr addr;    /* port always; ip only if !is_name */
    struct text host;    /* view, only if is_name */
};
int hbone_authority_parse(struct text t, struct hbone_authority *ret); /* -EINVAL */
/* host= of a `forwarded` header; {NULL, 0}: none. A view. */
struct text hbone_forwarded_host(struct text forwarded);
/* for= of it, where it is an address and a port. -EINVAL. */
int hbone_forwarded_for(struct text forwarded, struct addr *ret);
unsigned hbone_status(const struct http2_head *answer); /* 0: none or malformed */
bool hbone_port_is_own(uint16_t port); /* 15001, 15006, 15008, 15053: never a target */
#endif
