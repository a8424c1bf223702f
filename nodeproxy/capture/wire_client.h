/*
 * The data process's half of nodeproxy/warden/wire.h: requests into packets, answers out of them.
 * Pure.
 */
#ifndef NODEPROXY_CAPTURE_WIRE_CLIENT_H
#define NODEPROXY_CAPTURE_WIRE_CLIENT_H
#include "nodeproxy/warden/wire.h"

/* The length; out has room for WIRE_BYTES_MAX. 0: it does not fit (a path or a list too long). */
size_t wire_client_encode(const struct wire_request *q, void *out);
/* -EBADMSG: it is no answer. */
int wire_client_decode(const void *bytes, size_t len, struct wire_answer *ret);
#endif
