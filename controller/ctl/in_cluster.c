/* weirctl's commands for a cluster; see ctl.h. */
#include "controller/ctl/ctl.h"
#include "shared/base/clock.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* ---- Gathered, or said why not -------------------------------------------------------------- */

struct world {
    struct cluster cluster;
    struct cluster_mesh mesh;
    char why[KUBE_WHY_MAX];
};

static int world_open(struct world *w, const struct ctl *c, enum cluster_depth depth,
                      const char *dump)
{
    *w = (struct world){0};
    int err = cluster_open(&w->cluster, &c->cluster, w->why);
    return err < 0 ? err : cluster_gather(&w->cluster, depth, dump, &w->mesh, w->why);
}

static void world_close(struct world *w)
{
    cluster_mesh_done(&w->mesh);
    cluster_close(&w->cluster);
}

static int world_fail(struct world *w)
{
    int r = ctl_fail(cluster_server(&w->cluster), w->why);
    world_close(w);
    return r;
}

static const struct check_program *controller_or_fail(struct world *w, const struct ctl *c)
{
    const struct check_program *p = cluster_controller(&w->mesh);
    if (!p)
        fprintf(stderr,
                "weirctl: no controller in namespace %s could be asked: `weirctl check` says why "
                "(--weir-namespace names another namespace)\n",
                c->cluster.ns);
    return p;
}

/* ---- Views ---------------------------------------------------------------------------------- */

int cluster_show(const struct ctl *c, const struct view *v)
{
    struct world w;
    struct text_heap out;
    struct table table;
    if (v && !v->of_controller) {
        fprintf(stderr,
                "weirctl: %s are known to their node's proxy alone: kubectl -n %s exec "
                "POD -- weirctl %s\n",
                v->name, c->cluster.ns, v->name);
        return 2;
    }
    if (world_open(&w, c, CLUSTER_CONTROLLERS, v ? v->path : CLUSTER_DUMP) < 0)
        return world_fail(&w);
    const struct check_program *p = controller_or_fail(&w, c);
    int r = 1;
    if (p) {
        text_heap_init(&out, CTL_TEXT_MAX);
        if (c->as_json || !v) {
            json_print(p->dump, true, &out);
            text_heap_puts(&out, "\n");
        } else {
            view_table(v, p->dump, c->ns, &table);
            table_print(&table, &out);
            table_done(&table);
        }
        r = ctl_write(&out);
    }
    world_close(&w);
    return r;
}

int cluster_status(const struct ctl *c)
{
    struct world w;
    struct text_heap out;
    struct table table;
    if (world_open(&w, c, CLUSTER_ALL, CLUSTER_CLIENTS) < 0)
        return world_fail(&w);
    text_heap_init(&out, CTL_TEXT_MAX);
    status_table(w.mesh.programs, w.mesh.n_programs, &table);
    if (c->as_json)
        table_json(&table, &out);
    else
        table_print(&table, &out);
    table_done(&table);
    world_close(&w);
    return ctl_write(&out);
}

static void problem_rows(struct table *t, const struct json *list, const char *kind)
{
    static const char *const names[] = {"object", "field", "message"};
    json_for_each (p, list) {
        table_cell(t, 0, text_of(kind));
        for (size_t i = 0; i < 3; i++)
            table_cell(t, i + 1, json_text(json_member(p, text_of(names[i]))));
    }
}

static void unlisted_row(struct table *t, const struct json *problems)
{
    char text[128];
    int64_t n = 0;
    struct json_error error = {0};
    if (json_opt_i64(problems, "unlisted", 0, INT64_MAX, &n, &error) < 0 || n == 0)
        return;
    snprintf(text, sizeof text, "%" PRIi64 " more are not listed; each object's status says its own", n);
    table_cell(t, 0, TEXT("unlisted"));
    table_cell(t, 3, text_of(text));
}

int cluster_problems(const struct ctl *c)
{
    static const char *const titles[] = {"KIND", "OBJECT", "FIELD", "WHAT"};
    struct world w;
    struct text_heap out;
    struct table table;
    if (world_open(&w, c, CLUSTER_CONTROLLERS, CLUSTER_CLIENTS) < 0)
        return world_fail(&w);
    const struct check_program *p = controller_or_fail(&w, c);
    int r = 1;
    if (p) {
        table_init(&table, titles, 4);
        problem_rows(&table, json_get(p->problems, "errors"), "error");
        problem_rows(&table, json_get(p->problems, "warnings"), "warning");
        unlisted_row(&table, p->problems);
        text_heap_init(&out, CTL_TEXT_MAX);
        if (c->as_json)
            table_json(&table, &out);
        else
            table_print(&table, &out);
        table_done(&table);
        r = ctl_write(&out);
    }
    world_close(&w);
    return r;
}

