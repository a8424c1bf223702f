/* What an operator sees of a node proxy: readiness, metrics, dumps. Handlers answer from the control thread; what workers know is asked of them. */
#include "nodeproxy/node_dump.h"

#include "nodeproxy/control/clusters_dump.h"
#include "shared/base/log.h"
#include "shared/json/json_out.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weir_version.h>

enum { DUMP_MAX = 256 * 1024 * 1024 };

/* ---- a gathering: one answer from every worker ---------------------------- */

enum gathering_kind { GATHER_METRICS, GATHER_CONNECTIONS, GATHER_CLUSTERS, GATHER_ALL };
struct gathering {
    struct node *node;
    struct admin_exchange *exchange;
    enum gathering_kind kind;
    unsigned waiting;
    bool open_metrics;
    struct text_heap connections;
    struct upstream_seen endpoints;
    struct worker_dump total;
};

static void answer_heap(struct admin_exchange *x, const char *type, struct text_heap *body)
{
    if (body->failed)
        admin_answer(x, 503, NULL, TEXT("the answer is too large or memory ran out\n"));
    else
        admin_answer(x, 200, type, (struct text){body->data ? body->data : "", body->len});
    text_heap_done(body);
}

static void answer_dump(struct node *n, struct admin_exchange *x, void (*put)(struct node *n, struct json_out *o))
{
    struct text_heap body;
    struct json_out o;
    text_heap_init(&body, DUMP_MAX);
    json_out_init(&o, &body, false);
    json_out_object(&o, NULL);
    put(n, &o);
    json_out_end(&o);
    answer_heap(x, "application/json", &body);
}

static void handle_workloads(struct admin_exchange *x, const struct http1_request *r, void *arg)
{
    (void)r;
    answer_dump(arg, x, node_dump_workloads);
}
static void handle_services(struct admin_exchange *x, const struct http1_request *r, void *arg)
{
    (void)r;
    answer_dump(arg, x, node_dump_services);
}
static void handle_policies(struct admin_exchange *x, const struct http1_request *r, void *arg)
{
    (void)r;
    answer_dump(arg, x, node_dump_policies);
}
static void handle_routes(struct admin_exchange *x, const struct http1_request *r, void *arg)
{
    (void)r;
    answer_dump(arg, x, node_dump_routes);
}
static void handle_certificates(struct admin_exchange *x, const struct http1_request *r, void *arg)
{
    (void)r;
    answer_dump(arg, x, node_dump_certificates);
}

/* ---- metrics ------------------------------------------------------------- */

