/* weir-controller: the control plane. */
#include "controller/controller.h"
#include "shared/base/args.h"
#include "shared/base/log.h"
#include "shared/mesh/spiffe_id.h"
#include "shared/service/core_dump.h"
#include <errno.h>
#include <stdio.h>

static const char *const default_accounts[] = {"weir-nodeproxy", "weir-ca"};

struct command_line {
    struct controller_options options;
    const char *source, *lead, *log_format, *log_level;
    struct arg_list allowed, machines;
    const char *all_allowed[2 * ARRAY_SIZE(((struct arg_list *)0)->items)];
    char machine_ids[ARRAY_SIZE(((struct arg_list *)0)->items)][SPIFFE_ID_TEXT_MAX];
    char defaults[ARRAY_SIZE(default_accounts)][SPIFFE_ID_TEXT_MAX];
    char identity[SPIFFE_ID_TEXT_MAX], ca_identity[SPIFFE_ID_TEXT_MAX];
    bool version;
};

static int complain(const char *option, const char *value, const char *why)
{
    fprintf(stderr, "weir-controller: --%s: '%s' %s\n", option, value, why);
    return -EINVAL;
}

static int parse(struct command_line *l, int argc, char **argv)
{
    struct controller_options *o = &l->options;
    struct translate_settings *t = &o->translate;
    const struct arg table[] = {
        {"source", ARG_STRING, &l->source, "dir:PATH|kubernetes",
         "where objects come from: a folder of manifests, or an API server", 0, 0, false},
        {"kubeconfig", ARG_STRING, &o->kubeconfig, "FILE",
         "how to reach the API server (default: as a pod of its cluster)", 0, 0, false},
        {"context", ARG_STRING, &o->context, "NAME", "of the kubeconfig (default: its current one)",
         0, 0, false},
        {"kubeconfig-insecure", ARG_FLAG, &o->kubeconfig_insecure, NULL,
         "take a kubeconfig that says insecure-skip-tls-verify", 0, 0, false},
        {"replica-name", ARG_STRING, &o->replica_name, "NAME",
         "of this replica, which no other one has: the pod's name (default: made of the host's)", 0,
         0, false},
        {"leader-election", ARG_STRING, &l->lead, "on|off|never",
         "who writes to the API server: one of the replicas; this one; nobody", 0, 0, false},
        {"leader-lease", ARG_DURATION_MS, &o->lease_ms, "TIME",
         "so long after the leader's last sign another one leads", 2000, 3600000, false},
        {"watch-silence", ARG_DURATION_MS, &o->watch_silence_ms, "TIME",
         "a watch of the API server that says nothing for so long is begun anew", 1000, 3600000,
         false},
        {"listen", ARG_ADDR, &o->listen, "ADDR:PORT", "xDS for node proxies and the CA", 0, 0,
         false},
        {"listen-plain", ARG_ADDR, &o->listen_plain, "ADDR:PORT",
         "xDS without TLS, for proxyless gRPC: anybody may ask there for listeners, routes, clusters "
         "and endpoints, and for nothing else (default: none)",
         0, 0, false},
        {"admin", ARG_ADDR, &o->admin, "ADDR:PORT",
         "/healthz/ready, /metrics, /config_dump, /debug/errors", 0, 0, false},
        {"certificate", ARG_STRING, &o->certificate, "FILE",
         "PEM of our own SVID, leaf first (weir-ca issue)", 0, 0, false},
        {"key", ARG_STRING, &o->key, "FILE", "PEM of its key", 0, 0, false},
        {"roots", ARG_STRING, &o->roots, "FILE",
         "PEM of the roots that clients and the CA must lead to", 0, 0, false},
        {"ca", ARG_ADDR, &o->ca, "ADDR:PORT",
         "the CA that gives us our certificate, instead of --certificate and --key", 0, 0, false},
        {"token-file", ARG_STRING, &o->token_file, "FILE",
         "our service account's token for the CA", 0, 0, false},
        {"identity", ARG_STRING, &o->identity, "SPIFFE-ID", "what we ask the CA for", 0, 0, false},
        {"ca-identity", ARG_STRING, &o->ca_identity, "SPIFFE-ID", "whom the CA must prove to be", 0,
         0, false},
        {"trust-domain", ARG_STRING, &t->trust_domain, "NAME", "SPIFFE trust domain", 0, 0, false},
        {"cluster-domain", ARG_STRING, &t->cluster_domain, "NAME",
         "of service names: NAME.NAMESPACE.svc.DOMAIN", 0, 0, false},
        {"cluster-id", ARG_STRING, &t->cluster_id, "NAME", "first part of a workload's uid", 0, 0,
         false},
        {"network", ARG_STRING, &t->network, "NAME", "the network that the addresses are in", 0, 0,
         false},
        {"root-namespace", ARG_STRING, &t->root_namespace, "NAME",
         "whose policies count for the whole mesh", 0, 0, false},
        {"enrol-label", ARG_STRING, &t->enrol_label, "KEY",
         "label of enrolled namespaces (true) and of pods that are not (false)", 0, 0, false},
        {"route-tables-bytes", ARG_U64, &t->tables_bytes_max, "N",
         "of the route tables of all Services together (default: 256 MiB); what is beyond refuses all",
         65536, 0, false},
        {"registry-only", ARG_FLAG, &t->registry_only, NULL,
         "workloads connect only to what they see of the mesh, unless a Sidecar says otherwise "
         "(outboundTrafficPolicy)",
         0, 0, false},
        {"require-grants", ARG_FLAG, &t->grants_required, NULL,
         "routes to Services of another namespace need its ReferenceGrant (a mesh asks for none)", 0,
         0, false},
        {"sidecars", ARG_FLAG, &t->sidecars, NULL,
         "pods with the label weir.mesh/sidecar=envoy bring an Envoy, which may ask for what it needs with "
         "the pod's certificate (docs/ENVOY.md)",
         0, 0, false},
        {"allow-client", ARG_LIST, &l->allowed, "SPIFFE-ID",
         "who may ask for configuration (default: node proxies and the CA)", 0, 0, false},
        {"machine-namespace", ARG_LIST, &l->machines, "NAME",
         "identities of this namespace may ask for configuration, too: machines, which run a node "
         "proxy as themselves (default: none)",
         0, 0, false},
        {"registrations", ARG_STRING, &o->registrations, "FILE",
         "machines of WorkloadGroups may register themselves (weir-nodeproxy --workload-group), and are "
         "written here; with --source dir: (default: none may)",
         0, 0, false},
        {"registration-lease", ARG_DURATION_MS, &o->registration_lease_ms, "TIME",
         "so long after its connection ended a machine is still registered", 1000, 86400000, false},
        {"drain", ARG_DURATION_MS, &o->drain_ms, "TIME",
         "how long clients have to leave after SIGTERM", 0, 3600000, false},
        {"log-level", ARG_STRING, &l->log_level, "LEVEL", "error, warn, info, debug", 0, 0, false},
        {"log-format", ARG_STRING, &l->log_format, "text|json", "of all log lines", 0, 0, false},
        {"version", ARG_FLAG, &l->version, NULL, "versions of the program and its libraries", 0, 0,
         false},
    };
    return args_parse("weir-controller", "The control plane of the Weir service mesh.", table,
                      ARRAY_SIZE(table), argc, argv, NULL);
}

