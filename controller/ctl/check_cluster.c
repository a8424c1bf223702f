/* The lines of check.h for a cluster: before an installation, and of one. */
#include "controller/ctl/check.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    KERNEL_MAJOR = 6,
    KERNEL_MINOR = 1,
    KUBE_MINOR = 20,
    EXPIRES_SOON_S = 1800,
    NAMED_MAX = 5, /* configuration errors that are named one by one */
};

static struct text at(const struct json *j, const char *path)
{
    struct text t = json_text(json_get(j, path));
    return t.data ? t : (struct text){"", 0};
}

static struct text label_of(const struct json *object, const char *key)
{
    return json_text(json_member(json_get(object, "metadata.labels"), text_of(key)));
}

/* ---- The cluster ---------------------------------------------------------------------------- */

static bool check_api(struct check *c, const struct check_facts *f)
{
    if (f->failure) {
        check_add(c, CHECK_FAIL, "api server",
                  "look at --kubeconfig, --context and $KUBECONFIG: does `kubectl get nodes` work?",
                  "%s: %s", f->server, f->failure);
        return false;
    }
    struct text version = at(f->version, "gitVersion"), minor = at(f->version, "minor");
    char number[16];
    snprintf(number, sizeof number, "%.*s", (int)minor.len, minor.data); /* "20+" is written too */
    bool old = text_equal(at(f->version, "major"), TEXT("1")) &&
               strtol(number, NULL, 10) < KUBE_MINOR;
    check_add(c, old ? CHECK_FAIL : CHECK_OK, "api server",
              old ? "upgrade Kubernetes to 1.20 or newer; 1.28 and newer are what is meant" : NULL,
              "%s at %s", version.data, f->server);
    return true;
}

static bool kernel_is_new(struct text version)
{
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)version.len, version.data);
    char *rest = text;
    long major = strtol(text, &rest, 10), minor = *rest == '.' ? strtol(rest + 1, NULL, 10) : 0;
    return major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR);
}

static bool is_linux(const struct json *node)
{
    struct text os = at(node, "status.nodeInfo.operatingSystem");
    return os.len == 0 || text_equal(os, TEXT("linux"));
}

static void check_kernels(struct check *c, const struct check_facts *f)
{
    size_t n = 0, good = 0;
    json_for_each (node, json_get(f->nodes, "items")) {
        struct text kernel = at(node, "status.nodeInfo.kernelVersion");
        if (!is_linux(node))
            continue;
        n++;
        if (kernel_is_new(kernel))
            good++;
        else
            check_add(c, CHECK_FAIL, "kernel",
                      "upgrade the node's kernel to Linux 6.1 or newer, or keep enrolled pods off "
                      "this node",
                      "node %s runs Linux %s: its io_uring is too old", at(node, "metadata.name").data,
                      kernel.data);
    }
    if (n == 0)
        check_add(c, CHECK_FAIL, "kernel", "the mesh runs on Linux nodes alone",
                  "there is no Linux node");
    else if (good == n)
        check_add(c, CHECK_OK, "kernel", NULL, "Linux 6.1 or newer on %zu of %zu nodes", good, n);
}

static bool is_enrolled(const struct check_facts *f, const struct json *ns)
{
    return text_equal(label_of(ns, f->enrol_label), TEXT("true"));
}

void check_before(struct check *c, const struct check_facts *f)
{
    size_t enrolled = 0, istio = 0;
    bool there = false;
    if (!check_api(c, f))
        return;
    check_kernels(c, f);
    json_for_each (ns, json_get(f->namespaces, "items")) {
        enrolled += is_enrolled(f, ns);
        istio += text_equal(label_of(ns, "istio.io/dataplane-mode"), TEXT("ambient")) ||
                 text_equal(label_of(ns, "istio-injection"), TEXT("enabled"));
        there |= text_equal(at(ns, "metadata.name"), text_of(f->ns));
    }
    if (istio)
        check_add(c, CHECK_WARN, "other meshes",
                  "enrol a namespace in one mesh only: take Istio's label off before Weir's is set",
                  "%zu namespaces are in Istio's mesh", istio);
    else
        check_add(c, CHECK_OK, "other meshes", NULL, "no namespace is in Istio's mesh");
    if (enrolled)
        check_add(c, CHECK_WARN, "enrolled",
                  "their pods join as soon as the node proxies run; take the label off if that is "
                  "too soon",
                  "%zu namespaces have the label %s=true already", enrolled, f->enrol_label);
    check_add(c, there ? CHECK_WARN : CHECK_OK, "namespace",
              there ? "is Weir installed already? `weirctl check` looks at what is there" : NULL,
              "%s %s", f->ns, there ? "exists" : "is free");
}