static const char *const no_label[] = {NULL};
static const char *const type_label[] = {"type"};
static const char *const ending_label[] = {"ending"};
static const char *const build_labels[] = {"component", "tag"};
#define GAUGE(symbol, metric, about) static const struct metric_family symbol = {metric, about, METRIC_GAUGE, no_label, 0}
#define COUNTER(symbol, metric, about) static const struct metric_family symbol = {metric, about, METRIC_COUNTER, no_label, 0}
static const struct metric_family build_info = {"istio_build", "Component and version.", METRIC_GAUGE, build_labels, 2};
static const struct metric_family xds_messages = {"istio_xds_message_total", "xDS responses received.", METRIC_COUNTER, type_label, 1};
static const struct metric_family xds_bytes = {"istio_xds_message_bytes_total", "Bytes of xDS responses.", METRIC_COUNTER, type_label, 1};
static const struct metric_family xds_nacks = {"weir_xds_nacks_total", "xDS responses refused in whole or part.", METRIC_COUNTER, type_label, 1};
static const struct metric_family endings = {"weir_connections_ended_total", "Connections by why they ended.", METRIC_COUNTER, ending_label, 1};
static const char *const limit_labels[] = {"limit", "scope"};
static const struct metric_family limit_max = {"weir_limit", "A bound; 0: none.", METRIC_GAUGE, limit_labels, 2};
static const struct metric_family limit_now = {"weir_limit_current", "How much of it is taken, on the whole node.", METRIC_GAUGE, limit_labels, 1};
static const struct metric_family limit_most = {"weir_limit_highest", "The most that one pod, or the node, ever took.", METRIC_GAUGE, limit_labels, 2};
static const struct metric_family limit_reached = {"weir_limit_reached_total", "How often it was reached and something refused.", METRIC_COUNTER, limit_labels, 2};
COUNTER(xds_terminations, "istio_xds_connection_terminations_total", "xDS streams that ended.");
GAUGE(xds_connected, "weir_xds_connected", "1 while the controller is connected.");
GAUGE(directory_workloads, "weir_directory_workloads", "Workloads known.");
GAUGE(directory_services, "weir_directory_services", "Services known.");
GAUGE(directory_policies, "weir_directory_policies", "Policies known.");
GAUGE(directory_routes_known, "weir_directory_route_tables", "Route tables known.");
COUNTER(certificates_issued, "weir_certificates_issued_total", "Certificates received from the CA.");
COUNTER(certificates_failed, "weir_certificates_failed_total", "Certificate requests that failed.");
GAUGE(ca_connected, "weir_ca_connected", "0 when the CA could not be reached the last time that something was to be asked.");
GAUGE(trust_unheard, "weir_trust_unheard_seconds", "Since the CA could last have told what is revoked; 0 while it can.");
GAUGE(trust_behind, "weir_trust_behind", "1 while the CA tells less of what is revoked than it told before.");
GAUGE(pods_captured, "workload_manager_active_proxy_count", "Pods captured on this node.");
GAUGE(connections_out, "weir_connections_outbound", "Living outbound connections.");
GAUGE(connections_in, "weir_connections_inbound", "Living inbound connections and streams.");
GAUGE(tunnels, "weir_tunnels", "Living tunnel connections that this node opened.");
GAUGE(tunnel_streams, "weir_tunnel_streams", "Living streams in them.");
GAUGE(tunnel_servers, "weir_tunnels_accepted", "Living tunnel connections that this node accepted.");
COUNTER(mirrors_sent, "weir_mirrored_requests_total", "Copies of requests that a route's mirrors sent.");
COUNTER(mirrors_left_out, "weir_mirrored_requests_left_out_total", "Copies that were not made: too many at once, or no memory.");
COUNTER(spans_exported, "weir_trace_spans_exported_total", "Spans that the collector took.");
COUNTER(spans_dropped, "weir_trace_spans_dropped_total", "Spans that had no room, or that the collector did not take.");
COUNTER(ring_turns, "weir_ring_turns_total", "Turns of the workers' loops.");
COUNTER(ring_submitted, "weir_ring_submitted_total", "Operations given to the kernel.");
COUNTER(ring_completed, "weir_ring_completed_total", "Completions taken from the kernel.");
COUNTER(ring_starved, "weir_ring_starved_total", "Receives that had to wait for a buffer.");
GAUGE(buffers, "weir_buffers_live", "Buffers in use (16.5 KiB each).");
GAUGE(resident, "process_resident_memory_bytes", "Resident memory.");
GAUGE(descriptors, "process_open_fds", "Open file descriptors.");
GAUGE(started, "process_start_time_seconds", "Start, in seconds since 1970.");

static void set(struct node *n, const struct metric_family *f, const struct text *labels, uint64_t value)
{
    metric_set(metrics_series(n->metrics, f, labels), (int64_t)value);
}

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0, all;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%llu %llu", &all, &pages) != 2)
        pages = 0;
    fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_descriptors(void)
{
    uint64_t count = 0;
    for (int fd = 0; fd < 65536; fd++) {
        char path[32], link[2];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, link, sizeof link) >= 0)
            count++;
    }
    return count;
}

static void set_limits(struct node *n)
{
    static const struct text scopes[] = {{"pod", 3}, {"node", 4}};
    for (size_t i = 0; i < BOUND_COUNT; i++) {
        struct bound_view views[2];
        bounds_view_pods(n->bounds, (enum bound)i, &views[0]);
        bounds_view(n->bounds, (enum bound)i, &views[1]);
        for (size_t s = 0; s < 2; s++) {
            const struct text labels[] = {text_of(bound_label((enum bound)i)), scopes[s]};
            set(n, &limit_max, labels, views[s].max);
            set(n, &limit_most, labels, views[s].most);
            set(n, &limit_reached, labels, views[s].reached);
            if (s == 1)
                set(n, &limit_now, labels, views[s].now);
        }
    }
}

