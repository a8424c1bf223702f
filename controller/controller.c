#include "controller/controller.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHUNKS_MAX = 16384, SERIES_MAX = 4096, AGAIN_MS = 1000, REGISTRY_TICK_MS = 1000 };

static char present;

/* ---- From the source to the clients --------------------------------------------------------- */

static int tell_list(struct controller *c, const struct problems *list, struct map *now)
{
    for (size_t i = 0; i < list->n; i++) {
        char line[2 * PROBLEM_TEXT_MAX];
        struct text_out out = TEXT_OUT(line);
        const struct problem *p = &list->items[i];
        problem_print(p, &out);
        if (map_put(now, (struct text){out.data, out.len}, &present, NULL) < 0)
            return -ENOMEM;
        if (!map_get(&c->told, (struct text){out.data, out.len}))
            log_write(p->severity == PROBLEM_ERROR ? LOG_ERROR : LOG_WARN, "config", "%s", line);
    }
    return 0;
}

size_t controller_problems(const struct controller *c,
                           const struct problems *ret[static CONTROLLER_PROBLEM_LISTS])
{
    size_t n = 0;
    ret[n++] = &c->projection.problems;
    if (c->options->folder) {
        ret[n++] = &c->files.problems;
        ret[n++] = &c->files.folder.problems;
    } else
        ret[n++] = &c->kube.problems;
    return n;
}

/* Each problem once, when it comes up. */
static void tell_problems(struct controller *c)
{
    const struct problems *lists[CONTROLLER_PROBLEM_LISTS];
    size_t n = controller_problems(c, lists);
    struct map now;
    int err = 0;
    map_init(&now, 0);
    for (size_t i = 0; i < n && err == 0; i++)
        err = tell_list(c, lists[i], &now);
    if (err < 0)
        log_warn("config", "out of memory: problems may be told again");
    const struct map_entry *m;
    for (size_t i = 0; (m = map_next(&c->told, &i));)
        if (!map_get(&now, (struct text){m->key, m->key_len}))
            log_info("config", "no longer: %s", m->key);
    map_done(&c->told, NULL);
    c->told = now;
}

static bool project(struct controller *c)
{
    size_t changed = 0;
    if (c->options->registrations)
        (void)registry_refresh(&c->registry);
    int err = projection_run(&c->projection, &changed);
    if (err < 0) {
        log_error("config",
                  "out of memory while translating: what was served before stays for now");
        timer_start(ring_timers(c->ring), &c->again, AGAIN_MS);
    }
    if (changed > 0)
        log_info("config", "%zu changes: %zu workloads and services, %zu policies", changed,
                 catalog_count(&c->catalog, XDS_ADDRESS),
                 catalog_count(&c->catalog, XDS_AUTHORIZATION));
    return err == 0;
}

static int serve(struct controller *c);

/* Nobody is served before the whole is known: what is missing would look as if it had been removed. */
static void publish(struct controller *c)
{
    uint64_t begun_us = clock_monotonic_us();
    bool whole = project(c);
    tell_problems(c);
    if (c->serving)
        xds_server_push(&c->server);
    else if (whole && !c->draining && serve(c) < 0) {
        c->failed = true;
        lifecycle_drain(&c->lifecycle, "the clients' port can't be opened");
    }
    c->translate_us = clock_monotonic_us() - begun_us;
}

static void again(struct timer *t)
{
    publish(container_of(t, struct controller, again));
}

static void save_registry(struct controller *c)
{
    int err = registry_save(&c->registry);
    if (err < 0)
        log_error("registry", "%s: %s: after a restart machines may be missing until they are back",
                  c->options->registrations, strerror(-err));
}

static void registered(struct ring_task *task)
{
    struct controller *c = container_of(task, struct controller, registered);
    save_registry(c);
    publish(c);
}

static void registry_changed(void *arg)
{
    struct controller *c = arg;
    ring_task_ask(c->ring, &c->registered);
}

static void registry_ticks(struct timer *t)
{
    struct controller *c = container_of(t, struct controller, registry_tick);
    if (registry_tick(&c->registry, ring_now_ms(c->ring)))
        publish(c);
    save_registry(c);
    timer_start(ring_timers(c->ring), t, REGISTRY_TICK_MS);
}

static void files_changed(struct files *f, bool store_changed)
{
    struct controller *c = f->user;
    if (store_changed)
        publish(c);
    else
        tell_problems(c);
}

static void kube_changed(struct kube_source *s)
{
    struct controller *c = s->user;
    if (c->closing)
        return;
    publish(c);
    controller_lead_changed(c);
    if (c->projection.runs > 1) /* the first one says nothing about the next */
        kube_source_cost(s, c->translate_us / 1000);
}

/* ---- The end -------------------------------------------------------------------------------- */

