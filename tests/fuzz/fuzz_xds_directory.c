/*
 * What a controller sends, all the way: gRPC messages of delta xDS into the client, what it makes of
 * them into the directory as the node proxy does it, and decisions on what is there. Input: pieces, each two bytes
 * of length and that many bytes: a DeltaDiscoveryResponse. After each one the directory holds exactly
 * what the client says that it has.
 * covers: shared/xds/xds_client.c nodeproxy/control/subscription.c
 * covers: shared/mesh/directory_workloads.c shared/mesh/directory_services.c
 * covers: shared/mesh/directory_policies.c shared/mesh/directory_routes.c
 * covers: shared/mesh/directory_decide.c
 */
#include "nodeproxy/control/subscription.h"
#include "shared/http/http_head.h"
#include "shared/mesh/route.h"
#include "tests/fuzz/grpc_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGES_MAX = 16, VISITS_MAX = 64 };

struct wire {
    struct grpc_wire ends; /* the controller's is written by hand */
    struct xds_client xds;
    struct subscription subscription;
    bool accepted, closed;
    unsigned visits;
};
static struct wire w;

/* ---- the way of the node proxy, without its connection */

static int put(struct xds_client *c, enum xds_type type, struct text name, const uint8_t *body,
               size_t len, char why[static XDS_WHY_MAX])
{
    (void)c;
    int r = w.subscription.feed.events->put(&w.subscription.feed, type, name, body, len, why);
    assert(r == 0 || why[0]);
    return r;
}
static void removed(struct xds_client *c, enum xds_type type, struct text name)
{
    (void)c;
    w.subscription.feed.events->removed(&w.subscription.feed, type, name);
}
static void synced(struct xds_client *c, enum xds_type type)
{
    (void)c, (void)type;
}
static void stream_closed(struct xds_client *c, enum grpc_status status, struct text message)
{
    (void)c, (void)status, (void)message;
    w.closed = true;
}
static const struct xds_client_events client_events = {put, removed, synced, stream_closed};

/* ---- the controller */

static struct http2_stream *on_request(struct http2 *h, const struct http2_head *head,
                                       unsigned *ret_status)
{
    (void)h, (void)head, (void)ret_status;
    w.accepted = true;
    return &w.ends.raw;
}
static const struct http2_events session_events = {.request = on_request,
                                                   .want_flush = wire_want_flush};

static void open_wire(void)
{
    const struct xds_feed_options options = {.node_id = "n", .controller_identity = ""};
    static struct directory *directory; /* ends with the program: it waits for its threads */
    if (!directory && directory_new(&directory) < 0)
        abort();
    grpc_wire_open(&w.ends, &session_events);
    w.subscription.directory = directory;
    subscription_init(&w.subscription, &options);
    xds_client_init(&w.xds, "n", XDS_MESH_AND_ROUTES, &client_events, NULL);
    if (xds_client_start(&w.xds, w.ends.client, &w.ends.pool, TEXT("c"), TEXT("")) < 0)
        abort();
    grpc_wire_run(&w.ends);
    assert(w.accepted);
    grpc_wire_answer(&w.ends);
}

/* As if the controller had taken it all back. */
static void remove_all(void)
{
    struct directory_counts counts;
    const struct map_entry *e;
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++)
        for (size_t i = 0; (e = map_next(&w.xds.versions[type], &i));)
            removed(&w.xds, (enum xds_type)type, text_of(e->key));
    directory_counts(w.subscription.directory, &counts);
    assert(counts.workloads + counts.services + counts.policies + counts.routes == 0);
    directory_thread_offline(); /* nothing is being read: what was replaced may go */
    directory_thread_online();
}

static void close_wire(void)
{
    xds_client_stop(&w.xds);
    grpc_wire_close(&w.ends);
    remove_all();
    xds_client_done(&w.xds);
    xds_client_done(&w.subscription.feed.xds);
    grpc_wire_done(&w.ends);
}

/* ---- what must be true of the directory */