/* ---- check ---------------------------------------------------------------------------------- */

int cluster_check(const struct ctl *c)
{
    struct world w;
    struct check check;
    int err = world_open(&w, c, c->before ? CLUSTER_API : CLUSTER_ALL, CLUSTER_CLIENTS);
    const struct check_facts facts = {.server = cluster_server(&w.cluster),
                                      .ns = c->cluster.ns,
                                      .failure = err < 0 ? w.why : NULL,
                                      .version = w.mesh.version,
                                      .nodes = w.mesh.nodes,
                                      .namespaces = w.mesh.namespaces,
                                      .enrol_label = c->enrol_label,
                                      .programs = w.mesh.programs,
                                      .n_programs = w.mesh.n_programs,
                                      .now_s = clock_unix_s()};
    check_init(&check);
    if (c->before)
        check_before(&check, &facts);
    else
        check_installed(&check, &facts);
    int r = ctl_tell(c, &check);
    world_close(&w);
    return r;
}

/* ---- explain, enrol ------------------------------------------------------------------------- */

int cluster_explain(const struct ctl *c)
{
    struct world w;
    if (world_open(&w, c, CLUSTER_CONTROLLERS, CLUSTER_DUMP) < 0)
        return world_fail(&w);
    const struct check_program *p = controller_or_fail(&w, c);
    int r = p ? explain_show(c, p->dump) : 1;
    world_close(&w);
    return r;
}

static size_t count_pods(struct cluster *c, const char *ns, size_t *ret_host)
{
    char path[512], why[KUBE_WHY_MAX];
    struct json *pods = NULL;
    size_t n = 0;
    snprintf(path, sizeof path, "/api/v1/namespaces/%s/pods", ns);
    if (cluster_get(c, path, &pods, why) < 0)
        return 0;
    json_for_each (pod, json_get(pods, "items")) {
        struct json_error e = {0};
        bool host = false;
        (void)json_opt_bool(pod, "spec.hostNetwork", &host, &e);
        *ret_host += host;
        n += !host;
    }
    json_free(pods);
    return n;
}

int cluster_enrol(const struct ctl *c, bool enrol)
{
    char path[512], body[1024], why[KUBE_WHY_MAX];
    struct cluster cluster;
    size_t host = 0;
    if (c->n_arguments != 1) {
        fprintf(stderr, "weirctl: say which namespace: weirctl %s NAMESPACE\n",
                enrol ? "enrol" : "unenrol");
        return 2;
    }
    const char *ns = c->arguments[0];
    if (enrol && (strcmp(ns, c->cluster.ns) == 0 || strcmp(ns, "kube-system") == 0)) {
        fprintf(stderr,
                "weirctl: %s is not enrolled: what runs there must work before the mesh does, and "
                "without it\n",
                ns);
        return 2;
    }
    if (cluster_open(&cluster, &c->cluster, why) < 0)
        return ctl_fail("cluster", why);
    snprintf(path, sizeof path, "/api/v1/namespaces/%s?fieldManager=weirctl", ns);
    snprintf(body, sizeof body, "{\"metadata\":{\"labels\":{\"%s\":%s}}}", c->enrol_label,
             enrol ? "\"true\"" : "null");
    int err = cluster_patch(&cluster, path, text_of(body), why);
    if (err < 0) {
        int r = ctl_fail(ns, why);
        if (err == -ENOTSUP)
            fprintf(stderr, "weirctl: kubectl label namespace %s %s%s\n", ns, c->enrol_label,
                    enrol ? "=true" : "-");
        cluster_close(&cluster);
        return r;
    }
    size_t n = count_pods(&cluster, ns, &host);
    printf("namespace %s is %s: %zu pod%s %s the mesh, without a restart\n", ns,
           enrol ? "enrolled" : "not enrolled any more", n, n == 1 ? "" : "s",
           enrol ? "join" : "leave");
    if (enrol && host)
        printf("%zu pod%s use their host's network and stay outside\n", host, host == 1 ? "" : "s");
    if (enrol)
        printf("weirctl workloads -n %s shows them; PROTOCOL HBONE is in the mesh\n", ns);
    cluster_close(&cluster);
    return 0;
}
