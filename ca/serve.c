/* The running CA; see the header. */
#include "ca/serve.h"

#include "ca/api.h"
#include "ca/callers.h"
#include "ca/upkeep.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include "shared/service/admin.h"
#include "shared/service/lifecycle.h"
#include "shared/service/metrics.h"
#include "shared/service/xds_feed.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weir_version.h>

struct ca {
    struct serve_options options;
    struct ring *ring;
    struct lifecycle lifecycle;
    struct store *store;
    struct ledger *ledger, *lookups; /* lookups NULL: reading the state waits for nobody */
    struct root root;
    struct placement placement;
    struct grant grant;
    struct callers callers;
    struct cluster cluster;
    struct xds_feed feed;
    struct spiffe_id self;
    struct upkeep upkeep;
    struct admin *admin;
    struct api api;
    struct admin_route routes[2];
    struct metrics *metrics;
    unsigned parts_open; /* at the end */
};

/* ---- the CA's own certificate -------------------------------------------- */

static int own_renewed(struct upkeep *u, const struct key *key, const struct x509 chain[static 2],
                       const char **why)
{
    struct ca *ca = container_of(u, struct ca, upkeep);
    struct tls_config *server = NULL, *client = NULL, *api = NULL;
    struct tls_config_options o = {.role = TLS_SERVER,
                                   .peer_auth = TLS_PEER_OPTIONAL,
                                   .key = key,
                                   .chain = chain,
                                   .n_chain = 2,
                                   .roots = ca->root.trusted,
                                   .n_roots = ca->root.n_trusted,
                                   .alpn = TEXT("h2")};
    int r = tls_config_new(&server, &o, why);
    o.alpn = TEXT("");
    if (r == 0)
        r = tls_config_new(&api, &o, why);
    o.alpn = TEXT("h2");
    o.role = TLS_CLIENT;
    o.peer_auth = TLS_PEER_SVID;
    if (r == 0)
        r = tls_config_new(&client, &o, why);
    if (r == 0) {
        callers_set_tls(&ca->callers, server);
        api_set_tls(&ca->api, api);
        xds_feed_set_tls(&ca->feed, client);
    }
    tls_config_unref(server);
    tls_config_unref(client);
    tls_config_unref(api);
    return r;
}

static void trust_changed(struct upkeep *u)
{
    struct ca *ca = container_of(u, struct ca, upkeep);
    cluster_roots_changed(&ca->cluster);
    callers_set_trust(&ca->callers, ca->root.trust);
}

/* ---- placement ----------------------------------------------------------- */

static int feed_put(struct xds_feed *f, enum xds_type type, struct text name, const uint8_t *body,
                    size_t len, char why[static XDS_WHY_MAX])
{
    struct ca *ca = f->user;
    struct workload *w = NULL;
    struct service *s = NULL;
    if (type != XDS_ADDRESS)
        return 0;
    int r = xds_address_decode(body, len, &w, &s, why);
    if (r == 0) {
        r = placement_put(&ca->placement, name, w);
        if (r < 0)
            snprintf(why, XDS_WHY_MAX, "the CA is out of memory");
    }
    workload_free(w);
    service_free(s);
    return r;
}

static void feed_removed(struct xds_feed *f, enum xds_type type, struct text name)
{
    struct ca *ca = f->user;
    if (type == XDS_ADDRESS)
        placement_remove(&ca->placement, name);
}

static void feed_changed(struct xds_feed *f)
{
    (void)f;
}

static void feed_synced(struct xds_feed *f)
{
    struct ca *ca = f->user;
    log_info("ca", "placement is known");
    lifecycle_reached(&ca->lifecycle, "controller");
}

static void feed_forgotten(struct xds_feed *f)
{
    struct ca *ca = f->user;
    placement_done(&ca->placement);
    placement_init(&ca->placement);
}

static const struct xds_feed_events feed_events = {
    .put = feed_put,
    .removed = feed_removed,
    .changed = feed_changed,
    .synced = feed_synced,
    .forgotten = feed_forgotten,
};