static void part_closed(struct controller *c)
{
    if (--c->closing == 0)
        ring_stop(c->ring);
}

static void lifecycle_closed(struct lifecycle *l)
{
    part_closed(l->user);
}

static void admin_closed(void *arg)
{
    part_closed(arg);
}

static void files_closed(struct files *f)
{
    part_closed(f->user);
}

static void kube_closed(struct kube_source *s)
{
    part_closed(s->user);
}

static void lead_left(struct kube_leader *l)
{
    struct controller *c = l->user;
    kube_source_close(&c->kube, kube_closed);
}

static void certificate_closed(struct serving_cert *cert)
{
    part_closed(cert->user);
}

/* The clients are gone: now what they needed. */
static void close_rest(struct controller *c)
{
    c->closing = 4;
    c->lifecycle.closed = lifecycle_closed;
    timer_stop(ring_timers(c->ring), &c->again);
    timer_stop(ring_timers(c->ring), &c->registry_tick);
    ring_task_cancel(&c->registered);
    if (c->options->registrations)
        save_registry(c);
    lifecycle_close(&c->lifecycle);
    admin_close(c->admin, admin_closed, c);
    if (c->options->folder)
        files_close(&c->files, files_closed);
    else
        controller_lead_end(c, lead_left);
    serving_cert_close(&c->certificate, certificate_closed);
}

static void server_closed(struct xds_server *s)
{
    close_rest(s->user);
}

static void drain(struct lifecycle *l)
{
    struct controller *c = l->user;
    c->draining = true;
    if (c->serving)
        xds_server_drain(&c->server, server_closed);
    else
        close_rest(c);
}

static void force(struct lifecycle *l)
{
    struct controller *c = l->user;
    if (c->serving)
        xds_server_force(&c->server);
}

/* ---- The beginning -------------------------------------------------------------------------- */

static int open_admin(struct controller *c, struct admin_route *routes)
{
    char printed[ADDR_TEXT_MAX];
    controller_routes_fill(c, routes);
    int err = admin_new(&c->admin, c->ring, routes, CONTROLLER_ROUTES);
    if (err == 0)
        err = admin_listen_tcp(c->admin, &c->options->admin, UINT64_MAX);
    if (err < 0) {
        log_error("admin", "%s: %s", addr_print(&c->options->admin, printed), strerror(-err));
        return err;
    }
    struct addr at = c->options->admin;
    (void)admin_local(c->admin, 0, &at);
    log_info("admin", "listening on %s", addr_print(&at, printed));
    return 0;
}

static void certificate_came(struct serving_cert *cert)
{
    struct controller *c = cert->user;
    if (cert->config)
        lifecycle_reached(&c->lifecycle, "certificate");
}

static void trust_came(struct serving_cert *cert)
{
    struct controller *c = cert->user;
    if (c->serving)
        xds_server_look_revoked(&c->server);
}

static int ask_certificate(struct controller *c)
{
    const struct controller_options *o = c->options;
    struct credentials_options ask = {.ca = o->ca,
                                      .roots_file = o->roots,
                                      .ca_identity = o->ca_identity,
                                      .token_file = o->token_file,
                                      .watch = true};
    int err = spiffe_id_parse(text_of(o->identity), &ask.self);
    if (err == 0)
        err = serving_cert_ask(&c->certificate, c->ring, &ask, certificate_came);
    c->certificate.user = c;
    c->certificate.trusted = trust_came;
    if (err < 0)
        log_error("tls", "%s: %s", o->identity, strerror(-err));
    else
        lifecycle_wait_for(&c->lifecycle, "certificate");
    return err;
}

static int open_certificate(struct controller *c)
{
    char why[SERVING_CERT_WHY_MAX];
    const struct controller_options *o = c->options;
    if (!o->certificate)
        return ask_certificate(c);
    int err = serving_cert_open(&c->certificate, c->ring, o->certificate, o->key, o->roots, why);
    c->certificate.user = c;
    if (err < 0)
        log_error("tls", "%s", why);
    return err;
}

/* The clients' port; from here on the program is ready. */
static int serve(struct controller *c)
{
    char printed[ADDR_TEXT_MAX];
    const struct controller_options *o = c->options;
    const struct xds_server_options options = {.at = o->listen,
                                               .plain_at = o->listen_plain,
                                               .certificate = &c->certificate,
                                               .allowed = o->allowed,
                                               .n_allowed = o->n_allowed,
                                               .sidecars_domain = o->translate.sidecars
                                                                      ? o->translate.trust_domain
                                                                      : NULL};
    int err = xds_server_open(&c->server, c->ring, &options, &c->catalog);
    c->server.user = c;
    if (err < 0)
        return err;
    if (o->registrations) {
        c->server.ads.registry = &c->registry;
        timer_start(ring_timers(c->ring), &c->registry_tick, REGISTRY_TICK_MS);
    }
    c->serving = true;
    log_info("xds", "listening on %s as %s", addr_print(&c->server.address, printed),
             c->certificate.uri);
    if (o->listen_plain.ip.len)
        log_warn("xds", "listening on %s, too: anybody may ask there for routes and endpoints",
                 addr_print(&c->server.plain_address, printed));
    lifecycle_reached(&c->lifecycle, "source");
    log_info("controller", "ready");
    return 0;
}