static void set_all(struct node *n, const struct worker_dump *d)
{
    const struct text build[] = {TEXT("weir-nodeproxy"), TEXT(WEIR_VERSION)};
    const struct xds_client_stats *x = &n->subscription.feed.xds.stats;
    struct directory_counts counts;
    struct credentials_stats credentials;
    size_t captured = 0;
    directory_counts(n->directory, &counts);
    credentials_stats(n->credentials, &credentials);
    list_for_each(link, pods_all(n->pods))
        captured += container_of(link, struct pod, link)->captured;
    set(n, &build_info, build, 1);
    for (size_t i = 0; i < XDS_TYPE_COUNT; i++) {
        const struct text type = xds_type_name((enum xds_type)i);
        set(n, &xds_messages, &type, x->messages[i]);
        set(n, &xds_bytes, &type, x->bytes[i]);
        set(n, &xds_nacks, &type, x->nacks[i]);
    }
    for (size_t i = 1; i < ENDING_COUNT; i++) {
        const struct text label = text_of(ending_text((enum ending)i));
        set(n, &endings, &label, d->endings[i]);
    }
    set(n, &xds_terminations, NULL, x->terminations);
    set(n, &xds_connected, NULL, x->connected);
    set(n, &directory_workloads, NULL, counts.workloads);
    set(n, &directory_services, NULL, counts.services);
    set(n, &directory_policies, NULL, counts.policies);
    set(n, &directory_routes_known, NULL, counts.routes);
    set(n, &certificates_issued, NULL, credentials.issued);
    set(n, &certificates_failed, NULL, credentials.failed);
    set(n, &ca_connected, NULL, credentials.reachable);
    set(n, &trust_unheard, NULL, credentials.trust_unheard_ms / 1000);
    set(n, &trust_behind, NULL, credentials.trust_behind);
    set(n, &pods_captured, NULL, captured);
    set(n, &connections_out, NULL, d->n_outbounds);
    set(n, &connections_in, NULL, d->n_inbounds);
    set(n, &tunnels, NULL, d->n_tunnels);
    set(n, &tunnel_streams, NULL, d->tunnel_streams);
    set(n, &tunnel_servers, NULL, d->n_tunnel_servers);
    set(n, &mirrors_sent, NULL, d->mirrors_sent);
    set(n, &mirrors_left_out, NULL, d->mirrors_left_out);
    set(n, &spans_exported, NULL, atomic_load(&n->exporter.exported));
    set(n, &spans_dropped, NULL, atomic_load(&n->exporter.dropped));
    set(n, &ring_turns, NULL, d->ring.turns);
    set(n, &ring_submitted, NULL, d->ring.submitted);
    set(n, &ring_completed, NULL, d->ring.completed);
    set(n, &ring_starved, NULL, d->ring.starved);
    set(n, &buffers, NULL, d->ring.chunks_live);
    set_limits(n);
    set(n, &resident, NULL, resident_bytes());
    set(n, &descriptors, NULL, open_descriptors());
    set(n, &started, NULL, (uint64_t)n->started_s);
}