static bool placement_known(struct callers *callers)
{
    return container_of(callers, struct ca, callers)->feed.synced_told;
}

/* ---- seen from outside --------------------------------------------------- */

static void handle_ready(struct admin_exchange *x, const struct http1_request *request, void *arg)
{
    struct ca *ca = arg;
    char text[256];
    struct text_out why = TEXT_OUT(text);
    (void)request;
    if (lifecycle_ready(&ca->lifecycle, &why))
        admin_answer(x, 200, NULL, TEXT("ready\n"));
    else
        admin_answer(x, 503, NULL, (struct text){why.data, why.len});
}

static void set(struct ca *ca, const struct metric_family *f, const struct text *labels,
                int64_t value)
{
    metric_set(metrics_series(ca->metrics, f, labels), value);
}

static void handle_metrics(struct admin_exchange *x, const struct http1_request *request, void *arg)
{
    static const char *const reason[] = {"reason"}, *const kind[] = {"kind"},
                             *const build[] = {"component", "tag"};
    static const struct metric_family build_info = {"istio_build", "Component and version.",
                                                    METRIC_GAUGE, build, 2};
    static const struct metric_family issued = {
        "weir_ca_issued_total", "Certificates issued since the start.", METRIC_COUNTER, NULL, 0};
    static const struct metric_family refused = {
        "weir_ca_refused_total", "Requests refused since the start.", METRIC_COUNTER, reason, 1};
    static const struct metric_family unaudited = {
        "weir_ca_unaudited_total",
        "Refusals without a line in the audit log: there were too many in a second or a day.",
        METRIC_COUNTER, NULL, 0};
    static const struct metric_family known = {
        "weir_ca_placement_known", "1 while placement is known.", METRIC_GAUGE, NULL, 0};
    static const struct metric_family connected = {
        "weir_xds_connected", "1 while the controller is connected.", METRIC_GAUGE, NULL, 0};
    static const char *const result[] = {"result"};
    static const struct metric_family reviews = {
        "weir_ca_token_reviews_total", "TokenReviews since the start, by how they ended.",
        METRIC_COUNTER, result, 1};
    static const struct metric_family maps = {"weir_ca_root_configmaps_written_total",
                                              "ConfigMaps with the roots, written since the start.",
                                              METRIC_COUNTER, NULL, 0};
    static const struct metric_family expiry = {"weir_ca_certificate_expiry_timestamp_seconds",
                                                "End of a signing certificate.", METRIC_GAUGE, kind,
                                                1};
    const struct text version[] = {TEXT("weir-ca"), TEXT(WEIR_VERSION)}, root = TEXT("root"),
                      intermediate = TEXT("intermediate");
    struct ca *ca = arg;
    struct text_heap body;
    (void)request;
    set(ca, &build_info, version, 1);
    set(ca, &issued, NULL, (int64_t)ca->callers.issued);
    for (size_t i = 1; i < ARRAY_SIZE(ca->callers.refused); i++) {
        const struct text label = text_of(grpc_status_name((enum grpc_status)i));
        if (ca->callers.refused[i] > 0)
            set(ca, &refused, &label, (int64_t)ca->callers.refused[i]);
    }
    if (ca->cluster.client) {
        const struct reviews *r = &ca->cluster.reviews;
        const struct text accepted = TEXT("accepted"), rejected = TEXT("refused"),
                          failed = TEXT("failed");
        set(ca, &reviews, &accepted, (int64_t)r->accepted);
        set(ca, &reviews, &rejected, (int64_t)r->refused);
        set(ca, &reviews, &failed, (int64_t)r->failed);
        set(ca, &maps, NULL, (int64_t)ca->cluster.publish.written);
    }
    set(ca, &unaudited, NULL, (int64_t)ca->callers.unaudited);
    set(ca, &known, NULL, placement_known(&ca->callers));
    set(ca, &connected, NULL, ca->feed.xds.stats.connected);
    set(ca, &expiry, &root, ca->root.root.not_after_s);
    set(ca, &expiry, &intermediate, ca->root.intermediate.not_after_s);
    text_heap_init(&body, 4 * 1024 * 1024);
    metrics_print(&ca->metrics, 1, false, &body);
    admin_answer(x, body.failed ? 503 : 200, NULL,
                 (struct text){body.data ? body.data : "", body.len});
    text_heap_done(&body);
}

