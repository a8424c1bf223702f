#include "controller/controller.h"
#include "shared/base/log.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum { CHUNKS_MAX = 16384, SERIES_MAX = 4096, AGAIN_MS = 1000 };

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

/* Each problem once, when it comes up. */
static void tell_problems(struct controller *c)
{
    struct map now;
    map_init(&now, 0);
    if (tell_list(c, &c->files.problems, &now) < 0 ||
        tell_list(c, &c->files.folder.problems, &now) < 0 || tell_list(c, &c->problems, &now) < 0)
        log_warn("config", "out of memory: problems may be told again");
    const struct map_entry *m;
    for (size_t i = 0; (m = map_next(&c->told, &i));)
        if (!map_get(&now, (struct text){m->key, m->key_len}))
            log_info("config", "no longer: %s", m->key);
    map_done(&c->told, NULL);
    c->told = now;
}

static void translate_all(struct controller *c)
{
    struct resources resources;
    struct problems problems;
    size_t changed = 0;
    problems_init(&problems);
    int err = translate(&c->store, &c->options->translate, &resources, &problems);
    if (err == 0) {
        problems_done(&c->problems);
        c->problems = problems;
        err = catalog_replace(&c->catalog, &resources, &changed);
    } else
        problems_done(&problems);
    c->translations++;
    if (err < 0) {
        log_error("config",
                  "out of memory while translating: what was served before stays for now");
        timer_start(ring_timers(c->ring), &c->again, AGAIN_MS);
    }
    if (changed > 0)
        log_info("config", "%zu changes: %zu workloads and services, %zu policies", changed,
                 catalog_count(&c->catalog, XDS_ADDRESS),
                 catalog_count(&c->catalog, XDS_AUTHORIZATION));
}

static void again(struct timer *t)
{
    struct controller *c = container_of(t, struct controller, again);
    translate_all(c);
    tell_problems(c);
    xds_server_push(&c->server);
}

static void source_changed(struct files *f, bool store_changed)
{
    struct controller *c = f->user;
    if (store_changed)
        translate_all(c);
    tell_problems(c);
    if (store_changed)
        xds_server_push(&c->server);
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

static void certificate_closed(struct serving_cert *cert)
{
    part_closed(cert->user);
}

/* The clients are gone: now what they needed. */
static void server_closed(struct xds_server *s)
{
    struct controller *c = s->user;
    c->closing = 4;
    c->lifecycle.closed = lifecycle_closed;
    timer_stop(ring_timers(c->ring), &c->again);
    lifecycle_close(&c->lifecycle);
    admin_close(c->admin, admin_closed, c);
    files_close(&c->files, files_closed);
    serving_cert_close(&c->certificate, certificate_closed);
}

static void drain(struct lifecycle *l)
{
    struct controller *c = l->user;
    xds_server_drain(&c->server, server_closed);
}

static void force(struct lifecycle *l)
{
    struct controller *c = l->user;
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

static int open_server(struct controller *c)
{
    char why[SERVING_CERT_WHY_MAX], printed[ADDR_TEXT_MAX];
    const struct controller_options *o = c->options;
    int err = serving_cert_open(&c->certificate, c->ring, o->certificate, o->key, o->roots, why);
    c->certificate.user = c;
    if (err < 0) {
        log_error("tls", "%s", why);
        return err;
    }
    err = xds_server_open(&c->server, c->ring, &o->listen, &c->catalog, &c->certificate, o->allowed,
                          o->n_allowed);
    c->server.user = c;
    if (err < 0) {
        log_error("xds", "%s: %s", addr_print(&o->listen, printed), strerror(-err));
        serving_cert_close(&c->certificate, NULL);
        return err;
    }
    log_info("xds", "listening on %s as %s", addr_print(&c->server.address, printed),
             c->certificate.uri);
    return 0;
}

static int open_source(struct controller *c)
{
    int err = files_open(&c->files, c->ring, c->options->folder, &c->store, source_changed, c);
    if (err < 0)
        log_error("config", "%s: %s", c->options->folder, strerror(-err));
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
    err = open_source(c);
    if (err == 0)
        err = open_admin(c, routes);
    if (err == 0)
        err = open_server(c);
    if (err < 0)
        return err;
    translate_all(c);
    tell_problems(c);
    lifecycle_reached(&c->lifecycle, "source");
    log_info("controller", "ready");
    return 0;
}

int controller_run(struct controller *c, const struct controller_options *options)
{
    static struct admin_route routes[CONTROLLER_ROUTES];
    const struct ring_options ring_options = {.chunks_max = CHUNKS_MAX};
    const char *why = "";
    *c = (struct controller){.options = options};
    object_store_init(&c->store);
    catalog_init(&c->catalog);
    problems_init(&c->problems);
    map_init(&c->told, 0);
    timer_init(&c->again, again);

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
    catalog_done(&c->catalog);
    object_store_done(&c->store);
    problems_done(&c->problems);
    map_done(&c->told, NULL);
    if (err < 0)
        log_error("ring", "%s", strerror(-err));
    return err < 0 ? 1 : 0;
}
