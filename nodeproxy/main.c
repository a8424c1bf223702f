/* weir-nodeproxy: the data plane of one node. */
#include "nodeproxy/machine/join.h"
#include "nodeproxy/machine/machine.h"
#include "nodeproxy/node.h"
#include "nodeproxy/sandbox.h"
#include "nodeproxy/seccomp_profile.h"
#include "nodeproxy/supervisor.h"
#include "nodeproxy/warden/warden.h"

#include "shared/base/args.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/http1/http1_codec.h"
#include "shared/tls/web_roots.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <weir_version.h>

struct logging {
    const char *level, *format;
    uint64_t rate;
};

static int apply_logging(const struct logging *l)
{
    enum log_level level;
    if (log_level_parse(text_of(l->level), &level) < 0) {
        fprintf(stderr, "weir-nodeproxy: --log-level: '%s' is none of error, warn, info, debug\n", l->level);
        return -EINVAL;
    }
    if (strcmp(l->format, "text") != 0 && strcmp(l->format, "json") != 0) {
        fprintf(stderr, "weir-nodeproxy: --log-format: '%s' is neither text nor json\n", l->format);
        return -EINVAL;
    }
    log_configure(level, strcmp(l->format, "json") == 0 ? LOG_JSON : LOG_TEXT, (unsigned)l->rate);
    int waits = log_never_wait();
    if (waits < 0)
        log_warn("log", "lines wait for whoever reads them: %s", strerror(-waits));
    return 0;
}

static int choice(const char *option, const char *value, const char *yes, const char *no, bool *ret)
{
    if (strcmp(value, yes) != 0 && strcmp(value, no) != 0) {
        fprintf(stderr, "weir-nodeproxy: --%s: '%s' is neither %s nor %s\n", option, value, yes, no);
        return -EINVAL;
    }
    *ret = strcmp(value, yes) == 0;
    return 0;
}

/* Identities of the control plane follow the trust domain unless they are given. */
static void fill_identities(struct config *c, char texts[3][SPIFFE_ID_TEXT_MAX])
{
    static const char *const accounts[] = {"weir-controller", "weir-ca", "weir-nodeproxy"};
    const char **fields[] = {&c->controller_identity, &c->ca_identity, &c->self_identity};
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        if (*fields[i])
            continue;
        snprintf(texts[i], SPIFFE_ID_TEXT_MAX, "spiffe://%s/ns/weir-system/sa/%s", c->trust_domain, accounts[i]);
        *fields[i] = texts[i];
    }
}

/* What stands for its processes, and the rules that choose them. */
static int fill_machine(struct config *c, const struct machine_options *o)
{
    static struct machine machine;
    const struct addr own[] = {c->controller, c->ca, c->trace_collector};
    char why[WHY_MAX];
    if (!o->workload && !o->group) {
        const struct arg_list *of_machines[] = {&o->users, &o->cgroups, &o->ports, &o->excluded, &o->excluded_ports, &o->addresses};
        for (size_t i = 0; i < ARRAY_SIZE(of_machines); i++)
            if (of_machines[i]->n > 0) {
                fprintf(stderr, "weir-nodeproxy: what goes through the mesh is said of a machine: --workload NAMESPACE/NAME is needed, too, or --workload-group\n");
                return -EINVAL;
            }
        return 0;
    }
    if (machine_read(&machine, o, own, ARRAY_SIZE(own) - (c->trace_collector.port == 0), c->dns_capture, why) < 0) {
        fprintf(stderr, "weir-nodeproxy: %s\n", why);
        return -EINVAL;
    }
    c->machine = &machine;
    return 0;
}

/* A machine is whoever it joined as, unless it is still to join with its token: then somebody has to say it. */
static int fill_joined(struct config *c, const char *state_dir, char file[static PATH_MAX])
{
    static char identity[SPIFFE_ID_TEXT_MAX];
    const struct spiffe_id whoever = {0};
    struct credential *kept;
    char why[SVID_FILE_WHY_MAX];
    if (join_file(state_dir, file) < 0) {
        fprintf(stderr, "weir-nodeproxy: --state-dir: the path is too long\n");
        return -EINVAL;
    }
    c->keep_file = file;
    if (c->self_identity)
        return 0;
    if (svid_file_read(file, &whoever, clock_unix_s(), &kept, why) < 0) {
        fprintf(stderr, "weir-nodeproxy: --state-dir: %s; run `weir-nodeproxy join` first, or give --identity and --token-file\n", why);
        return -EINVAL;
    }
    snprintf(identity, sizeof identity, "%s", kept->id.text);
    c->self_identity = identity;
    credential_unref(kept);
    return 0;
}