static int set_log(const struct command_line *l)
{
    enum log_level level;
    if (log_level_parse(text_of(l->log_level), &level) < 0)
        return complain("log-level", l->log_level, "is none of error, warn, info, debug");
    if (strcmp(l->log_format, "text") != 0 && strcmp(l->log_format, "json") != 0)
        return complain("log-format", l->log_format, "is neither text nor json");
    log_configure(level, strcmp(l->log_format, "json") == 0 ? LOG_JSON : LOG_TEXT, 0);
    int waits = log_never_wait();
    if (waits < 0)
        log_warn("log", "lines wait for whoever reads them: %s", strerror(-waits));
    return 0;
}

static int set_allowed(struct command_line *l)
{
    const char *trust_domain = l->options.translate.trust_domain;
    const char *why = trust_domain_check(text_of(trust_domain));
    if (why)
        return complain("trust-domain", trust_domain, why);
    for (size_t i = 0; i < l->allowed.n; i++)
        if ((why = spiffe_id_check(text_of(l->allowed.items[i]))))
            return complain("allow-client", l->allowed.items[i], why);
    for (size_t i = 0; l->allowed.n == 0 && i < ARRAY_SIZE(default_accounts); i++)
        snprintf(l->defaults[i], sizeof l->defaults[i], "spiffe://%s/ns/weir-system/sa/%s",
                 trust_domain, default_accounts[i]);
    if (l->allowed.n == 0)
        for (; l->allowed.n < ARRAY_SIZE(default_accounts); l->allowed.n++)
            l->allowed.items[l->allowed.n] = l->defaults[l->allowed.n];
    size_t n = 0;
    for (size_t i = 0; i < l->allowed.n; i++)
        l->all_allowed[n++] = l->allowed.items[i];
    for (size_t i = 0; i < l->machines.n; i++) {
        struct spiffe_id some;
        const char *ns = l->machines.items[i];
        if (spiffe_id_make(text_of(trust_domain), text_of(ns), TEXT("machine"), &some) < 0)
            return complain("machine-namespace", ns, "is not the name of a namespace");
        snprintf(l->machine_ids[i], sizeof l->machine_ids[i], "spiffe://%s/ns/%s/sa/", trust_domain, ns);
        l->all_allowed[n++] = l->machine_ids[i];
    }
    l->options.allowed = l->all_allowed;
    l->options.n_allowed = n;
    return 0;
}

