/*
 * One TCP connection on which a pod asks (RFC 7766): queries with their length before them, answered
 * one after another. Made by dns_client_accept(), ends by itself: when the pod ends it, when nothing
 * was asked for IDLE_MS, or at the first thing that is no query. Owned by its dns_server, on its
 * worker's thread; bounded by the server's listener, and by DNS_QUERY_BYTES_MAX.
 */
#ifndef NODEPROXY_DNS_DNS_CLIENT_H
#define NODEPROXY_DNS_DNS_CLIENT_H
#include "shared/base/addr.h"
#include "shared/ring/ring.h"
#include "shared/transport/conn.h"

struct dns_server;
struct dns_client {
    struct list link; /* in the server's clients */
    struct dns_server *server;
    struct conn conn;
    struct buf in;
    struct timer idle;
    struct addr resolver; /* whom it had called */
    bool asking, looking, ended;
};
/* One that was not redirected here, or for which there is no memory, is closed. */
void dns_client_accept(struct dns_server *s, int taken_fd);
/* Of the query that is asked just now; bytes NULL: none, and that is the end. */
void dns_client_answer(struct dns_client *c, const void *bytes, size_t len);
void dns_client_close(struct dns_client *c);
#endif