/* One setting for both directions. */
static void fill_bounds(struct config *c)
{
    struct bounds_max *b = &c->bounds;
    b->pod[BOUND_OUTBOUND] = b->pod[BOUND_INBOUND] = c->connections_max;
    b->node[BOUND_INBOUND] = b->node[BOUND_OUTBOUND];
    b->pod[BOUND_REQUESTS_OUT] = b->pod[BOUND_REQUESTS_IN];
    b->node[BOUND_REQUESTS_OUT] = b->node[BOUND_REQUESTS_IN];
    b->pod[BOUND_TUNNELS_ACCEPTED] = b->pod[BOUND_TUNNELS];
    b->node[BOUND_TUNNELS_ACCEPTED] = b->node[BOUND_TUNNELS];
    b->pod[BOUND_HANDSHAKES_OUT] = b->pod[BOUND_HANDSHAKES_IN];
    b->pod[BOUND_LOG_FAILURES] = b->pod[BOUND_LOG_LINES];
    b->pod[BOUND_OPENING] = b->pod[BOUND_HANDSHAKES];
    b->node[BOUND_OPENING] = b->node[BOUND_HANDSHAKES];
}

/* "http://ADDR:PORT" or "https://ADDR:PORT" and the identity that is to be proved there. */
static int fill_tracing(struct config *c, const char *url, const char *sampling)
{
    struct text t = text_of(url);
    bool https = text_starts_with(t, TEXT("https://"));
    size_t skip = https ? 8 : 7;
    if (tracer_parse_percent(text_of(sampling), &c->trace_sampled) < 0) {
        fprintf(stderr, "weir-nodeproxy: --trace-sampling: '%s' is no percentage from 0 to 100, with at most four digits after the point\n", sampling);
        return -EINVAL;
    }
    if (!url[0])
        return 0;
    if ((!https && !text_starts_with(t, TEXT("http://"))) || addr_parse((struct text){t.data + skip, t.len - skip}, &c->trace_collector) < 0 ||
        c->trace_collector.port == 0) {
        fprintf(stderr, "weir-nodeproxy: --trace-collector: '%s' is neither http://ADDR:PORT nor https://ADDR:PORT\n", url);
        return -EINVAL;
    }
    if (https != (c->trace_identity && c->trace_identity[0])) {
        fprintf(stderr, "weir-nodeproxy: --trace-collector-identity goes with https://, and is needed there\n");
        return -EINVAL;
    }
    if (!https)
        c->trace_identity = NULL;
    return 0;
}

static int choose_request_log(const char *value, enum request_log_format *ret)
{
    static const char *const names[] = {[REQUEST_LOG_FIELDS] = "fields", [REQUEST_LOG_ISTIO] = "istio", [REQUEST_LOG_ISTIO_JSON] = "istio-json"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        *ret = (enum request_log_format)i;
        if (strcmp(value, names[i]) == 0)
            return 0;
    }
    fprintf(stderr, "weir-nodeproxy: --http-log: '%s' is none of fields, istio, istio-json\n", value);
    return -EINVAL;
}

static int run_warden(int channel, void *arg)
{
    const struct config *c = arg;
    const struct warden_options o = {.channel = channel, .pods_max = c->pods_max, .dns = c->dns_capture, .orphan_ms = 60000, .machine = {c->machine ? c->machine->rules[0] : NULL, c->machine ? c->machine->rules[1] : NULL}};
    char why[SANDBOX_WHY_MAX];
    if (sandbox_warden(why) < 0) {
        log_error("warden", "%s", why);
        return 1;
    }
    log_error("warden", "the channel failed: %s", strerror(-warden_run(&o)));
    return 1;
}

static int run_data(int channel, void *arg)
{
    static struct node node;
    struct config *c = arg;
    char why[SANDBOX_WHY_MAX];
    if (sandbox_data(why) < 0) {
        log_error("main", "%s", why);
        return 1;
    }
    c->warden = channel;
    if (node_open(&node, c) < 0)
        return 1; /* the process ends: the kernel takes everything back */
    supervisor_tell(c->machine ? SUPERVISOR_READY : SUPERVISOR_CAPTURED);
    log_info("main", "weir-nodeproxy %s serves node %s", WEIR_VERSION, c->node);
    int r = node_run(&node);
    if (r < 0) {
        log_error("main", "the control ring failed: %s", strerror(-r));
        return 1;
    }
    node_free(&node);
    log_info("main", "ended");
    return 0;
}