/* ---- the end ------------------------------------------------------------- */

static void part_gone(void *arg)
{
    struct ca *ca = arg;
    if (--ca->parts_open == 0)
        ring_stop(ca->ring);
}

static void lifecycle_gone(struct lifecycle *l)
{
    part_gone(l->user);
}

/* What was looked up is written, too. */
static void lookups_gone(void *arg)
{
    struct ca *ca = arg;
    ca->lookups = NULL;
    ledger_close(ca->ledger, part_gone, ca);
}

/* Nobody is left to be answered: all the rest goes. */
static void callers_gone(struct callers *callers)
{
    struct ca *ca = container_of(callers, struct ca, callers);
    ca->parts_open = 3 + (ca->admin != NULL) + (ca->api.server != NULL) +
                     (ca->cluster.client != NULL);
    if (ca->lookups)
        ledger_close(ca->lookups, lookups_gone, ca);
    else
        lookups_gone(ca);
    if (ca->cluster.client)
        cluster_close(&ca->cluster, part_gone, ca);
    upkeep_stop(&ca->upkeep);
    if (ca->admin)
        admin_close(ca->admin, part_gone, ca);
    if (ca->api.server)
        api_close(&ca->api, part_gone, ca);
    xds_feed_close(&ca->feed, part_gone, ca);
    ca->lifecycle.closed = lifecycle_gone;
    lifecycle_close(&ca->lifecycle);
}

static void drain(struct lifecycle *l)
{
    callers_drain(&container_of(l, struct ca, lifecycle)->callers);
}

static void force(struct lifecycle *l)
{
    callers_close(&container_of(l, struct ca, lifecycle)->callers);
}

/* ---- the beginning ------------------------------------------------------- */

static int fail(const char *what, const char *why, int error)
{
    log_error("ca", "%s: %s", what, why && why[0] ? why : strerror(-error));
    return error;
}

static int open_state(struct ca *ca)
{
    char why[STORE_WHY_MAX];
    int r = store_open(&ca->store, ca->options.state_dir, why);
    if (r < 0)
        return fail("--state", why, r);
    r = root_open(&ca->root, ca->store, clock_unix_s(), why);
    if (r < 0)
        return fail("--state", why, r);
    r = spiffe_id_parse(text_of(ca->options.identity), &ca->self);
    if (r == 0)
        r = spiffe_id_parse(text_of(ca->options.proxy_identity), &ca->grant.proxy_id);
    if (r < 0)
        return fail("--trust-domain, --identity or --proxy-identity",
                    "no SPIFFE ID of the form spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT", r);
    ca->grant.store = ca->store;
    ca->grant.root = &ca->root;
    ca->grant.placement = &ca->placement;
    ca->grant.trust_domain = text_of(ca->options.trust_domain);
    ca->grant.ttl_s = (int64_t)(ca->options.ttl_ms / 1000);
    ca->grant.ttl_max_s = (int64_t)(ca->options.ttl_max_ms / 1000);
    return 0;
}