static void set_identity(const char **field, char text[static SPIFFE_ID_TEXT_MAX],
                         const char *trust_domain, const char *account)
{
    if (*field)
        return;
    snprintf(text, SPIFFE_ID_TEXT_MAX, "spiffe://%s/ns/weir-system/sa/%s", trust_domain, account);
    *field = text;
}

static int set_required(struct command_line *l)
{
    struct controller_options *o = &l->options;
    bool asks = o->ca.port != 0;
    const struct {
        const char *option, *value;
    } required[] = {{"source", l->source},
                    {"certificate", asks ? "" : o->certificate},
                    {"key", asks ? "" : o->key},
                    {"token-file", asks ? o->token_file : ""},
                    {"roots", o->roots}};
    for (size_t i = 0; i < ARRAY_SIZE(required); i++) {
        if (!required[i].value) {
            fprintf(stderr, "weir-controller: --%s is missing; see --help\n", required[i].option);
            return -EINVAL;
        }
    }
    if (asks && (o->certificate || o->key))
        return complain("certificate", o->certificate ? o->certificate : o->key,
                        "does not go with --ca: the CA gives one");
    set_identity(&o->identity, l->identity, o->translate.trust_domain, "weir-controller");
    set_identity(&o->ca_identity, l->ca_identity, o->translate.trust_domain, "weir-ca");
    if (strncmp(l->source, "dir:", 4) == 0 && l->source[4])
        o->folder = l->source + 4;
    else if (strcmp(l->source, "kubernetes") != 0)
        return complain("source", l->source, "is neither dir:PATH nor kubernetes");
    if (o->registrations && (!o->folder || !strchr(o->registrations, '/')))
        return complain("registrations", o->registrations,
                        o->folder ? "must be a path with its folder, as /var/lib/weir/machines.json"
                                  : "goes with --source dir: only");
    static const char *const modes[] = {
        [LEAD_ELECTED] = "on", [LEAD_ALWAYS] = "off", [LEAD_NEVER] = "never"};
    while (o->lead < ARRAY_SIZE(modes) && strcmp(l->lead, modes[o->lead]) != 0)
        o->lead++;
    if (o->lead == ARRAY_SIZE(modes))
        return complain("leader-election", l->lead, "is none of on, off, never");
    const char *needs_kube = o->kubeconfig ? o->kubeconfig : o->context;
    if (o->folder && needs_kube)
        return complain(o->kubeconfig ? "kubeconfig" : "context", needs_kube,
                        "goes with --source kubernetes only");
    return 0;
}

int main(int argc, char **argv)
{
    static struct controller controller;
    static struct command_line l = {
        .options = {.translate = {.cluster_id = "Kubernetes",
                                  .network = "",
                                  .trust_domain = "cluster.local",
                                  .cluster_domain = "cluster.local",
                                  .root_namespace = "weir-system",
                                  .enrol_label = "weir.mesh/enrolled"},
                    .listen = {.port = 15012}, /* without an address: both families */
                    .admin = {.port = 15014},
                    .watch_silence_ms = KUBE_SILENCE_MS,
                    .lease_ms = 15000,
                    .registration_lease_ms = 60000,
                    .drain_ms = 10000},
        .lead = "on",
        .log_format = "text",
        .log_level = "info",
    };
    int err = core_dump_forbid();
    if (err < 0) {
        fprintf(stderr, "weir-controller: core dumps can't be forbidden: %s\n", strerror(-err));
        return 1;
    }
    err = parse(&l, argc, argv);
    if (err < 0)
        return err == -ECANCELED ? 0 : 2;
    if (l.version) {
        const struct library_version more[] = {{"JSON", json_library()},
                                               {"HTTP client", kube_library()}};
        lifecycle_print_server_version("weir-controller", more, ARRAY_SIZE(more));
        return 0;
    }
    if (set_log(&l) < 0 || set_required(&l) < 0 || set_allowed(&l) < 0)
        return 2;
    return controller_run(&controller, &l.options);
}