/* ---- The programs --------------------------------------------------------------------------- */

static bool is_role(const struct check_program *p, const char *role)
{
    return strcmp(p->role, role) == 0;
}

static bool pod_is_ready(const struct json *pod)
{
    json_for_each (condition, json_get(pod, "status.conditions"))
        if (text_equal(at(condition, "type"), TEXT("Ready")))
            return text_equal(at(condition, "status"), TEXT("True"));
    return false;
}

/* What a container said when it ended, or what it waits for. */
static struct text complaint(const struct json *pod)
{
    json_for_each (s, json_get(pod, "status.containerStatuses")) {
        static const char *const paths[] = {"state.terminated.message",
                                            "lastState.terminated.message",
                                            "state.waiting.message", "state.waiting.reason"};
        for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
            if (at(s, paths[i]).len > 0)
                return at(s, paths[i]);
    }
    return at(pod, "status.phase");
}

static bool mentions(struct text t, const char *word)
{
    return t.len > 0 && memmem(t.data, t.len, word, strlen(word));
}

/* Of the end of a log: its first error, since what follows is what came of it; or else the last line. */
static struct text telling_line(struct text said)
{
    struct text line, last = {"", 0};
    while (said.len > 0) {
        if (!text_split(said, '\n', &line, &said)) {
            line = said;
            said.len = 0;
        }
        line = text_trim(line);
        if (mentions(line, "error"))
            return line;
        if (line.len > 0)
            last = line;
    }
    return last;
}

static void remedy_for(const struct check_facts *f, const struct check_program *p, struct text said,
                       char out[static CHECK_TEXT_MAX])
{
    if (mentions(said, "io_uring_disabled"))
        snprintf(out, CHECK_TEXT_MAX, "on node %s: sysctl -w kernel.io_uring_disabled=0", p->node);
    else if (mentions(said, "io_uring"))
        snprintf(out, CHECK_TEXT_MAX,
                 "the container's seccomp profile forbids io_uring: use a Localhost profile that "
                 "allows it (the chart installs one), or Unconfined");
    else if (mentions(said, "nf_tables") || mentions(said, "nftables"))
        snprintf(out, CHECK_TEXT_MAX, "on node %s: modprobe nf_tables, and load it at boot", p->node);
    else if (mentions(said, "ImagePull") || mentions(said, "ErrImage") || mentions(said, "image"))
        snprintf(out, CHECK_TEXT_MAX, "can the node reach the registry, and is imagePullSecrets set?");
    else
        snprintf(out, CHECK_TEXT_MAX, "kubectl -n %s describe pod %s; kubectl -n %s logs %s", f->ns,
                 p->name, f->ns, p->name);
}

/* Of a role: all pods ready. */
static void check_role(struct check *c, const struct check_facts *f, const char *role,
                       const char *subject, const char *absent_remedy)
{
    size_t n = 0, ready = 0;
    for (size_t i = 0; i < f->n_programs; i++) {
        const struct check_program *p = &f->programs[i];
        char remedy[CHECK_TEXT_MAX];
        if (!is_role(p, role))
            continue;
        n++;
        if (pod_is_ready(p->pod)) {
            ready++;
            continue;
        }
        struct text said = complaint(p->pod);
        remedy_for(f, p, said, remedy);
        said = telling_line(said);
        check_add(c, CHECK_FAIL, subject, remedy, "pod %s on %s is not ready: %.*s", p->name,
                  p->node[0] ? p->node : "no node", (int)said.len, said.data);
    }
    if (n == 0)
        check_add(c, CHECK_FAIL, subject, absent_remedy, "there is none in namespace %s", f->ns);
    else if (ready == n)
        check_add(c, CHECK_OK, subject, NULL, "%zu of %zu ready", ready, n);
}

