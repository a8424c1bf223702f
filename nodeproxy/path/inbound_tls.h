/*
 * TLS at a listener of a Gateway: a client's ClientHello says which listener it means, and its certificate
 * is shown, or all of it passes as it came; who means none is refused by an alert. A proxy that has just
 * begun waits for the certificates first, if one may be meant. A step of the handshake waits for the pod's
 * turn. Of one plaintext inbound, and its; one worker. Bounded: INBOUND_TLS_MS for all of it.
 */
#ifndef NODEPROXY_PATH_INBOUND_TLS_H
#define NODEPROXY_PATH_INBOUND_TLS_H
#include "nodeproxy/path/gateway_stream.h"

enum { INBOUND_TLS_MS = 10000 };
struct inbound_tls;
/* Starts the connection. `over` follows, from the loop: NONE, and it is to be started again, or why
 * not. -ENOMEM. */
int inbound_tls_open(struct inbound_tls **ret, struct local_pod *pod, struct conn *client,
                     uint16_t port, void (*over)(void *user, enum ending ending), void *user);
/* The connection's events of the same names: of its own one no more is looked at then. */
void inbound_tls_secured(struct inbound_tls *t, int result);
bool inbound_tls_may_shake(struct inbound_tls *t);
/* Once it is over, with NONE: what comes then, requests or bytes, within TLS that has ended here or passes. */
enum gateway_table_kind inbound_tls_kind(const struct inbound_tls *t);
const char *inbound_tls_server(const struct inbound_tls *t); /* that the client asked for; "": none */
/* The host of the listener that was meant, "" of any; once it is secured. */
const char *inbound_tls_host(const struct inbound_tls *t);
/* The client was told why it ends: a reset would take that away. */
bool inbound_tls_told(const struct inbound_tls *t);
void inbound_tls_stop(struct inbound_tls *t); /* no event any more; NULL is fine */
struct inbound_tls *inbound_tls_free(struct inbound_tls *t); /* once the connection has drained */
#endif
