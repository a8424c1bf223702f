/*
 * Two simulated node proxies, made of the real path, peer and transport code, on one simulated network: what sim_story.h
 * plays its stories on. The control threads are played here: sockets for pods, news of the directory, certificates, all
 * of it late or failing as the story wants. One thread, one seed.
 *
 *        node 0 (own ring, own directory)          node 1
 *   pods: own namespace, 15001 15006 15008 ... hbone ... pods          and pods outside of the mesh
 */
#ifndef TESTS_SIM_SIM_MESH_H
#define TESTS_SIM_SIM_MESH_H
/* cmocka.h wants these four first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "nodeproxy/path/inbound.h"
#include "nodeproxy/path/living.h"
#include "nodeproxy/path/outbound.h"
#include "shared/tls/x509.h"
#include "tests/support/fake_ring.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SIM_NODES = 2,
    SIM_PODS_MAX = 8,
    SIM_LISTENERS_MAX = 256,
    SIM_SERVICES_MAX = 4,
    SIM_MARK = 0x539,
    SIM_PORT = 8080,
    SIM_SERVICE_PORT = 80
};

struct sim_mesh;
struct sim_node {
    struct sim_mesh *mesh;
    unsigned index;
    struct path_env env;
    struct config config;
    struct directory *directory;
    struct timer news;    /* the directory changed, and the worker hears of it late */
    struct timer recheck; /* slice by slice */
    struct timer sample;
    size_t chunks_most;
};
struct sim_pod {
    struct sim_mesh *mesh;
    struct sim_node *node; /* NULL: outside of the mesh */
    struct local_pod local;
    struct spiffe_id id, id_before; /* before: if a story changed it */
    struct credential *credential;  /* what the CA gave last; the pod may not have it yet */
    struct ip v4, v6;
    uint32_t namespace_id;
    char name[32], account[32], uid[96];
    int outbound_fd, inbound_fd, hbone_fd;
    unsigned services; /* bit n: an endpoint of service n */
    bool captured, drained, no_v4;
    bool closed; /* its rules are in force and nobody listens: its proxy is gone for a while */
};
struct sim_listener { /* of an application */
    uint32_t namespace_id;
    uint16_t port;
    int fd;
};
struct sim_troubles { /* in percent, rolled each time */
    unsigned refill_fails, refill_lost, refill_ms_max;
    unsigned app_refused, app_lost, hbone_refused, hbone_lost;
};
struct sim_mesh {
    uint64_t seed;
    struct fake_net *net;
    struct rng *rng;
    struct ring *apps; /* timers of applications and of the story */
    struct sim_node nodes[SIM_NODES];
    struct sim_pod pods[SIM_PODS_MAX];
    unsigned n_pods;
    struct sim_listener listeners[SIM_LISTENERS_MAX];
    unsigned n_listeners;
    bool memory_failed; /* a story about that */
    bool calls_failed;  /* a story about calls of socket.h */
    uint8_t app_protocol; /* that services declare; set before they and pods are published */
    bool plain_ports;   /* who calls a capture port itself gets there, as if there were no rules */
    struct sim_troubles troubles;
    struct list refills;
    struct key *ca_key; /* NULL: quick */
    struct x509 ca;
    bool quick;
    uint64_t hbone_connects; /* tunnels that were tried */
};
struct sim_mesh_options {
    uint64_t seed;
    bool calm; /* no short reads, no delays */
    size_t chunks_max;
    uint64_t streams_max, connections_max;
    bool same_node_hbone;
    bool http;  /* --http on */
    bool detect; /* and --http-detect on */
    bool quick; /* keys and certificates of earlier runs are used again */
};
void sim_mesh_open(struct sim_mesh *m, const struct sim_mesh_options *o);
/* Closes what is open, waits until all has drained, and checks that nothing is left. Returns the net's trace. */
uint64_t sim_mesh_close(struct sim_mesh *m);
void sim_pods_drained(struct sim_mesh *m); /* waits for those that were removed */
bool sim_one_in(struct sim_mesh *m, unsigned n);
bool sim_roll(struct sim_mesh *m, unsigned percent);

void sim_ca_open(struct sim_mesh *m);
void sim_ca_close(struct sim_mesh *m);
/* One of the mesh's CA, or of another one. */
/* Those that the mesh itself holds. */
unsigned sim_credential_refs(const struct sim_mesh *m, const struct credential *c);
struct credential *sim_credential(struct sim_mesh *m, const char *uri, bool other_ca);
struct sim_pod *sim_pod_add(struct sim_mesh *m, int node, const char *name,
                            const char *account);          /* node -1: outside */
void sim_pod_capture(struct sim_pod *p);                   /* listeners, local_pod_open() */
void sim_pod_publish(struct sim_pod *p);                   /* into the directories */
void sim_pod_publish_to(struct sim_pod *p, unsigned node); /* into one of them */
void sim_pod_certify(struct sim_pod *p); /* a new certificate, given to it if it is captured */
void sim_pod_start(struct sim_pod *p);   /* all three */
void sim_pod_remove(struct sim_pod *p, enum ending ending);
struct sim_pod *sim_pod_at(struct sim_mesh *m, const struct ip *ip);
void sim_node_drain(struct sim_node *n);
/* The proxy is gone and its rules are not; and a new one, with the pods that were there. */
void sim_node_stop(struct sim_node *n);
void sim_node_start(struct sim_node *n);
void sim_news(struct sim_mesh *m); /* after the directories were changed */
/* A service with one virtual address per family, port 80 to 8080, of the pods whose bit is set when they are published. */
void sim_service(struct sim_mesh *m, unsigned number);
struct addr sim_service_addr(unsigned number, bool v6);
struct addr sim_pod_addr(const struct sim_pod *p, uint16_t port, bool v6);
void sim_policy_allow(struct sim_mesh *m, const char *name, const struct sim_pod *to,
                      const struct sim_pod *from); /* from NULL: nobody */
void sim_policy_no_method(struct sim_mesh *m, const char *name, const char *method); /* nobody, nowhere */
void sim_policy_strict(struct sim_mesh *m, const char *name);
void sim_policy_remove(struct sim_mesh *m, const char *name);
/* Breaks connections of tunnels: each with this probability. How many. */
unsigned sim_break_tunnels(struct sim_mesh *m, unsigned percent);
int sim_listen(struct sim_mesh *m, struct sim_pod *p,
               uint16_t port); /* an application's; the descriptor */
void sim_unlisten(struct sim_mesh *m, int fd);
size_t sim_living(const struct sim_mesh *m);    /* stories */
void sim_tell_living(const struct sim_mesh *m); /* on standard error */
uint64_t sim_ending_count(const struct sim_mesh *m, enum ending e);
#endif