static const struct check_program *on_node(const struct check_facts *f, const char *role,
                                           struct text node)
{
    for (size_t i = 0; i < f->n_programs; i++)
        if (is_role(&f->programs[i], role) && text_equal(text_of(f->programs[i].node), node))
            return &f->programs[i];
    return NULL;
}

static void check_every_node(struct check *c, const struct check_facts *f, const char *role,
                             const char *subject)
{
    json_for_each (node, json_get(f->nodes, "items")) {
        struct text name = at(node, "metadata.name");
        char remedy[CHECK_TEXT_MAX];
        if (!is_linux(node) || on_node(f, role, name))
            continue;
        snprintf(remedy, sizeof remedy,
                 "does the DaemonSet tolerate the node's taints? kubectl describe node %s; set "
                 "tolerations in the chart's values",
                 name.data);
        check_add(c, CHECK_FAIL, subject, remedy, "node %s has none: its pods can't be in the mesh",
                  name.data);
    }
}

static void check_leader(struct check *c, const struct check_facts *f)
{
    double leaders = 0, answered = 0;
    for (size_t i = 0; i < f->n_programs; i++) {
        double leads = check_metric(f->programs[i].metrics, "weir_controller_leader", NULL);
        if (!is_role(&f->programs[i], "controller") || leads < 0)
            continue;
        answered++;
        leaders += leads;
    }
    if (answered == 0)
        return;
    if (leaders == 1)
        check_add(c, CHECK_OK, "leader", NULL, "one of the controllers leads");
    else
        check_add(c, CHECK_WARN, "leader",
                  "may the controller get, create and patch leases in its namespace? Its log says "
                  "why not; until then no status is written on policies",
                  "%.0f of %.0f controllers lead", leaders, answered);
}

/* ---- What the proxies have ------------------------------------------------------------------ */

static bool is_client(const struct json *client, const char *node)
{
    char part[320];
    snprintf(part, sizeof part, "weir-nodeproxy-%s.", node);
    return mentions(at(client, "node"), part);
}

static bool is_synced(const struct json *client)
{
    json_for_each (type, json_get(client, "types")) {
        struct json_error e = {0};
        bool synced = false;
        (void)json_opt_bool(type, "synced", &synced, &e);
        if (!synced)
            return false;
    }
    return true;
}

static const struct json *client_of(const struct check_facts *f, const char *node,
                                    bool *ret_controllers)
{
    for (size_t i = 0; i < f->n_programs; i++) {
        *ret_controllers |= f->programs[i].dump != NULL;
        json_for_each (client, json_get(f->programs[i].dump, "clients"))
            if (is_client(client, node))
                return client;
    }
    return NULL;
}

static void check_sync(struct check *c, const struct check_facts *f)
{
    size_t n = 0, good = 0;
    for (size_t i = 0; i < f->n_programs; i++) {
        const struct check_program *p = &f->programs[i];
        bool controllers = false;
        if (!is_role(p, "nodeproxy") || !pod_is_ready(p->pod))
            continue;
        const struct json *client = client_of(f, p->node, &controllers);
        if (!controllers)
            return; /* said elsewhere */
        n++;
        if (client && is_synced(client))
            good++;
        else if (client)
            check_add(c, CHECK_WARN, "sync",
                      "if it stays so: the proxy's log says what it refused (NACK)",
                      "node %s has not acknowledged the latest configuration", p->node);
        else
            check_add(c, CHECK_FAIL, "sync",
                      "can the node reach the controller's port 15012 (NetworkPolicy, firewall), "
                      "and is its certificate good? The proxy's log names the error",
                      "node %s is connected to no controller: its configuration is old", p->node);
    }
    if (n > 0 && good == n)
        check_add(c, CHECK_OK, "sync", NULL, "%zu of %zu proxies have acknowledged all", good, n);
}

