#include "controller/ctl/cluster.h"
#include "shared/service/local_http.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TIMEOUT_MS = 15000, PATH_BYTES_MAX = 1024 };

struct cluster_answers { /* what a program's facts point at */
    char *role;
    struct json *dump, *problems;
    struct text_heap metrics;
    char why[KUBE_WHY_MAX];
};

/* ---- Where it is ---------------------------------------------------------------------------- */

/* The kubeconfig that kubectl would take; "": none. */
static const char *find_config(const struct cluster_options *o, char out[static PATH_BYTES_MAX])
{
    const char *said = getenv("KUBECONFIG"), *home = getenv("HOME");
    if (o->kubeconfig)
        return o->kubeconfig;
    out[0] = '\0';
    if (said && said[0])
        snprintf(out, PATH_BYTES_MAX, "%.*s", (int)strcspn(said, ":"), said);
    else if (home && home[0]) {
        snprintf(out, PATH_BYTES_MAX, "%s/.kube/config", home);
        if (access(out, R_OK) < 0)
            out[0] = '\0';
    }
    return out;
}

bool cluster_is_configured(const struct cluster_options *o)
{
    char path[PATH_BYTES_MAX];
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    return o->proxy || find_config(o, path)[0] || (host && host[0]);
}

int cluster_open(struct cluster *c, const struct cluster_options *o, char why[static KUBE_WHY_MAX])
{
    char path[PATH_BYTES_MAX];
    const char *file = find_config(o, path);
    *c = (struct cluster){.options = o};
    if (o->proxy)
        return 0;
    int err = file[0] ? kube_config_from_file(file, o->context, o->insecure, &c->config, why)
                      : kube_config_in_cluster(&c->config, why);
    if (err == -ENOTSUP) {
        size_t len = strlen(why);
        snprintf(why + len, KUBE_WHY_MAX - len,
                 "; or run `kubectl proxy` and say --proxy 127.0.0.1:8001");
    }
    if (err == 0) {
        err = kube_once_open(&c->once, c->config);
        if (err < 0)
            snprintf(why, KUBE_WHY_MAX, "out of memory");
    }
    return err;
}

void cluster_close(struct cluster *c)
{
    kube_once_close(&c->once);
    c->config = kube_config_free(c->config);
}

const char *cluster_server(const struct cluster *c)
{
    return c->config ? c->config->server : c->options->proxy ? c->options->proxy : "no cluster";
}

/* ---- One question --------------------------------------------------------------------------- */

static int ask_proxy(struct cluster *c, const char *path, unsigned *ret_status,
                     struct text_heap *ret_body, char why[static KUBE_WHY_MAX])
{
    const struct local_http_request q = {.socket = text_of(c->options->proxy),
                                         .method = "GET",
                                         .path = path,
                                         .timeout_ms = TIMEOUT_MS,
                                         .answer_max = CLUSTER_ANSWER_MAX};
    struct local_http_answer answer;
    const char *where = "";
    int err = local_http(&q, &answer, &where);
    text_heap_init(ret_body, 0);
    if (err < 0) {
        snprintf(why, KUBE_WHY_MAX, "%s: %s", where, strerror(-err));
        return err;
    }
    *ret_status = answer.status;
    *ret_body = answer.body;
    return 0;
}

/* What a refusal says of itself. */
static int refused(unsigned status, const struct text_heap *body, char why[static KUBE_WHY_MAX])
{
    struct json *tree = NULL;
    struct json_error e = {0};
    struct text said = {body->data ? body->data : "", body->len < 200 ? body->len : 200};
    if (body->len > 0 && json_parse((struct text){body->data, body->len}, NULL, &tree, &e) == 0 &&
        json_text(json_member(tree, TEXT("message"))).len > 0)
        said = json_text(json_member(tree, TEXT("message")));
    snprintf(why, KUBE_WHY_MAX, "%u %.*s", status, (int)said.len, said.data);
    json_free(tree);
    return status == 404 ? -ENOENT : status == 403 || status == 401 ? -EACCES : -EIO;
}