static int open_files(struct controller *c)
{
    int err = files_open(&c->files, c->ring, c->options->folder, &c->store, files_changed, c);
    if (err < 0)
        log_error("config", "%s: %s", c->options->folder, strerror(-err));
    return err;
}

static int open_registry(struct controller *c)
{
    const struct controller_options *o = c->options;
    char why[WHY_MAX];
    if (!o->registrations)
        return 0;
    int err = registry_open(&c->registry, &c->store, o->translate.trust_domain, o->registrations,
                            o->registration_lease_ms, ring_now_ms(c->ring), why);
    if (err < 0)
        log_error("registry", "%s", why);
    c->registry.changed = registry_changed;
    c->registry.changed_arg = c;
    return err;
}

static int open_kube(struct controller *c)
{
    const struct controller_options *o = c->options;
    struct kube_source_options options = {.silence_ms = o->watch_silence_ms};
    char why[KUBE_WHY_MAX];
    int err = o->kubeconfig
                  ? kube_config_from_file(o->kubeconfig, o->context, o->kubeconfig_insecure,
                                          &options.taken_config, why)
                  : kube_config_in_cluster(&options.taken_config, why);
    if (err < 0) {
        log_error("kube", "%s", why);
        return err;
    }
    if (options.taken_config->insecure)
        log_warn("kube", "the API server's certificate is not looked at: anybody may answer in "
                         "its place");
    snprintf(c->kube_namespace, sizeof c->kube_namespace, "%s",
             options.taken_config->ns ? options.taken_config->ns : "");
    err = kube_source_open(&c->kube, c->ring, &options, &c->store, kube_changed, c);
    if (err < 0)
        log_error("kube", "%s", strerror(-err));
    else
        log_info("kube", "reading %s", kube_client_server(c->kube.client));
    if (err == 0)
        controller_lead(c);
    return err;
}

/* All parts, in the order in which they need one another. What was opened is in *ret_opened. */
static int open_parts(struct controller *c, struct admin_route *routes)
{
    int err = lifecycle_open(&c->lifecycle, c->ring, c->options->drain_ms, drain, force, c);
    if (err < 0) {
        log_error("lifecycle", "signals: %s", strerror(-err));
        return err;
    }
    lifecycle_wait_for(&c->lifecycle, "source");
    err = open_certificate(c);
    if (err == 0)
        err = c->options->folder ? open_files(c) : open_kube(c);
    if (err == 0)
        err = open_registry(c);
    if (err == 0)
        err = open_admin(c, routes);
    if (err < 0 || !c->options->folder)
        return err;
    project(c);
    tell_problems(c);
    return serve(c);
}

int controller_run(struct controller *c, const struct controller_options *options)
{
    static struct admin_route routes[CONTROLLER_ROUTES];
    const struct ring_options ring_options = {.chunks_max = CHUNKS_MAX};
    const char *why = "";
    *c = (struct controller){.options = options};
    object_store_init(&c->store);
    catalog_init(&c->catalog);
    ads_init(&c->server.ads, &c->catalog); /* for dumps, until clients are taken */
    projection_init(&c->projection, &c->store, &c->catalog, &options->translate);
    map_init(&c->told, 0);
    timer_init(&c->again, again);
    timer_init(&c->registry_tick, registry_ticks);
    ring_task_init(&c->registered, registered);

    int err = metrics_new(&c->metrics, SERIES_MAX);
    if (err < 0) {
        log_error("controller", "out of memory");
        return 1;
    }
    err = ring_open(&c->ring, &ring_options, &why);
    if (err < 0) {
        log_error("ring", "%s: %s", strerror(-err), why);
        metrics_free(c->metrics);
        return 1;
    }
    if (open_parts(c, routes) < 0)
        return 1; /* the kernel takes back what was opened */
    err = ring_run(c->ring);
    c->ring = ring_free(c->ring);
    metrics_free(c->metrics);
    projection_done(&c->projection);
    if (options->registrations)
        registry_done(&c->registry);
    catalog_done(&c->catalog);
    object_store_done(&c->store);
    map_done(&c->told, NULL);
    bool failed = c->failed;
    if (err < 0)
        log_error("ring", "%s", strerror(-err));
    return err < 0 || failed ? 1 : 0;
}