static void check_certificates(struct check *c, const struct check_facts *f)
{
    size_t n = 0, good = 0;
    for (size_t i = 0; i < f->n_programs; i++) {
        const struct check_program *p = &f->programs[i];
        double connected = check_metric(p->metrics, "weir_ca_connected", NULL);
        double expiry = check_metric(p->metrics, "weir_controller_certificate_expiry_seconds", NULL);
        if (is_role(p, "nodeproxy") && connected >= 0) {
            n++;
            good += connected > 0;
            if (connected == 0)
                check_add(c, CHECK_FAIL, "certificates",
                          "is the pod of weir-ca ready, and can the node reach its port 15013? "
                          "Certificates that are there stay good until they expire",
                          "node %s can't reach the CA", p->node);
        }
        if (is_role(p, "controller") && expiry >= 0 && expiry - (double)f->now_s < EXPIRES_SOON_S)
            check_add(c, CHECK_FAIL, "certificates",
                      "the controller renews it by itself while the CA answers: look at its log",
                      "the certificate of controller %s ends in %.0f minutes", p->name,
                      (expiry - (double)f->now_s) / 60);
    }
    if (n > 0 && good == n)
        check_add(c, CHECK_OK, "certificates", NULL, "%zu of %zu proxies reach the CA", good, n);
}

static size_t enrolled_on(const struct check_facts *f, const char *node)
{
    for (size_t i = 0; i < f->n_programs; i++) {
        struct json_error e = {0};
        int64_t told = 0;
        size_t n = 0;
        if (!f->programs[i].dump)
            continue;
        const struct json *by_node = json_member(f->programs[i].dump, TEXT("enrolled"));
        json_for_each (one, by_node)
            if (text_equal(at(one, "node"), text_of(node)))
                (void)json_opt_i64(one, "pods", 0, INT64_MAX, &told, &e);
        if (by_node)
            return (size_t)told;
        json_for_each (w, json_get(f->programs[i].dump, "workloads"))
            n += text_equal(at(w, "node"), text_of(node)) &&
                 text_equal(at(w, "protocol"), TEXT("HBONE"));
        return n;
    }
    return 0;
}

static void check_captured(struct check *c, const struct check_facts *f)
{
    size_t wanted = 0, missing = 0;
    for (size_t i = 0; i < f->n_programs; i++) {
        const struct check_program *p = &f->programs[i];
        double has = check_metric(p->metrics, "workload_manager_active_proxy_count", NULL);
        if (!is_role(p, "nodeproxy") || has < 0)
            continue;
        size_t expected = enrolled_on(f, p->node);
        wanted += expected;
        if (has + 0.5 >= (double)expected)
            continue;
        missing++;
        check_add(c, CHECK_FAIL, "capture",
                  "is weir-cni ready on the node (is it in the CNI chain)? The proxy's log says which "
                  "pods it could not capture; pods that can't be found must be started again",
                  "node %s has %zu enrolled pods, and %.0f of them captured", p->node, expected, has);
    }
    if (missing == 0 && wanted > 0)
        check_add(c, CHECK_OK, "capture", NULL, "%zu enrolled pods, all captured", wanted);
    if (wanted == 0)
        check_add(c, CHECK_WARN, "capture", "weirctl enrol NAMESPACE takes a namespace in",
                  "no pod is enrolled yet");
}

/* ---- Configuration and versions ------------------------------------------------------------- */

