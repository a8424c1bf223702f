/* weirctl's commands for one node: its proxy's socket, and the machine itself; see ctl.h. */
#include "controller/ctl/ctl.h"
#include "shared/ring/ring.h"
#include "shared/service/local_http.h"
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { TIMEOUT_MS = 10000, KERNEL_MAJOR = 6, KERNEL_MINOR = 1 };

/* ---- One question --------------------------------------------------------------------------- */

/* -errno: why. */
static int ask(const char *where, const char *path, struct json **ret, char why[static KUBE_WHY_MAX])
{
    const struct local_http_request q = {.socket = text_of(where),
                                         .method = "GET",
                                         .path = path,
                                         .timeout_ms = TIMEOUT_MS,
                                         .answer_max = CTL_TEXT_MAX};
    const struct json_limits limits = {CTL_TEXT_MAX, 100000000, 64};
    struct local_http_answer answer;
    struct json_error e = {0};
    const char *at = "";
    int err = local_http(&q, &answer, &at);
    if (err == -ENOENT || err == -ECONNREFUSED) {
        snprintf(why, KUBE_WHY_MAX, "%s",
                 where[0] == '/' ? "no node proxy listens there; is one running on this node? "
                                   "(--socket names another path; --kubeconfig asks a cluster)"
                                 : "nothing listens there");
        return err;
    }
    if (err < 0) {
        snprintf(why, KUBE_WHY_MAX, "%s: %s", at, strerror(-err));
        return err;
    }
    const char *body = answer.body.data ? answer.body.data : "";
    if (answer.status != 200) {
        snprintf(why, KUBE_WHY_MAX, "%s: the answer was %u: %.200s", path, answer.status, body);
        err = -EIO;
    } else if (json_parse((struct text){body, answer.body.len}, &limits, ret, &e) < 0) {
        snprintf(why, KUBE_WHY_MAX, "the answer: %s", e.text);
        err = -EPROTO;
    }
    text_heap_done(&answer.body);
    return err;
}

int local_show(const struct ctl *c, const struct view *v)
{
    char why[KUBE_WHY_MAX];
    struct json *tree = NULL;
    struct table table;
    struct text_heap out;
    if (ask(c->socket, v ? v->path : "/config_dump", &tree, why) < 0)
        return ctl_fail(c->socket, why);
    text_heap_init(&out, CTL_TEXT_MAX);
    if (c->as_json || !v) {
        json_print(tree, false, &out);
        text_heap_puts(&out, "\n");
    } else {
        view_table(v, tree, c->ns, &table);
        table_print(&table, &out);
        table_done(&table);
    }
    json_free(tree);
    return ctl_write(&out);
}

/* Who follows a controller, without a cluster. */
static int controller_status(const struct ctl *c)
{
    char why[KUBE_WHY_MAX];
    struct json *tree = NULL;
    struct text_heap out;
    struct table table;
    if (ask(c->controller, CLUSTER_CLIENTS, &tree, why) < 0)
        return ctl_fail(c->controller, why);
    const struct check_program program = {
        .role = "controller", .name = c->controller, .node = "", .dump = tree};
    status_table(&program, 1, &table);
    text_heap_init(&out, CTL_TEXT_MAX);
    (c->as_json ? table_json : table_print)(&table, &out);
    table_done(&table);
    json_free(tree);
    return ctl_write(&out);
}

int local_status(const struct ctl *c)
{
    char why[KUBE_WHY_MAX];
    struct json *tree = NULL;
    struct text_heap out;
    if (c->controller)
        return controller_status(c);
    if (ask(c->socket, "/config_dump", &tree, why) < 0)
        return ctl_fail(c->socket, why);
    text_heap_init(&out, CTL_TEXT_MAX);
    const struct json *status = json_member(tree, TEXT("status"));
    if (c->as_json) {
        json_print(status, true, &out);
        text_heap_puts(&out, "\n");
    } else
        json_for_each (member, status) {
            struct text_heap value;
            text_heap_init(&value, CTL_TEXT_MAX);
            json_print(member, false, &value);
            text_heap_printf(&out, "%-20s  %s\n", json_name(member).data,
                             value.data ? value.data : "");
            text_heap_done(&value);
        }
    json_free(tree);
    return ctl_write(&out);
}

/* ---- explain -------------------------------------------------------------------------------- */

int local_explain(const struct ctl *c)
{
    char why[KUBE_WHY_MAX];
    struct json *tree = NULL;
    if (!c->controller) {
        fprintf(stderr, "weirctl: explain asks a controller: --controller ADDR:PORT (its --admin, "
                        "15014), or --kubeconfig\n");
        return 2;
    }
    if (ask(c->controller, "/config_dump", &tree, why) < 0)
        return ctl_fail(c->controller, why);
    int r = explain_show(c, tree);
    json_free(tree);
    return r;
}

/* ---- check ---------------------------------------------------------------------------------- */