static void look_at_policies(const struct directory *d, const struct workload *local)
{
    struct spiffe_id id;
    struct verdict verdict;
    struct access access = {
        .source = {4, {10, 0, 0, 1}}, .destination = {4, {10, 0, 0, 2}}, .destination_port = 80};
    directory_authorise(d, local, &access, &verdict);
    if (spiffe_id_make(TEXT("cluster.local"), TEXT("a"), TEXT("b"), &id) == 0) {
        access.identity = &id;
        directory_authorise(d, local, &access, &verdict);
    }
    assert(memchr(verdict.policy, 0, sizeof verdict.policy));
}

static bool look_at_workload(const struct workload *workload, void *arg)
{
    const struct directory *d = arg;
    assert(directory_workload(d, text_of(workload->uid)) == workload);
    for (size_t i = 0; i < workload->n_addresses; i++) {
        const struct workload *at =
            directory_workload_at(d, text_of(workload->network), &workload->addresses[i]);
        assert(!at || !at->host_network); /* NULL: its node's */
        assert(at || workload->host_network || workload->n_addresses > 0);
    }
    look_at_policies(d, workload);
    return ++w.visits < VISITS_MAX;
}

static bool look_at_service(const struct service *s, void *arg)
{
    const struct directory *d = arg;
    const struct workload *const *endpoints;
    struct choice choice;
    struct rng rng;
    rng_seed(&rng, 1);
    assert(directory_service(d, text_of(s->key)) == s);
    size_t n = directory_endpoints(d, s, &endpoints);
    for (size_t i = 0; i < n; i++)
        assert(directory_workload(d, text_of(endpoints[i]->uid)) == endpoints[i]);
    for (size_t i = 0; i < s->n_ports && i < 4; i++) {
        int r = directory_choose(d, s, s->ports[i].service_port, n ? endpoints[0] : NULL, 0, &rng,
                                 &choice);
        if (r == 0)
            assert((choice.workload->healthy || s->allow_unhealthy) && choice.target.port != 0 &&
                   choice.target.ip.len > 0);
    }
    return ++w.visits < VISITS_MAX;
}

static bool look_at_routes(const struct route_table *t, void *arg)
{
    const struct directory *d = arg;
    struct http_head head;
    struct route_choice choice;
    const struct route_request request = {.head = &head};
    struct route_table *taken = directory_routes(d, t->name);
    assert(taken == t);
    http_head_init(&head);
    if (http_head_set_method(&head, TEXT("GET")) == 0 &&
        http_head_set_authority(&head, TEXT("a")) == 0 && http_head_set_path(&head, TEXT("/")) == 0)
        (void)route_table_choose(taken, &request, &choice);
    http_head_done(&head);
    route_table_unref(taken);
    return ++w.visits < VISITS_MAX;
}

static void look(void)
{
    struct directory *d = w.subscription.directory;
    struct directory_counts counts;
    directory_counts(d, &counts);
    assert(counts.workloads + counts.services == w.xds.versions[XDS_ADDRESS].count);
    assert(counts.policies == w.xds.versions[XDS_AUTHORIZATION].count);
    assert(counts.routes == w.xds.versions[XDS_ROUTES].count);
    w.visits = 0;
    directory_each_workload(d, look_at_workload, d);
    w.visits = 0;
    directory_each_service(d, look_at_service, d);
    w.visits = 0;
    directory_each_routes(d, look_at_routes, d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool registered;
    if (!registered)
        directory_thread_register();
    registered = true;
    w = (struct wire){.accepted = false};
    open_wire();
    for (unsigned i = 0; i < MESSAGES_MAX && size >= 2 && !w.closed; i++) {
        size_t len = (size_t)data[0] << 8 | data[1];
        data += 2;
        size -= 2;
        if (len > size)
            len = size;
        const uint8_t head[5] = {0, 0, 0, (uint8_t)(len >> 8), (uint8_t)len};
        grpc_wire_say(&w.ends, head, sizeof head);
        grpc_wire_say(&w.ends, data, len);
        grpc_wire_run(&w.ends);
        look();
        data += len;
        size -= len;
    }
    close_wire();
    return 0;
}