static void check_problems(struct check *c, const struct check_facts *f)
{
    for (size_t i = 0; i < f->n_programs; i++) {
        const struct json *errors = json_get(f->programs[i].problems, "errors");
        const struct json *warnings = json_get(f->programs[i].problems, "warnings");
        size_t n = 0;
        if (!f->programs[i].problems)
            continue;
        json_for_each (e, errors) {
            if (++n > NAMED_MAX)
                break;
            check_add(c, CHECK_FAIL, "configuration",
                      "correct the field; until then its last good state stays in force",
                      "%s: %s: %s", at(e, "object").data, at(e, "field").data,
                      at(e, "message").data);
        }
        n = 0;
        json_for_each (w, warnings) {
            if (++n > NAMED_MAX)
                break;
            check_add(c, CHECK_WARN, "configuration", "is that what is meant? docs/STATUS.md says what works",
                      "%s: %s: %s", at(w, "object").data, at(w, "field").data,
                      at(w, "message").data);
        }
        if (json_count(errors) > NAMED_MAX)
            check_add(c, CHECK_FAIL, "configuration", "weirctl problems shows all",
                      "%zu errors in all", json_count(errors));
        int64_t unlisted = 0;
        struct json_error error = {0};
        if (json_opt_i64(f->programs[i].problems, "unlisted", 0, INT64_MAX, &unlisted, &error) == 0 &&
            unlisted > 0)
            check_add(c, CHECK_WARN, "configuration", "each object's status says its own",
                      "%" PRIi64 " problems more are not listed", unlisted);
        if (json_count(errors) == 0)
            check_add(c, CHECK_OK, "configuration", NULL, "no object is refused");
        return; /* each replica says the same */
    }
}

/* The `tag` of a program's istio_build; "": it did not say. */
static void version_of(const struct check_program *p, char out[static 64])
{
    static const char name[] = "istio_build{";
    const char *line =
        p->metrics.len ? memmem(p->metrics.data, p->metrics.len, name, strlen(name)) : NULL;
    out[0] = '\0';
    if (!line)
        return;
    struct text rest = {line, (size_t)(p->metrics.data + p->metrics.len - line)}, head, tail;
    const char *tag = memmem(rest.data, rest.len, "tag=\"", 5);
    if (!tag)
        return;
    rest = (struct text){tag + 5, (size_t)(rest.data + rest.len - tag - 5)};
    if (text_split(rest, '"', &head, &tail))
        snprintf(out, 64, "%.*s", (int)head.len, head.data);
}

static void check_versions(struct check *c, const struct check_facts *f)
{
    char first[64] = "", other[64];
    const char *who = "";
    for (size_t i = 0; i < f->n_programs; i++) {
        version_of(&f->programs[i], other);
        if (!other[0])
            continue;
        if (!first[0]) {
            memcpy(first, other, sizeof first);
            who = f->programs[i].name;
        } else if (strcmp(first, other) != 0) {
            check_add(c, CHECK_WARN, "versions",
                      "an upgrade runs, or has stopped half-way: kubectl rollout status tells; "
                      "neighbouring versions work together",
                      "%s is %s, %s is %s", who, first, f->programs[i].name, other);
            return;
        }
    }
    if (first[0])
        check_add(c, CHECK_OK, "versions", NULL, "all programs are %s", first);
}

static void check_answers(struct check *c, const struct check_facts *f)
{
    for (size_t i = 0; i < f->n_programs; i++)
        if (f->programs[i].why && pod_is_ready(f->programs[i].pod))
            check_add(c, CHECK_WARN, "answers",
                      "may you `get pods/proxy` in this namespace? Can the API server reach the "
                      "pod's ports 15014 and 15020?",
                      "pod %s could not be asked: %s", f->programs[i].name, f->programs[i].why);
}

void check_installed(struct check *c, const struct check_facts *f)
{
    if (!check_api(c, f))
        return;
    check_kernels(c, f);
    check_role(c, f, "controller", "controller", "install Weir: helm install weir ..., see docs/INSTALL.md");
    check_leader(c, f);
    check_role(c, f, "ca", "ca", "the chart's StatefulSet weir-ca is missing: helm upgrade weir ...");
    check_role(c, f, "nodeproxy", "node proxies", "the chart's DaemonSet weir-nodeproxy is missing: helm upgrade weir ...");
    check_every_node(c, f, "nodeproxy", "node proxies");
    check_role(c, f, "cni", "cni", "without the plugin in the CNI chain new pods are not captured before they start: helm upgrade weir ...");
    check_every_node(c, f, "cni", "cni");
    check_sync(c, f);
    check_certificates(c, f);
    check_captured(c, f);
    check_problems(c, f);
    check_versions(c, f);
    check_answers(c, f);
}