/* Without them what asks for TLS by them is refused, request by request; nothing else has to wait for that. */
static void read_system_roots(struct config *c, const char *path)
{
    const char *why;
    size_t left_out = 0;
    if (path[0] == '\0')
        return;
    int r = web_roots_read(path, &c->system_roots, &left_out, &why);
    if (r < 0)
        log_warn("main", "--system-roots %s: %s%s%s: TLS to servers outside of the mesh can't be made", path, why, r == -EINVAL ? "" : ": ", r == -EINVAL ? "" : strerror(-r));
    else if (left_out > 0)
        log_info("main", "--system-roots %s: %zu certificates of it are left out", path, left_out);
}

int main(int argc, char **argv)
{
    static char identities[3][SPIFFE_ID_TEXT_MAX];
    char hostname[256] = "";
    bool version = false;
    const char *access_log = "on", *dns_capture = "on", *same_node = "direct", *http = "on", *http_detect = "off", *gateway_traces = "off", *expired_peers = "end", *replaced = "end";
    const char *system_roots = "/etc/ssl/certs/ca-certificates.crt";
    const char *http_log = "fields", *collector = "", *sampling = "1";
    bool stays = false;
    const char *state_dir = NULL;
    static struct machine_options machine;
    static char keep_file[PATH_MAX];
    struct logging logging = {"info", "text", 0};
    struct config c = {
        .cluster_id = "Kubernetes",
        .network = "",
        .trust_domain = "cluster.local",
        .cluster_domain = "cluster.local",
        .dns_ttl_ms = 5000,
        .dns_wait_ms = 4000,
        .run_dir = "/run/weir",
        .workload_api = "",
        .connect_ms = 10000,
        .identity_wait_ms = 10000,
        .tunnel_idle_ms = 300000,
        .drain_ms = 25000,
        .handshake_ms = 10000,
        .connections_max = 20000,
        .streams_max = 100,
        .http_idle_ms = 60000,
        .http_connections_max = 1024,
        .http_waiting_max = 1024,
        .chunks_max = 16384,
        .pods_max = 512,
        .sockets_max = SOCKET_POOL_MAX,
        .bounds = {.pod = {[BOUND_REQUESTS_IN] = 10000, [BOUND_TUNNELS] = 4096, [BOUND_HANDSHAKES] = 2048, [BOUND_HANDSHAKES_IN] = 4000, [BOUND_LOG_LINES] = 10000, [BOUND_DNS_QUERIES] = 5000, [BOUND_DNS_FORWARDED] = 256},
                   .node = {[BOUND_OUTBOUND] = 100000, [BOUND_REQUESTS_IN] = 100000, [BOUND_TUNNELS] = 40000, [BOUND_HANDSHAKES] = 8192, [BOUND_DNS_FORWARDED] = 8192}},
        .metrics = {.port = 15020},
        .ready = {.port = 15021},
    };
    (void)addr_parse(TEXT("127.0.0.1:15000"), &c.admin);
    (void)gethostname(hostname, sizeof hostname - 1);
    c.node = hostname;
    const struct arg table[] = {
        {"node", ARG_STRING, &c.node, "NAME", "this node's name, as the cluster has it (default: the host name)", 0, 0, false},
        {"controller", ARG_ADDR, &c.controller, "ADDR:PORT", "the controller's xDS endpoint", 0, 0, false},
        {"ca", ARG_ADDR, &c.ca, "ADDR:PORT", "the CA's endpoint", 0, 0, false},
        {"roots", ARG_STRING, &c.roots_file, "FILE", "PEM of the roots that CA and controller must lead to", 0, 0, false},
        {"system-roots", ARG_STRING, &system_roots, "FILE", "PEM of the roots to which servers outside of the mesh must lead, where a rule asks for TLS to them (\"\": none)", 0, 0, false},
        {"token-file", ARG_STRING, &c.token_file, "FILE", "this node's token for the CA; with --state-dir one to join with, good once", 0, 0, false},
        {"state-dir", ARG_STRING, &state_dir, "DIR", "of a machine: where `weir-nodeproxy join` has put its key and certificate, which renew themselves", 0, 0, false},
        {"workload", ARG_STRING, &machine.workload, "NAMESPACE/NAME", "of a machine: its WorkloadEntry. Then there are no pods, but those processes of this network namespace that the next options choose", 0, 0, false},
        {"workload-group", ARG_STRING, &machine.group, "NAMESPACE/NAME", "instead of --workload: the WorkloadGroup of which the controller makes this machine's WorkloadEntry, for as long as it is connected", 0, 0, false},
        {"workload-name", ARG_STRING, &machine.name, "NAME", "with --workload-group: the entry is GROUP-NAME (default: the host's name)", 0, 0, false},
        {"capture-user", ARG_LIST, &machine.users, "USER", "with --workload: whose connections go through the mesh, by name or number", 0, 0, false},
        {"capture-cgroup", ARG_LIST, &machine.cgroups, "PATH", "with --workload: likewise, by a cgroup of version 2, there or not yet, as shop.slice", 0, 0, false},
        {"inbound-port", ARG_LIST, &machine.ports, "PORT", "with --workload: connections to it come through the mesh", 0, 0, false},
        {"exclude", ARG_LIST, &machine.excluded, "PREFIX", "with --workload: connections to there go past the mesh", 0, 0, false},
        {"exclude-port", ARG_LIST, &machine.excluded_ports, "PORT", "with --workload: connections to this port of anybody go past the mesh", 0, 0, false},
        {"address", ARG_LIST, &machine.addresses, "IP", "with --workload: the machine's own (default: those of its interfaces)", 0, 0, false},
        {"run-dir", ARG_STRING, &c.run_dir, "DIR", "sockets (cni.sock, admin.sock) and the list of captured pods", 0, 0, false},
        {"trust-domain", ARG_STRING, &c.trust_domain, "NAME", "SPIFFE trust domain", 0, 0, false},
        {"cluster-domain", ARG_STRING, &c.cluster_domain, "NAME", "the cluster's DNS domain", 0, 0, false},
        {"cluster-id", ARG_STRING, &c.cluster_id, "NAME", "first part of a workload's uid", 0, 0, false},
        {"network", ARG_STRING, &c.network, "NAME", "the network that this node is in", 0, 0, false},
        {"identity", ARG_STRING, &c.self_identity, "SPIFFE-ID", "the node proxy's own identity", 0, 0, false},
        {"controller-identity", ARG_STRING, &c.controller_identity, "SPIFFE-ID", "whom the controller must prove to be", 0, 0, false},
        {"ca-identity", ARG_STRING, &c.ca_identity, "SPIFFE-ID", "whom the CA must prove to be", 0, 0, false},
        {"admin", ARG_ADDR, &c.admin, "ADDR:PORT", "dumps and all else, without authentication: keep it on loopback", 0, 0, false},
        {"workload-api", ARG_STRING, &c.workload_api, "PATH", "a Unix socket on which applications of this node fetch their X.509-SVIDs (SPIFFE Workload API; a name alone: in --run-dir; default: none)", 0, 0, false},
        {"metrics", ARG_ADDR, &c.metrics, "ADDR:PORT", "/metrics", 0, 0, false},
        {"ready", ARG_ADDR, &c.ready, "ADDR:PORT", "/healthz/ready", 0, 0, false},
        {"workers", ARG_U64, &c.workers, "N", "worker threads (0: one per core)", 0, NODE_WORKERS_MAX, false},
        {"connect-timeout", ARG_DURATION_MS, &c.connect_ms, "TIME", "to reach a destination", 1, 3600000, false},
        {"identity-timeout", ARG_DURATION_MS, &c.identity_wait_ms, "TIME", "how long connections of a new pod wait for its certificate", 1, 3600000, false},
        {"handshake-timeout", ARG_DURATION_MS, &c.handshake_ms, "TIME", "for an inbound TLS handshake", 1, 3600000, false},
        {"idle-timeout", ARG_DURATION_MS, &c.idle_ms, "TIME", "ends a connection without traffic (0: never)", 0, 0, false},
        {"tunnel-idle-timeout", ARG_DURATION_MS, &c.tunnel_idle_ms, "TIME", "ends a tunnel without streams", 1000, 0, false},
        {"drain", ARG_DURATION_MS, &c.drain_ms, "TIME", "how long connections may go on after SIGTERM or a take-over", 0, 24u * 3600 * 1000, false},
        {"takeover-wait", ARG_DURATION_MS, &c.takeover_wait_ms, "TIME", "takes over without certificates or controller after this time (0: never)", 0, 0, false},
        {"connections-max", ARG_U64, &c.connections_max, "N", "per pod and direction", 1, 1000000, false},
        {"node-connections-max", ARG_U64, &c.bounds.node[BOUND_OUTBOUND], "N", "of all pods, per direction (0: no limit)", 0, 0, false},
        {"requests-max", ARG_U64, &c.bounds.pod[BOUND_REQUESTS_IN], "N", "HTTP requests at once, per pod and direction (0: no limit)", 0, 0, false},
        {"node-requests-max", ARG_U64, &c.bounds.node[BOUND_REQUESTS_IN], "N", "of all pods, per direction (0: no limit)", 0, 0, false},
        {"tunnels-max", ARG_U64, &c.bounds.pod[BOUND_TUNNELS], "N", "per pod and direction (0: no limit)", 0, 0, false},
        {"node-tunnels-max", ARG_U64, &c.bounds.node[BOUND_TUNNELS], "N", "of all pods, per direction (0: no limit)", 0, 0, false},
        {"handshakes-max", ARG_U64, &c.bounds.pod[BOUND_HANDSHAKES], "N", "TLS handshakes at once, per pod and direction (0: no limit)", 0, 0, false},
        {"node-handshakes-max", ARG_U64, &c.bounds.node[BOUND_HANDSHAKES], "N", "TLS handshakes at once, of all pods, per direction (0: no limit)", 0, 0, false},
        {"handshake-rate-max", ARG_U64, &c.bounds.pod[BOUND_HANDSHAKES_IN], "N", "TLS handshakes a second, per pod and direction (0: no limit)", 0, 0, false},
        {"access-log-rate-max", ARG_U64, &c.bounds.pod[BOUND_LOG_LINES], "N", "lines of the access log a second, per pod, and as many about what failed (0: no limit)", 0, 0, false},
        {"dns-rate-max", ARG_U64, &c.bounds.pod[BOUND_DNS_QUERIES], "N", "DNS queries a second, per pod (0: no limit)", 0, 1000000, false},
        {"dns-forwarded-max", ARG_U64, &c.bounds.pod[BOUND_DNS_FORWARDED], "N", "DNS queries that wait for a resolver, per pod (0: no limit)", 0, 0, false},
        {"sockets-max", ARG_U64, &c.sockets_max, "N", "kept ready per pod, worker and family", 1, SOCKET_POOL_MAX, false},
        {"streams-max", ARG_U64, &c.streams_max, "N", "per tunnel", 1, 100000, false},
        {"buffers-max", ARG_U64, &c.chunks_max, "N", "per worker, 16.5 KiB each", 256, 1000000, false},
        {"pod-buffers-max", ARG_U64, &c.pod_chunks_max, "N", "of them, for one pod's slow readers (0: as many as are left to the others)", 0, 0, false},
        {"pods-max", ARG_U64, &c.pods_max, "N", "captured pods", 1, 4096, false},
        {"dns-capture", ARG_STRING, &dns_capture, "on|off", "answer pods' DNS queries for names of the mesh", 0, 0, false},
        {"dns-ttl", ARG_DURATION_MS, &c.dns_ttl_ms, "TIME", "of these answers, in whole seconds", 0, 3600000, false},
        {"dns-timeout", ARG_DURATION_MS, &c.dns_wait_ms, "TIME", "how long a pod's own resolver may take for all other names", 1, 60000, false},
        {"http", ARG_STRING, &http, "on|off", "requests instead of bytes at ports that a Service declares HTTP", 0, 0, false},
        {"http-detect", ARG_STRING, &http_detect, "on|off", "with --http on: look for requests at ports that nobody declares, too", 0, 0, false},
        {"gateway-traces", ARG_STRING, &gateway_traces, "on|off", "believe who comes to a Gateway from outside of the mesh of which trace it is, and whether it is recorded", 0, 0, false},
        {"http-idle-timeout", ARG_DURATION_MS, &c.http_idle_ms, "TIME", "ends a connection for requests that has had none", 1000, 3600000, false},
        {"http-connections-max", ARG_U64, &c.http_connections_max, "N", "for a pod's requests, per endpoint and worker", 1, 100000, false},
        {"http-waiting-max", ARG_U64, &c.http_waiting_max, "N", "requests of a pod that wait for a connection, per worker", 1, 1000000, false},
        {"same-node", ARG_STRING, &same_node, "direct|hbone", "between two workloads of this node", 0, 0, false},
        {"replaced", ARG_STRING, &replaced, "end|stay", "when another node proxy has taken over and the drain is done; stay: wait for SIGTERM, where an end would be followed by a new start", 0, 0, false},
        {"expired-peers", ARG_STRING, &expired_peers, "end|keep", "tunnels that live longer than their peer's certificate", 0, 0, false},
        {"access-log", ARG_STRING, &access_log, "on|off", "one line per connection, and per request", 0, 0, false},
        {"http-log", ARG_STRING, &http_log, "FORMAT", "of lines of requests: fields, as those of connections; istio, istio-json: Envoy's, as Istio's default", 0, 0, false},
        {"trace-collector", ARG_STRING, &collector, "URL", "http://ADDR:PORT of a collector of OTLP over gRPC; https://: by mutual TLS as the node proxy (default: nothing is traced)", 0, 0, false},
        {"trace-collector-identity", ARG_STRING, &c.trace_identity, "SPIFFE-ID", "whom it must prove to be, with https://", 0, 0, false},
        {"trace-sampling", ARG_STRING, &sampling, "PERCENT", "of the traces that nobody has decided on before", 0, 0, false},
        {"log-level", ARG_STRING, &logging.level, "LEVEL", "error, warn, info, debug", 0, 0, false},
        {"log-format", ARG_STRING, &logging.format, "text|json", "of all log lines", 0, 0, false},
        {"log-rate", ARG_U64, &logging.rate, "N", "lines a second and scope at most, and as many warnings and errors (0: no limit)", 0, 1000000, false},
        {"version", ARG_FLAG, &version, NULL, "versions of the program and its libraries", 0, 0, false},
    };
    int positional = 0;
    if (argc > 1 && strcmp(argv[1], "seccomp-profile") == 0)
        return seccomp_profile_command(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "join") == 0)
        return join_command(argc - 1, argv + 1);
    int r = args_parse("weir-nodeproxy", "The node proxy of the Weir service mesh.", table, ARRAY_SIZE(table), argc, argv, &positional);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    if (version) {
        const struct library_version more[] = {{"HTTP/1", http1_library()}};
        lifecycle_print_server_version("weir-nodeproxy", more, ARRAY_SIZE(more));
        return 0;
    }
    if (positional > 0) {
        fprintf(stderr, "weir-nodeproxy: '%s' is no option; see --help\n", argv[0]);
        return 2;
    }
    if (c.controller.port == 0 || c.ca.port == 0 || !c.roots_file || (!c.token_file && !state_dir)) {
        fprintf(stderr, "weir-nodeproxy: --controller, --ca, --roots and --token-file (or --state-dir, of a machine that joined) are needed; see --help\n");
        return 2;
    }
    const char *bad = trust_domain_check(text_of(c.trust_domain));
    if (bad) {
        fprintf(stderr, "weir-nodeproxy: --trust-domain: '%s': %s\n", c.trust_domain, bad);
        return 2;
    }
    if (apply_logging(&logging) < 0 || choice("access-log", access_log, "on", "off", &c.access_log) < 0 ||
        choice("dns-capture", dns_capture, "on", "off", &c.dns_capture) < 0 || choice("http", http, "on", "off", &c.parse_http) < 0 || choice("http-detect", http_detect, "on", "off", &c.detect_http) < 0 || choice("gateway-traces", gateway_traces, "on", "off", &c.gateway_traces) < 0 || choice("same-node", same_node, "hbone", "direct", &c.same_node_hbone) < 0 ||
        choose_request_log(http_log, &c.request_log) < 0 || fill_tracing(&c, collector, sampling) < 0 ||
        choice("expired-peers", expired_peers, "keep", "end", &c.keep_expired) < 0 || choice("replaced", replaced, "stay", "end", &stays) < 0)
        return 2;
    if ((state_dir && fill_joined(&c, state_dir, keep_file) < 0) || fill_machine(&c, &machine) < 0)
        return 2;
    fill_identities(&c, identities);
    read_system_roots(&c, system_roots);
    fill_bounds(&c);
    char why[SANDBOX_WHY_MAX];
    const struct supervisor_options processes = {.warden = run_warden, .data = run_data, .arg = &c, .stays_when_replaced = stays};
    int result = 1;
    if (sandbox_supervisor(why) < 0)
        log_error("main", "%s", why);
    else
        result = supervisor_run(&processes);
    c.system_roots = web_roots_unref(c.system_roots);
    return result;
}