static int open_sockets(struct ca *ca)
{
    struct addr at;
    char text[ADDR_TEXT_MAX];
    char why[STORE_WHY_MAX];
    int fd, r = ledger_open(&ca->ledger, ca->ring, ca->options.state_dir, why);
    if (r == 0 && store_is_shared(ca->options.state_dir))
        r = ledger_open(&ca->lookups, ca->ring, ca->options.state_dir, why);
    if (r < 0)
        return fail("--state", why, r);
    r = socket_listen(&ca->options.listen, 1024, false, &fd);
    if (r < 0)
        return fail("--listen", NULL, r);
    static const struct callers_events events = {.placement_known = placement_known,
                                                 .drained = callers_gone};
    if (socket_local(fd, &at) == 0) /* tells the port where 0 was asked for */
        log_info("ca", "listening on %s", addr_print(&at, text));
    callers_open(&ca->callers, ca->ring, &ca->grant, fd, &events);
    ca->callers.ledger = ca->ledger;
    ca->callers.lookups = ca->lookups;
    callers_set_trust(&ca->callers, ca->root.trust);
    const struct api_options api = {.ring = ca->ring,
                                    .callers = &ca->callers,
                                    .root = &ca->root,
                                    .admins = &ca->options.api_admins,
                                    .listen = ca->options.api};
    if (ca->options.api.port != 0 && (r = api_open(&ca->api, &api)) < 0)
        return fail("--api-listen", NULL, r);
    const struct upkeep_options upkeep = {.ring = ca->ring,
                                          .root = &ca->root,
                                          .ledger = ca->ledger,
                                          .self = &ca->self,
                                          .dns = &ca->options.dns,
                                          .keep_s = (int64_t)(ca->options.keep_ms / 1000),
                                          .changed = trust_changed};
    r = upkeep_open(&ca->upkeep, &upkeep, own_renewed);
    if (r < 0 || ca->options.admin.port == 0)
        return r;
    ca->routes[0] = (struct admin_route){"GET", "/healthz/ready", handle_ready, ca};
    ca->routes[1] = (struct admin_route){"GET", "/metrics", handle_metrics, ca};
    r = admin_new(&ca->admin, ca->ring, ca->routes, 2);
    if (r == 0)
        r = admin_listen_tcp(ca->admin, &ca->options.admin, 3);
    return r < 0 ? fail("--admin", NULL, r) : 0;
}

static int open_cluster(struct ca *ca)
{
    struct cluster_options o = ca->options.cluster;
    if (!ca->options.kubernetes)
        return 0;
    o.roots_pem = ca->root.bundle_pem;
    return cluster_open(&ca->cluster, ca->ring, &o);
}

static int ca_open(struct ca *ca)
{
    const char *why = NULL;
    const struct ring_options ring = {.chunks_max = 8192};
    int r = open_state(ca);
    if (r < 0)
        return r;
    r = ring_open(&ca->ring, &ring, &why);
    if (r < 0)
        return fail("the ring can't be made", why, r);
    r = metrics_new(&ca->metrics, 1024);
    if (r == 0)
        r = lifecycle_open(&ca->lifecycle, ca->ring, ca->options.drain_ms, drain, force, ca);
    if (r < 0)
        return fail("start", NULL, r);
    lifecycle_wait_for(&ca->lifecycle, "controller");
    const struct xds_feed_options feed = {.ring = ca->ring,
                                          .controller = ca->options.controller,
                                          .controller_identity = ca->options.controller_identity,
                                          .node_id = "weir-ca",
                                          .types = XDS_MESH,
                                          .max_age_ms = ca->options.placement_max_age_ms};
    xds_feed_init(&ca->feed, &feed, &feed_events, ca);
    r = open_cluster(ca);
    if (r == 0)
        r = open_sockets(ca);
    if (r == 0 && ca->cluster.client)
        ca->callers.reviews = &ca->cluster.reviews;
    return r;
}

int serve(const struct serve_options *o)
{
    static struct ca ca; /* one a process */
    ca = (struct ca){.options = *o};
    placement_init(&ca.placement);
    grant_init(&ca.grant);
    int r = ca_open(&ca);
    if (r < 0) { /* the process ends, and the kernel takes what the ring has */
        root_done(&ca.root);
        store_close(ca.store);
        return r;
    }
    log_info("ca", "weir-ca %s issues for %s", WEIR_VERSION, o->trust_domain);
    r = ring_run(ca.ring);
    if (r < 0)
        return fail("the ring failed", NULL, r);
    metrics_free(ca.metrics);
    ring_free(ca.ring);
    api_done(&ca.api);
    grant_done(&ca.grant);
    placement_done(&ca.placement);
    root_done(&ca.root);
    store_close(ca.store);
    log_info("ca", "ended");
    return 0;
}