static int ask(struct cluster *c, const struct kube_call *call, struct text_heap *ret_body,
               char why[static KUBE_WHY_MAX])
{
    unsigned status = 0;
    int err = c->options->proxy ? ask_proxy(c, call->path, &status, ret_body, why)
                                : kube_once_ask(&c->once, call, &status, ret_body, why);
    if (err == 0 && status != 200)
        err = refused(status, ret_body, why);
    return err;
}

static int get_text(struct cluster *c, const char *path, struct text_heap *ret_body,
                    char why[static KUBE_WHY_MAX])
{
    /* Programs behind the API server answer what they like, not only JSON. */
    const struct kube_call call = {.path = path,
                                   .accept = "*/*",
                                   .deadline_ms = TIMEOUT_MS,
                                   .answer_max = CLUSTER_ANSWER_MAX};
    return ask(c, &call, ret_body, why);
}

int cluster_get(struct cluster *c, const char *path, struct json **ret, char why[static KUBE_WHY_MAX])
{
    const struct json_limits limits = {CLUSTER_ANSWER_MAX, 100000000, 64};
    struct text_heap body;
    struct json_error e = {0};
    int err = get_text(c, path, &body, why);
    if (err == 0) {
        err = json_parse((struct text){body.data ? body.data : "", body.len}, &limits, ret, &e);
        if (err < 0)
            snprintf(why, KUBE_WHY_MAX, "the answer to %s: %s", path, e.text);
    }
    text_heap_done(&body);
    return err;
}

int cluster_patch(struct cluster *c, const char *path, struct text body, char why[static KUBE_WHY_MAX])
{
    const struct kube_call call = {.method = "PATCH",
                                   .path = path,
                                   .type = "application/merge-patch+json",
                                   .body = body,
                                   .deadline_ms = TIMEOUT_MS};
    struct text_heap answer;
    if (c->options->proxy) {
        snprintf(why, KUBE_WHY_MAX, "nothing is changed through a kubectl proxy");
        return -ENOTSUP;
    }
    int err = ask(c, &call, &answer, why);
    text_heap_done(&answer);
    return err;
}

/* ---- The mesh's programs -------------------------------------------------------------------- */

static struct text label_of(const struct json *pod, const char *key)
{
    return json_text(json_member(json_get(pod, "metadata.labels"), text_of(key)));
}

/* "weir-nodeproxy" or "nodeproxy", by whatever says it: charts of others name things their own way. */
static char *role_of(const struct json *pod)
{
    static const char *const known[] = {"nodeproxy", "controller", "ca", "cni"};
    const struct text said[] = {
        label_of(pod, "app.kubernetes.io/component"),
        label_of(pod, "app.kubernetes.io/name"),
        label_of(pod, "app"),
        json_text(json_get(pod, "spec.containers[0].name")),
    };
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        struct text t = said[i];
        if (text_starts_with(t, TEXT("weir-")))
            t = (struct text){t.data + 5, t.len - 5};
        for (size_t j = 0; j < sizeof known / sizeof *known; j++)
            if (text_equal(t, text_of(known[j])))
                return text_dup(t);
    }
    return NULL;
}

static void pod_path(const struct cluster *c, const char *pod, unsigned port, const char *path,
                     char out[static PATH_BYTES_MAX])
{
    snprintf(out, PATH_BYTES_MAX, "/api/v1/namespaces/%s/pods/%s:%u/proxy%s", c->options->ns, pod,
             port, path);
}

static bool runs(const struct json *pod)
{
    return text_equal(json_text(json_get(pod, "status.phase")), TEXT("Running"));
}

static int ask_dump(struct cluster *c, const char *pod, const char *dump, struct cluster_answers *a)
{
    char path[PATH_BYTES_MAX];
    pod_path(c, pod, 15014, dump, path);
    int err = cluster_get(c, path, &a->dump, a->why);
    if (err != -ENOENT || strcmp(dump, CLUSTER_DUMP) == 0)
        return err;
    pod_path(c, pod, 15014, CLUSTER_DUMP, path);
    return cluster_get(c, path, &a->dump, a->why);
}