static void answer_metrics(struct gathering *g)
{
    struct node *n = g->node;
    struct metrics *all[NODE_WORKERS_MAX + 1];
    struct text_heap body;
    size_t count = 0;
    set_all(n, &g->total);
    all[count++] = n->metrics;
    for (unsigned i = 0; i < n->n_workers; i++)
        all[count++] = worker_metrics(n->workers[i]);
    text_heap_init(&body, DUMP_MAX);
    metrics_print(all, count, g->open_metrics, &body);
    answer_heap(g->exchange, g->open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8" : "text/plain; version=0.0.4; charset=utf-8", &body);
}

/* ---- clusters, connections, and everything ----------------------------------------- */

static void put_clusters(const struct gathering *g, struct json_out *o)
{
    clusters_dump(g->node->directory, g->node->bounds, &g->endpoints, o);
    o->out->failed |= g->endpoints.failed;
}

static void answer_clusters(struct gathering *g)
{
    struct text_heap body;
    struct json_out o;
    text_heap_init(&body, DUMP_MAX);
    json_out_init(&o, &body, false);
    json_out_object(&o, NULL);
    put_clusters(g, &o);
    json_out_end(&o);
    answer_heap(g->exchange, "application/json", &body);
}

static void answer_connections(struct gathering *g)
{
    struct text_heap body;
    struct json_out o;
    text_heap_init(&body, DUMP_MAX);
    text_heap_puts(&body, "{");
    if (g->kind == GATHER_ALL) {
        struct text_heap rest;
        text_heap_init(&rest, DUMP_MAX);
        json_out_init(&o, &rest, false);
        json_out_object(&o, NULL);
        node_dump_status(g->node, &o);
        node_dump_workloads(g->node, &o);
        node_dump_services(g->node, &o);
        node_dump_policies(g->node, &o);
        node_dump_routes(g->node, &o);
        put_clusters(g, &o);
        node_dump_certificates(g->node, &o);
        node_dump_limits(g->node, &o);
        json_out_end(&o);
        body.failed |= rest.failed;
        if (!rest.failed && rest.len > 2) { /* without its braces */
            text_heap_put(&body, (struct text){rest.data + 1, rest.len - 2});
            text_heap_puts(&body, ",");
        }
        text_heap_done(&rest);
    }
    text_heap_puts(&body, "\"connections\":[");
    text_heap_put(&body, (struct text){g->connections.data ? g->connections.data : "", g->connections.len});
    text_heap_puts(&body, "]}");
    body.failed |= g->connections.failed;
    answer_heap(g->exchange, "application/json", &body);
}

static void gathered(struct gathering *g)
{
    if (g->node->ending) /* what the answer is made of may be gone already, only the exchange wants its end */
        admin_answer(g->exchange, 503, NULL, TEXT("the node proxy is ending\n"));
    else if (g->kind == GATHER_METRICS)
        answer_metrics(g);
    else if (g->kind == GATHER_CLUSTERS)
        answer_clusters(g);
    else
        answer_connections(g);
    text_heap_done(&g->connections);
    upstream_seen_done(&g->endpoints);
    free(g);
}

static void worker_answered(struct worker_dump *d, void *arg)
{
    struct gathering *g = arg;
    g->total.n_outbounds += d->n_outbounds;
    g->total.n_inbounds += d->n_inbounds;
    g->total.n_tunnels += d->n_tunnels;
    g->total.n_tunnel_servers += d->n_tunnel_servers;
    g->total.tunnel_streams += d->tunnel_streams;
    g->total.mirrors_sent += d->mirrors_sent;
    g->total.mirrors_left_out += d->mirrors_left_out;
    g->total.ring.turns += d->ring.turns;
    g->total.ring.submitted += d->ring.submitted;
    g->total.ring.completed += d->ring.completed;
    g->total.ring.starved += d->ring.starved;
    g->total.ring.chunks_live += d->ring.chunks_live;
    for (size_t i = 0; i < ENDING_COUNT; i++)
        g->total.endings[i] += d->endings[i];
    if (d->connections.len > 0) {
        if (g->connections.len > 0)
            text_heap_puts(&g->connections, ",");
        text_heap_put(&g->connections, (struct text){d->connections.data, d->connections.len});
    }
    upstream_seen_merge(&g->endpoints, &d->endpoints);
    if (--g->waiting == 0)
        gathered(g);
}

static void gather(struct node *n, struct admin_exchange *x, enum gathering_kind kind, bool open_metrics)
{
    static const unsigned parts[] = {[GATHER_METRICS] = 0,
                                     [GATHER_CONNECTIONS] = WORKER_CONNECTIONS,
                                     [GATHER_CLUSTERS] = WORKER_ENDPOINTS,
                                     [GATHER_ALL] = WORKER_CONNECTIONS | WORKER_ENDPOINTS};
    struct gathering *g = n->ending ? NULL : calloc(1, sizeof *g);
    if (!g) {
        admin_answer(x, 503, NULL, TEXT("the node proxy is ending or out of memory\n"));
        return;
    }
    *g = (struct gathering){.node = n, .exchange = x, .kind = kind, .open_metrics = open_metrics, .waiting = 1};
    text_heap_init(&g->connections, DUMP_MAX);
    upstream_seen_init(&g->endpoints);
    for (unsigned i = 0; i < n->n_workers; i++)
        if (worker_dump(n->workers[i], parts[kind], worker_answered, g) == 0)
            g->waiting++;
    if (--g->waiting == 0)
        gathered(g);
}

static bool contains(struct text t, const char *needle) { return t.len > 0 && memmem(t.data, t.len, needle, strlen(needle)); }

static void handle_metrics(struct admin_exchange *x, const struct http1_request *r, void *arg)
{
    gather(arg, x, GATHER_METRICS, contains(r->accept, "application/openmetrics-text"));
}
static void handle_connections(struct admin_exchange *x, const struct http1_request *r, void *arg)
{
    (void)r;
    gather(arg, x, GATHER_CONNECTIONS, false);
}
static void handle_clusters(struct admin_exchange *x, const struct http1_request *r, void *arg)
{
    (void)r;
    gather(arg, x, GATHER_CLUSTERS, false);
}
static void handle_config_dump(struct admin_exchange *x, const struct http1_request *r, void *arg)
{
    (void)r;
    gather(arg, x, GATHER_ALL, false);
}

/* ---- readiness ----------------------------------------------------------- */

static void handle_ready(struct admin_exchange *x, const struct http1_request *r, void *arg)
{
    struct node *n = arg;
    char text[256];
    struct text_out why = TEXT_OUT(text);
    (void)r;
    if (n->retired) /* a connection from before; the node is served by the successor */
        admin_answer(x, 200, NULL, TEXT("ready: another node proxy has taken over\n"));
    else if (lifecycle_ready(&n->lifecycle, &why) && pods_waiting(n->pods) == 0)
        admin_answer(x, 200, NULL, TEXT("ready\n"));
    else if (why.len == 0)
        admin_answer(x, 503, NULL, TEXT("waiting for pods that can't be captured yet\n"));
    else
        admin_answer(x, 503, NULL, (struct text){why.data, why.len});
}

/* ---- sockets ------------------------------------------------------------- */

static int listen_tcp(struct node *n, const struct addr *at, uint64_t mask)
{
    int fd = node_takeover_inherited(n, at);
    if (fd < 0)
        return admin_listen_tcp(n->admin, at, mask);
    int r = admin_listen_fd(n->admin, fd, mask);
    if (r < 0)
        close(fd);
    return r;
}

static int listen_failed(const char *what, int error)
{
    log_error("admin", "can't listen for %s: %s", what, strerror(-error));
    return error;
}

int node_admin_open(struct node *n)
{
    enum {
        READY,
        METRICS,
        STATS,
        WORKLOADS,
        SERVICES,
        POLICIES,
        ROUTES,
        CLUSTERS,
        CERTIFICATES,
        CONNECTIONS,
        TAP,
        CONFIG_DUMP,
        CNI_ADD,
        CNI_DEL,
        CNI_CHECK,
        COUNT
    };
    const struct admin_route routes[COUNT] = {
        [READY] = {"GET", "/healthz/ready", handle_ready, n},
        [METRICS] = {"GET", "/metrics", handle_metrics, n},
        [STATS] = {"GET", "/stats/prometheus", handle_metrics, n},
        [WORKLOADS] = {"GET", "/workloads", handle_workloads, n},
        [SERVICES] = {"GET", "/services", handle_services, n},
        [POLICIES] = {"GET", "/policies", handle_policies, n},
        [ROUTES] = {"GET", "/routes", handle_routes, n},
        [CLUSTERS] = {"GET", "/clusters", handle_clusters, n},
        [CERTIFICATES] = {"GET", "/certificates", handle_certificates, n},
        [CONNECTIONS] = {"GET", "/connections", handle_connections, n},
        [TAP] = {"GET", "/tap", node_tap_handle, n},
        [CONFIG_DUMP] = {"GET", "/config_dump", handle_config_dump, n},
        [CNI_ADD] = {"POST", "/cni/add", pods_handle_add, n->pods},
        [CNI_DEL] = {"POST", "/cni/del", pods_handle_del, n->pods},
        [CNI_CHECK] = {"POST", "/cni/check", pods_handle_check, n->pods},
    };
    const uint64_t cni = 1u << CNI_ADD | 1u << CNI_DEL | 1u << CNI_CHECK, all = (1u << COUNT) - 1;
    char path[108];
    _Static_assert((int)COUNT <= (int)NODE_ROUTES_MAX, "room for every route");
    list_init(&n->taps);
    memcpy(n->routes, routes, sizeof routes);
    int r = admin_new(&n->admin, n->ring, n->routes, COUNT);
    if (r < 0)
        return listen_failed("anything", r);
    r = listen_tcp(n, &n->config.admin, all & ~cni);
    if (r < 0)
        return listen_failed("--admin", r);
    r = listen_tcp(n, &n->config.metrics, 1u << METRICS | 1u << STATS);
    if (r < 0)
        return listen_failed("--metrics", r);
    r = listen_tcp(n, &n->config.ready, 1u << READY);
    if (r < 0)
        return listen_failed("--ready", r);
    snprintf(path, sizeof path, "%s/admin.sock", n->config.run_dir);
    r = admin_listen_beside(n->admin, path, 0600, all & ~cni);
    if (r < 0)
        return listen_failed(path, r);
    snprintf(path, sizeof path, "%s/cni.sock", n->config.run_dir);
    r = admin_listen_beside(n->admin, path, 0600, cni);
    if (r < 0)
        return listen_failed(path, r);
    return 0;
}
