/* The running CA; see the header. */
#include "ca/serve.h"

#include "ca/grant.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include "shared/service/admin.h"
#include "shared/service/lifecycle.h"
#include "shared/service/metrics.h"
#include "shared/service/xds_feed.h"
#include "shared/transport/h2_conn.h"
#include "shared/transport/listener.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weir_version.h>

enum { CONNECTIONS_MAX = 4096, CALLS_MAX = 64, MESSAGE_MAX = 64 * 1024, OWN_TTL_S = 86400, REFRESH_MS = 60000 };

struct ca {
    struct serve_options options;
    struct ring *ring;
    struct lifecycle lifecycle;
    struct store *store;
    struct root root;
    struct placement placement;
    struct grant grant;
    struct xds_feed feed;
    struct spiffe_id self;
    struct tls_config *server_tls;
    int64_t own_renew_s;
    struct listener listener;
    struct list callers;
    struct timer refresh;
    struct admin *admin;
    struct admin_route routes[2];
    struct metrics *metrics;
    uint64_t issued, refused[GRPC_UNAUTHENTICATED + 1];
    unsigned parts_open;
    bool ending;
};
struct caller { /* one connection of a node proxy */
    struct list link;
    struct ca *ca;
    struct h2_conn h2;
};
struct request { /* one call; freed after its closed event, from the loop */
    struct grpc_call call;
    struct caller *caller;
    struct ring_task free_task;
    char *bearer;
    bool answered;
};

/* ---- the CA's own certificate -------------------------------------------- */

static int make_own_tls(struct ca *ca, const struct key *key, const struct x509 *chain, const char **why)
{
    struct tls_config *server = NULL, *client = NULL;
    struct tls_config_options o = {
        .role = TLS_SERVER, .peer_auth = TLS_PEER_OPTIONAL, .key = key, .chain = chain, .n_chain = 2, .roots = &ca->root.root, .n_roots = 1, .alpn = TEXT("h2")};
    int r = tls_config_new(&server, &o, why);
    o.role = TLS_CLIENT;
    o.peer_auth = TLS_PEER_SVID;
    if (r == 0)
        r = tls_config_new(&client, &o, why);
    if (r == 0) {
        tls_config_unref(ca->server_tls);
        ca->server_tls = tls_config_ref(server);
        xds_feed_set_tls(&ca->feed, client);
    }
    tls_config_unref(server);
    tls_config_unref(client);
    return r;
}

static int renew_own(struct ca *ca)
{
    struct key *key = NULL;
    struct issued *made = malloc(sizeof *made);
    struct x509 chain[2] = {0};
    uint8_t public_der[KEY_PUBLIC_MAX];
    size_t public_len = 0, n = 0;
    char issue_why[STORE_WHY_MAX] = "";
    const char *why = "no memory";
    int64_t now = clock_unix_s();
    int r = made ? key_generate(&key) : -ENOMEM;
    if (r == 0)
        r = key_public_der(key, public_der, sizeof public_der, &public_len);
    if (r == 0) {
        const struct issue_request q = {.id = &ca->self, .node = "", .public_der = public_der, .public_len = public_len, .ttl_s = OWN_TTL_S};
        r = issue(&ca->root, &q, now, made, issue_why);
        why = issue_why;
    }
    if (r == 0)
        r = x509_from_pem(text_of(made->leaf_pem), &chain[0], 1, &n, &why);
    if (r == 0)
        r = x509_from_pem(text_of(ca->root.intermediate_pem), &chain[1], 1, &n, &why);
    if (r == 0)
        r = make_own_tls(ca, key, chain, &why);
    if (r < 0)
        log_error("ca", "no certificate of our own: %s", why);
    else
        ca->own_renew_s = now + OWN_TTL_S / 2;
    x509_done(&chain[0]);
    x509_done(&chain[1]);
    key_unref(key);
    free(made);
    return r;
}

static void refresh(struct timer *t)
{
    struct ca *ca = container_of(t, struct ca, refresh);
    char why[STORE_WHY_MAX];
    timer_start(ring_timers(ca->ring), &ca->refresh, REFRESH_MS);
    if (root_refresh(&ca->root, clock_unix_s(), why) < 0)
        log_error("ca", "%s", why);
    if (clock_unix_s() >= ca->own_renew_s)
        (void)renew_own(ca);
}

