/*
 * How many messages of gRPC have begun in a body that passes by (PROTOCOL-HTTP2, "Length-Prefixed-Message"):
 * of each five bytes are looked at. Embedded in an exchange, one for each direction; all zero at the
 * beginning. What is no gRPC at all counts as anything: nothing depends on it.
 */
#ifndef NODEPROXY_HTTP_GRPC_COUNT_H
#define NODEPROXY_HTTP_GRPC_COUNT_H
#include "shared/base/buf.h"

struct grpc_count {
    uint64_t messages;
    uint32_t left;   /* of the message that passes */
    uint32_t prefix; /* its length, as far as it is known */
    uint8_t n_prefix;
};
void grpc_count_see(struct grpc_count *c, const struct buf *bytes);
#endif