static void ask_program(struct cluster *c, const char *dump, struct check_program *p,
                        struct cluster_answers *a)
{
    char path[PATH_BYTES_MAX];
    bool controller = strcmp(p->role, "controller") == 0;
    int err = 0;
    if (controller) {
        err = ask_dump(c, p->name, dump, a);
        pod_path(c, p->name, 15014, "/debug/errors", path);
        if (err == 0)
            err = cluster_get(c, path, &a->problems, a->why);
    }
    pod_path(c, p->name, controller ? 15014 : 15020, "/metrics", path);
    if (err == 0)
        err = get_text(c, path, &a->metrics, a->why);
    p->dump = a->dump;
    p->problems = a->problems;
    if (err == 0)
        p->metrics = (struct text){a->metrics.data, a->metrics.len};
    else
        p->why = a->why;
}

static bool is_asked(const struct check_program *p, enum cluster_depth depth)
{
    if (!runs(p->pod) || depth == CLUSTER_API)
        return false;
    return strcmp(p->role, "controller") == 0 ||
           (depth == CLUSTER_ALL && strcmp(p->role, "nodeproxy") == 0);
}

static int program_order(const void *a, const void *b)
{
    const struct check_program *x = a, *y = b;
    int by_node = strcmp(x->node, y->node);
    return by_node ? by_node : strcmp(x->name, y->name);
}

static int take_programs(struct cluster *c, enum cluster_depth depth, const char *dump,
                         struct cluster_mesh *m)
{
    size_t n = json_count(json_get(m->pods, "items"));
    n = n < CLUSTER_PROGRAMS_MAX ? n : CLUSTER_PROGRAMS_MAX;
    m->programs = calloc(n + 1, sizeof *m->programs);
    m->answers = calloc(n + 1, sizeof *m->answers);
    if (!m->programs || !m->answers)
        return -ENOMEM;
    json_for_each (pod, json_get(m->pods, "items")) {
        char *role = m->n_programs < n ? role_of(pod) : NULL;
        if (!role)
            continue;
        const char *name = json_text(json_get(pod, "metadata.name")).data;
        const char *node = json_text(json_get(pod, "spec.nodeName")).data;
        m->answers[m->n_programs].role = role;
        m->programs[m->n_programs++] = (struct check_program){
            .role = role, .name = name ? name : "", .node = node ? node : "", .pod = pod};
    }
    qsort(m->programs, m->n_programs, sizeof *m->programs, program_order);
    for (size_t i = 0; i < m->n_programs; i++)
        if (is_asked(&m->programs[i], depth))
            ask_program(c, dump, &m->programs[i], &m->answers[i]);
    return 0;
}

int cluster_gather(struct cluster *c, enum cluster_depth depth, const char *dump,
                   struct cluster_mesh *ret, char why[static KUBE_WHY_MAX])
{
    char path[PATH_BYTES_MAX];
    *ret = (struct cluster_mesh){0};
    snprintf(path, sizeof path, "/api/v1/namespaces/%s/pods", c->options->ns);
    int err = cluster_get(c, "/version", &ret->version, why);
    if (err == 0)
        err = cluster_get(c, "/api/v1/nodes", &ret->nodes, why);
    if (err == 0)
        err = cluster_get(c, "/api/v1/namespaces", &ret->namespaces, why);
    if (err == 0)
        err = cluster_get(c, path, &ret->pods, why);
    if (err == 0) {
        err = take_programs(c, depth, dump, ret);
        if (err < 0)
            snprintf(why, KUBE_WHY_MAX, "out of memory");
    }
    return err;
}

void cluster_mesh_done(struct cluster_mesh *m)
{
    for (size_t i = 0; i < m->n_programs; i++) {
        free(m->answers[i].role);
        json_free(m->answers[i].dump);
        json_free(m->answers[i].problems);
        text_heap_done(&m->answers[i].metrics);
    }
    free(m->programs);
    free(m->answers);
    json_free(m->version);
    json_free(m->nodes);
    json_free(m->namespaces);
    json_free(m->pods);
    *m = (struct cluster_mesh){0};
}

const struct check_program *cluster_controller(const struct cluster_mesh *m)
{
    for (size_t i = 0; i < m->n_programs; i++)
        if (m->programs[i].dump)
            return &m->programs[i];
    return NULL;
}