/* ---- placement ----------------------------------------------------------- */

static int feed_put(struct xds_feed *f, enum xds_type type, struct text name, const uint8_t *body, size_t len, char why[static XDS_WHY_MAX])
{
    struct ca *ca = f->user;
    struct workload *w = NULL;
    struct service *s = NULL;
    (void)name;
    if (type != XDS_ADDRESS)
        return 0;
    int r = xds_address_decode(body, len, &w, &s, why);
    if (r == 0 && w)
        r = placement_put(&ca->placement, w);
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

static void feed_changed(struct xds_feed *f) { (void)f; }

static void feed_synced(struct xds_feed *f)
{
    struct ca *ca = f->user;
    log_info("ca", "placement is known");
    lifecycle_reached(&ca->lifecycle, "controller");
}

static const struct xds_feed_events feed_events = {.put = feed_put, .removed = feed_removed, .changed = feed_changed, .synced = feed_synced};

static bool placement_known(const struct ca *ca)
{
    if (!ca->feed.synced_told)
        return false;
    return ca->feed.xds.stats.connected || ring_now_ms(ca->ring) - ca->feed.lost_ms < ca->options.placement_max_age_ms;
}

/* ---- requests ------------------------------------------------------------ */

static void log_answer(const struct grant_answer *a)
{
    if (a->status == GRPC_OK)
        log_info("issue", "node=%s identity=%s serial=%s", a->node, a->identity, a->issued.serial);
    else
        log_warn("issue", "refused: node=%s identity=%s status=%s reason=%s", a->node[0] ? a->node : "unknown", a->identity[0] ? a->identity : "unknown",
                 grpc_status_name(a->status), a->why);
}

static void call_message(struct grpc_call *call, const uint8_t *data, size_t len)
{
    struct request *q = call->user;
    struct ca *ca = q->caller->ca;
    struct grant_answer *a = malloc(sizeof *a);
    struct xds_bytes bytes = {0};
    if (q->answered) {
        free(a);
        return;
    }
    q->answered = true;
    if (!a) {
        grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, "the CA is out of memory");
        return;
    }
    grant_decide(&ca->grant, text_of(q->bearer), data, len, placement_known(ca), clock_unix_s(), ring_now_ms(ca->ring), a);
    log_answer(a);
    if (a->status == GRPC_OK) {
        ca->issued++;
        if (certificate_response_encode(&a->response, &bytes) < 0 || grpc_call_send(call, bytes.data, bytes.len) < 0)
            grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, "the CA is out of memory");
        else
            grpc_call_finish(call, GRPC_OK, NULL);
        xds_bytes_done(&bytes);
        certificate_response_done(&a->response);
    } else {
        ca->refused[a->status]++;
        grpc_call_finish(call, a->status, a->message);
    }
    free(a);
}

static void call_half_closed(struct grpc_call *call)
{
    struct request *q = call->user;
    if (!q->answered)
        grpc_call_finish(call, GRPC_INVALID_ARGUMENT, "a request message is needed");
}

static void request_free(struct ring_task *task)
{
    struct request *q = container_of(task, struct request, free_task);
    if (q->bearer)
        key_wipe(q->bearer, strlen(q->bearer));
    free(q->bearer);
    free(q);
}

static void call_closed(struct grpc_call *call, enum grpc_status status, struct text message)
{
    struct request *q = call->user;
    (void)status;
    (void)message;
    ring_task_ask(q->caller->ca->ring, &q->free_task); /* never under the session's feet */
}

static const struct grpc_call_events call_events = {.message = call_message, .half_closed = call_half_closed, .closed = call_closed};

