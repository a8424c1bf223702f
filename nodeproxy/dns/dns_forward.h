/*
 * Queries that go to the resolver that the pod had asked, from the pod's namespace, each with an id
 * and a port of its own by chance. Over UDP a few sockets are kept: while one waits it is connected
 * to that resolver alone, and its port is given back afterwards. Over TCP each query has a
 * connection. An answer counts if its source, id and question fit; it goes back as it came.
 *
 * Part of a dns_server, on its worker's thread. Bounded by the pod's BOUND_DNS_FORWARDED; each waits
 * for wait_ms at most.
 */
#ifndef NODEPROXY_DNS_DNS_FORWARD_H
#define NODEPROXY_DNS_DNS_FORWARD_H
#include "nodeproxy/bounds/bounds.h"
#include "nodeproxy/capture/socket_pool.h"
#include "nodeproxy/dns/dns_account.h"
#include "shared/ring/ring.h"

struct dns_client;
struct dns_asker { /* who waits for an answer, and whom he has asked */
    struct dns_client *client; /* over TCP; NULL: over UDP, from there */
    struct addr from;
    struct addr resolver;
};
enum { DNS_QUERY_BYTES_MAX = 4096 };

struct dns_forward {
    struct ring *ring;
    const struct dns_account *account;
    struct pod_bounds *bounds;
    struct socket_pool *streams; /* TCP, of the pod; not ours */
    struct socket_pool datagrams;
    uint64_t wait_ms;
    /* bytes NULL: none came in time, or none can come; why says more. */
    void (*answered)(struct dns_forward *f, const struct dns_asker *asker, const struct dns_query *q,
                     const void *bytes, size_t len, int why);
    void (*drained)(struct dns_forward *f);
    struct list pending;        /* queries that wait */
    struct list idle, busy;     /* UDP sockets */
    struct list connections;    /* TCP */
    size_t n_pending, n_busy, busy_most, n_open; /* n_open: sockets of both kinds, until they are gone */
    struct timer tick;
    bool closing, closed;
};
/* All but the lists, the counts and the pool is set by the owner. */
void dns_forward_init(struct dns_forward *f,
                      void (*refill)(struct socket_pool *p, int family, unsigned n));
/* `answered` follows from the loop. -ENOBUFS and others: it can't be asked. */
int dns_forward(struct dns_forward *f, const struct dns_asker *asker, const struct dns_query *q,
                const void *bytes, size_t len);
void dns_forward_forget(struct dns_forward *f, const struct dns_client *client); /* he has gone */
/* What waits is dropped; `drained` follows from the loop. */
void dns_forward_close(struct dns_forward *f);
#endif