static void check_kernel(struct check *c)
{
    struct utsname u = {0};
    char *rest;
    (void)uname(&u);
    long major = strtol(u.release, &rest, 10);
    long minor = *rest == '.' ? strtol(rest + 1, NULL, 10) : 0;
    bool new_enough = major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR);
    check_add(c, new_enough ? CHECK_OK : CHECK_FAIL, "kernel",
              new_enough ? NULL : "upgrade the kernel to Linux 6.1 or newer", "Linux %s", u.release);
}

static void check_io_uring(struct check *c)
{
    const struct ring_options options = {.entries = 8, .buffers = 8, .chunks_max = 64};
    struct ring *ring = NULL;
    const char *why = "";
    int err = ring_open(&ring, &options, &why);
    if (err < 0)
        check_add(c, CHECK_FAIL, "io_uring", why, "%s", strerror(-err));
    else
        check_add(c, CHECK_OK, "io_uring", NULL, "works (%s)", ring_library());
    if (ring)
        ring_free(ring);
}

static void check_nftables(struct check *c)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    bool there = access("/sys/module/nf_tables", F_OK) == 0 || access("/proc/config.gz", F_OK) != 0;
    if (fd < 0)
        check_add(c, CHECK_FAIL, "nftables", "modprobe nf_tables, and load it at boot",
                  "the kernel has no netfilter netlink: %s", strerror(errno));
    else if (!there)
        check_add(c, CHECK_WARN, "nftables",
                  "modprobe nf_tables, unless it is built into this kernel",
                  "the module nf_tables is not loaded");
    else
        check_add(c, CHECK_OK, "nftables", NULL, "the kernel answers");
    if (fd >= 0)
        close(fd);
}

void check_machine(struct check *c)
{
    check_kernel(c);
    check_io_uring(c);
    check_nftables(c);
}

static bool is_true(const struct json *of, const char *name)
{
    struct json_error e = {0};
    bool b = false;
    (void)json_opt_bool(of, name, &b, &e);
    return b;
}

static void check_connected(struct check *c, const struct json *status, const char *flag,
                            const char *error, const char *subject, const char *remedy)
{
    struct text why = json_text(json_member(status, text_of(error)));
    if (is_true(status, flag))
        check_add(c, CHECK_OK, subject, NULL, "connected");
    else
        check_add(c, CHECK_FAIL, subject, remedy, "not connected%s%s", why.len ? ": " : "",
                  why.len ? why.data : "");
}

void check_node(struct check *c, const struct json *dump)
{
    const struct json *status = json_member(dump, TEXT("status"));
    size_t n = 0, bad = 0, pods = 0, captured = 0;
    struct text version = json_text(json_member(status, TEXT("version")));
    struct text node = json_text(json_member(status, TEXT("node")));
    check_add(c, CHECK_OK, "node proxy", NULL, "%s on node %s", version.len ? version.data : "?",
              node.len ? node.data : "?");
    check_connected(c, status, "controllerConnected", "controllerError", "controller",
                    "is it running, and can this node reach its port 15012? What is configured "
                    "stays in force meanwhile");
    check_connected(c, status, "caConnected", "caError", "ca",
                    "is weir-ca running, can this node reach its port 15013, and is the node's token "
                    "good? Certificates that are there stay good until they expire");
    json_for_each (certificate, json_member(dump, TEXT("certificates"))) {
        const struct json *leaf = json_first(json_member(certificate, TEXT("certChain")));
        n++;
        if (leaf && is_true(leaf, "valid"))
            continue;
        bad++;
        struct text why = json_text(json_member(certificate, TEXT("error")));
        check_add(c, CHECK_FAIL, "certificates",
                  "may the CA give this node that identity (is the pod placed here)? Is the clock "
                  "right?",
                  "%s has no valid certificate%s%s",
                  json_text(json_member(certificate, TEXT("identity"))).data, why.len ? ": " : "",
                  why.len ? why.data : "");
    }
    if (bad == 0)
        check_add(c, CHECK_OK, "certificates", NULL, "%zu, all valid", n);
    json_for_each (pod, json_member(status, TEXT("pods"))) {
        pods++;
        captured += is_true(pod, "captured");
    }
    check_add(c, captured == pods ? CHECK_OK : CHECK_FAIL, "capture",
              captured == pods ? NULL
                               : "the proxy's log says why; a pod that is gone leaves the list by "
                                 "itself",
              "%zu of %zu pods of this node that asked are captured", captured, pods);
}

int local_check(const struct ctl *c)
{
    char why[KUBE_WHY_MAX];
    struct check check;
    struct json *tree = NULL;
    check_init(&check);
    check_machine(&check);
    if (!c->before && ask(c->socket, "/config_dump", &tree, why) < 0)
        check_add(&check, CHECK_FAIL, "node proxy",
                  "start weir-nodeproxy, or say where its socket is: --socket PATH", "%s: %s",
                  c->socket, why);
    else if (!c->before)
        check_node(&check, tree);
    json_free(tree);
    return ctl_tell(c, &check);
}