static struct http2_stream *caller_request(struct h2_conn *h, const struct http2_head *head, unsigned *ret_status)
{
    struct caller *c = container_of(h, struct caller, h2);
    struct text path, bearer;
    if (grpc_request_check(head, &path, &bearer, ret_status) < 0)
        return NULL;
    struct request *q = calloc(1, sizeof *q);
    char *copy = q ? text_dup(bearer) : NULL;
    if (!copy) {
        free(q);
        *ret_status = 503;
        return NULL;
    }
    q->caller = c;
    q->bearer = copy;
    ring_task_init(&q->free_task, request_free);
    grpc_call_accept(&q->call, ring_chunks(c->ca->ring), MESSAGE_MAX, &call_events, q);
    if (!text_equal(path, TEXT(XDS_CREATE_CERTIFICATE_PATH))) {
        q->answered = true;
        grpc_call_finish(&q->call, GRPC_UNIMPLEMENTED, "the CA serves " XDS_CREATE_CERTIFICATE_PATH);
    }
    return &q->call.stream;
}

/* ---- connections --------------------------------------------------------- */

static void caller_ready(struct h2_conn *h) { (void)h; }

static void caller_closed(struct h2_conn *h, int error)
{
    (void)error;
    h2_conn_close(h);
}

static void look_ended(struct ca *ca);

static void caller_drained(struct h2_conn *h)
{
    struct caller *c = container_of(h, struct caller, h2);
    struct ca *ca = c->ca;
    list_remove(&c->link);
    free(c);
    listener_release(&ca->listener);
    look_ended(ca);
}

static const struct h2_conn_events caller_events = {.ready = caller_ready, .request = caller_request, .closed = caller_closed, .drained = caller_drained};

static void accepted(struct listener *l, int taken_fd)
{
    struct ca *ca = l->user;
    struct caller *c = ca->ending ? NULL : calloc(1, sizeof *c);
    const struct h2_conn_options o = {.tls = ca->server_tls, .ping_idle = true, .http2 = {.server = true, .streams_max = CALLS_MAX}};
    if (!c) {
        socket_close(taken_fd);
        listener_release(l);
        return;
    }
    c->ca = ca;
    if (h2_conn_open_server(&c->h2, ca->ring, taken_fd, &o, &caller_events, c) < 0) {
        free(c);
        listener_release(l);
        return;
    }
    list_push_back(&ca->callers, &c->link);
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

static void set(struct ca *ca, const struct metric_family *f, const struct text *labels, int64_t value) { metric_set(metrics_series(ca->metrics, f, labels), value); }

static void handle_metrics(struct admin_exchange *x, const struct http1_request *request, void *arg)
{
    static const char *const reason[] = {"reason"}, *const kind[] = {"kind"}, *const build[] = {"component", "tag"};
    static const struct metric_family build_info = {"istio_build", "Component and version.", METRIC_GAUGE, build, 2};
    static const struct metric_family issued = {"weir_ca_issued_total", "Certificates issued since the start.", METRIC_COUNTER, NULL, 0};
    static const struct metric_family refused = {"weir_ca_refused_total", "Requests refused since the start.", METRIC_COUNTER, reason, 1};
    static const struct metric_family known = {"weir_ca_placement_known", "1 while placement is known.", METRIC_GAUGE, NULL, 0};
    static const struct metric_family connected = {"weir_xds_connected", "1 while the controller is connected.", METRIC_GAUGE, NULL, 0};
    static const struct metric_family expiry = {"weir_ca_certificate_expiry_timestamp_seconds", "End of a signing certificate.", METRIC_GAUGE, kind, 1};
    const struct text version[] = {TEXT("weir-ca"), TEXT(WEIR_VERSION)}, root = TEXT("root"), intermediate = TEXT("intermediate");
    struct ca *ca = arg;
    struct text_heap body;
    (void)request;
    set(ca, &build_info, version, 1);
    set(ca, &issued, NULL, (int64_t)ca->issued);
    for (size_t i = 1; i < ARRAY_SIZE(ca->refused); i++) {
        const struct text label = text_of(grpc_status_name((enum grpc_status)i));
        if (ca->refused[i] > 0)
            set(ca, &refused, &label, (int64_t)ca->refused[i]);
    }
    set(ca, &known, NULL, placement_known(ca));
    set(ca, &connected, NULL, ca->feed.xds.stats.connected);
    set(ca, &expiry, &root, ca->root.root.not_after_s);
    set(ca, &expiry, &intermediate, ca->root.intermediate.not_after_s);
    text_heap_init(&body, 4 * 1024 * 1024);
    metrics_print(&ca->metrics, 1, false, &body);
    admin_answer(x, body.failed ? 503 : 200, NULL, (struct text){body.data ? body.data : "", body.len});
    text_heap_done(&body);
}

/* ---- the end ------------------------------------------------------------- */

static void part_gone(void *arg)
{
    struct ca *ca = arg;
    if (--ca->parts_open == 0)
        ring_stop(ca->ring);
}

static void look_ended(struct ca *ca)
{
    if (ca->ending && list_empty(&ca->callers))
        part_gone(ca);
}

static void listener_gone(struct listener *l) { part_gone(l->user); }
static void lifecycle_gone(struct lifecycle *l) { part_gone(l->user); }

static void force(struct lifecycle *l)
{
    struct ca *ca = l->user;
    if (ca->ending)
        return;
    bool none = list_empty(&ca->callers);
    ca->ending = true;
    ca->parts_open = 4 + (ca->admin != NULL);
    timer_stop(ring_timers(ca->ring), &ca->refresh);
    list_for_each(n, &ca->callers)
        h2_conn_close(&container_of(n, struct caller, link)->h2);
    if (none)
        part_gone(ca);
    if (ca->admin)
        admin_close(ca->admin, part_gone, ca);
    listener_close(&ca->listener);
    xds_feed_close(&ca->feed, part_gone, ca);
    l->closed = lifecycle_gone;
    lifecycle_close(l);
}

/* Calls are short: what is being asked is answered in this very turn, so that there is nothing to wait for. */
static void drain(struct lifecycle *l) { force(l); }

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
    r = spiffe_id_make(text_of(ca->options.trust_domain), TEXT("weir-system"), TEXT("weir-ca"), &ca->self);
    if (r == 0)
        r = spiffe_id_parse(text_of(ca->options.proxy_identity), &ca->grant.proxy_id);
    if (r < 0)
        return fail("--trust-domain or --proxy-identity", "no SPIFFE ID of the form spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT", r);
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
    int fd, r = socket_listen(&ca->options.listen, 1024, false, &fd);
    if (r < 0)
        return fail("--listen", NULL, r);
    listener_open(&ca->listener, ca->ring, fd, CONNECTIONS_MAX, accepted, listener_gone, ca);
    if (ca->options.admin.port == 0)
        return 0;
    ca->routes[0] = (struct admin_route){"GET", "/healthz/ready", handle_ready, ca};
    ca->routes[1] = (struct admin_route){"GET", "/metrics", handle_metrics, ca};
    r = admin_new(&ca->admin, ca->ring, ca->routes, 2);
    if (r == 0)
        r = admin_listen_tcp(ca->admin, &ca->options.admin, 3);
    return r < 0 ? fail("--admin", NULL, r) : 0;
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
    const struct xds_feed_options feed = {
        .ring = ca->ring, .controller = ca->options.controller, .controller_identity = ca->options.controller_identity, .node_id = "weir-ca"};
    xds_feed_init(&ca->feed, &feed, &feed_events, ca);
    timer_init(&ca->refresh, refresh);
    timer_start(ring_timers(ca->ring), &ca->refresh, REFRESH_MS);
    r = renew_own(ca);
    return r < 0 ? r : open_sockets(ca);
}

int serve(const struct serve_options *o)
{
    static struct ca ca; /* one a process */
    ca = (struct ca){.options = *o};
    list_init(&ca.callers);
    placement_init(&ca.placement);
    grant_init(&ca.grant);
    int r = ca_open(&ca);
    if (r < 0)
        return r; /* the process ends */
    log_info("ca", "weir-ca %s issues for %s", WEIR_VERSION, o->trust_domain);
    r = ring_run(ca.ring);
    if (r < 0)
        return fail("the ring failed", NULL, r);
    tls_config_unref(ca.server_tls);
    metrics_free(ca.metrics);
    ring_free(ca.ring);
    grant_done(&ca.grant);
    placement_done(&ca.placement);
    root_done(&ca.root);
    store_close(ca.store);
    log_info("ca", "ended");
    return 0;
}
