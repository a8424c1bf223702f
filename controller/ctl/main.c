/* weirctl: the operator's command line; as kubectl-weir a plugin of kubectl. */
#include "controller/ctl/ctl.h"
#include "shared/base/args.h"
#include "shared/service/lifecycle.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* ---- Commands ------------------------------------------------------------------------------- */

static int do_status(const struct ctl *c)
{
    return c->local ? local_status(c) : cluster_status(c);
}
static int do_check(const struct ctl *c)
{
    return c->local ? local_check(c) : cluster_check(c);
}
static int do_explain(const struct ctl *c)
{
    return c->controller || c->local ? local_explain(c) : cluster_explain(c);
}
static int do_problems(const struct ctl *c)
{
    if (!c->local)
        return cluster_problems(c);
    fprintf(stderr, "weirctl: problems are asked of a cluster: --kubeconfig FILE\n");
    return 2;
}
static int do_dump(const struct ctl *c)
{
    return c->local ? local_show(c, NULL) : cluster_show(c, NULL);
}
static int do_enrolling(const struct ctl *c, bool enrol)
{
    if (!c->local)
        return cluster_enrol(c, enrol);
    fprintf(stderr, "weirctl: namespaces are enrolled in a cluster (--kubeconfig FILE); in a folder "
                    "of manifests by their label\n");
    return 2;
}
static int do_enrol(const struct ctl *c)
{
    return do_enrolling(c, true);
}
static int do_unenrol(const struct ctl *c)
{
    return do_enrolling(c, false);
}

static int do_tap(const struct ctl *c)
{
    if (c->local && !c->controller)
        return local_tap(c);
    fprintf(stderr,
            "weirctl: requests are known to their node's proxy alone: kubectl -n %s exec POD -- "
            "weirctl tap --local\n",
            c->cluster.ns);
    return 2;
}

static const struct command {
    const char *name;
    int (*run)(const struct ctl *c);
    size_t n_arguments;
} commands[] = {
    {"status", do_status, 0},    {"check", do_check, 0},       {"explain", do_explain, 2},
    {"tap", do_tap, 1},          {"problems", do_problems, 0}, {"dump", do_dump, 0},
    {"enrol", do_enrol, 1},      {"unenrol", do_unenrol, 1},   {"enroll", do_enrol, 1},
    {"unenroll", do_unenrol, 1},
};

static const char about[] =
    "Shows and checks a Weir mesh.\n\n"
    "  check                    is all in order? Each line that is not says what to do\n"
    "                           (--before: can Weir be installed here?)\n"
    "  status                   each node's proxy: whom it follows, what it has acknowledged\n"
    "  explain SRC DST[:PORT]   what would happen to a connection, and because of which objects:\n"
    "                           weirctl explain shop/web-1 bank/api:80\n"
    "                           or to a request: ... --method POST --path /pay --header 'x-user: "
    "joe'\n"
    "  workloads, services, policies        what the mesh knows\n"
    "  problems                 configuration that is refused, or not honoured in full\n"
    "  enrol NAMESPACE          its pods join the mesh, those that run too; unenrol: they leave\n"
    "  routes, certificates, connections    of one node; on the node itself\n"
    "  tap [[NAMESPACE/]WORKLOAD]           its requests as they end, on its node:\n"
    "                           weirctl tap shop/web --status 5xx --path /api --direction "
    "outbound\n"
    "  dump                     everything, as JSON\n\n"
    "Asks a cluster (the kubeconfig that kubectl takes), or, where there is none or --socket or\n"
    "--local is given, the node proxy on this machine. Exit status 1: check has found something.\n"
    "As `kubectl weir` it is a plugin of kubectl.";

static int usage(void)
{
    fprintf(stderr, "weirctl: say what to do:");
    for (size_t i = 0; i < sizeof commands / sizeof *commands - 2; i++)
        fprintf(stderr, " %s", commands[i].name);
    for (size_t i = 0; i < n_views; i++)
        fprintf(stderr, " %s", views[i].name);
    fprintf(stderr, "; --help tells more\n");
    return 2;
}

static int run(const struct ctl *c, const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0) {
            if (c->n_arguments > commands[i].n_arguments)
                return usage();
            return commands[i].run(c);
        }
    const struct view *v = view_find(name);
    if (!v || c->n_arguments > 0)
        return usage();
    return c->local ? local_show(c, v) : cluster_show(c, v);
}

/* ---- The command line ----------------------------------------------------------------------- */

/* The short forms that hands know. */
static void lengthen(int argc, char **argv)
{
    static char output[] = "--output", ns[] = "--namespace";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-o") == 0)
            argv[i] = output;
        else if (strcmp(argv[i], "-n") == 0)
            argv[i] = ns;
    }
}

int main(int argc, char **argv)
{
    struct ctl c = {.cluster = {.ns = "weir-system"}, .enrol_label = "weir.mesh/enrolled"};
    const char *output = "table";
    bool version = false;
    const struct arg table[] = {
        {"kubeconfig", ARG_STRING, &c.cluster.kubeconfig, "FILE",
         "how to reach the cluster (default: as kubectl does)", 0, 0, false},
        {"context", ARG_STRING, &c.cluster.context, "NAME", "of the kubeconfig", 0, 0, false},
        {"proxy", ARG_STRING, &c.cluster.proxy, "ADDR:PORT",
         "a running `kubectl proxy`, for users whose credentials a program makes", 0, 0, false},
        {"kubeconfig-insecure", ARG_FLAG, &c.cluster.insecure, NULL,
         "take a kubeconfig that says insecure-skip-tls-verify", 0, 0, false},
        {"weir-namespace", ARG_STRING, &c.cluster.ns, "NAME", "where the mesh itself runs", 0, 0,
         false},
        {"enrol-label", ARG_STRING, &c.enrol_label, "KEY", "label of enrolled namespaces", 0, 0,
         false},
        {"before", ARG_FLAG, &c.before, NULL, "check: before an installation", 0, 0, false},
        {"local", ARG_FLAG, &c.local, NULL, "ask this machine, even if there is a kubeconfig", 0, 0,
         false},
        {"socket", ARG_STRING, &c.socket, "PATH",
         "the node proxy's admin socket on this machine (/run/weir/admin.sock)", 0, 0, false},
        {"controller", ARG_STRING, &c.controller, "ADDR:PORT",
         "explain, status: a controller's --admin, where there is no cluster", 0, 0, false},
        {"method", ARG_STRING, &c.wish.method, "METHOD",
         "explain, tap: of requests, as the options below", 0, 0, false},
        {"path", ARG_STRING, &c.wish.path, "PATH",
         "explain: with its query; tap: what paths begin with", 0, 0, false},
        {"host", ARG_STRING, &c.wish.host, "HOST", "explain: if it is not the Service's", 0, 0,
         false},
        {"header", ARG_LIST, &c.headers, "NAME: VALUE", "explain; may be given several times", 0, 0,
         false},
        {"direction", ARG_STRING, &c.tap.direction, "inbound|outbound",
         "tap: is it asked, or asking", 0, 0, false},
        {"status", ARG_STRING, &c.tap.status, "404|5xx", "tap: a code, or a class of them", 0, 0,
         false},
        {"max", ARG_U64, &c.tap.max, "N", "tap: end after so many (0: when interrupted)", 0,
         1000000, false},
        {"query", ARG_FLAG, &c.tap.query, NULL, "tap: show paths with their queries", 0, 0, false},
        {"output", ARG_STRING, &output, "table|json", "how to print (-o)", 0, 0, false},
        {"namespace", ARG_STRING, &c.ns, "NAME", "only this namespace (-n)", 0, 0, false},
        {"version", ARG_FLAG, &version, NULL, "versions of the program and its libraries", 0, 0,
         false},
    };
    lengthen(argc, argv);
    int n = 0;
    int r = args_parse("weirctl", about, table, sizeof table / sizeof *table, argc, argv, &n);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    if (version) {
        const struct library_version libraries[] = {{"JSON", json_library()},
                                                    {"HTTP client", kube_library()}};
        lifecycle_print_version("weirctl", libraries, 2);
        return 0;
    }
    if (strcmp(output, "table") != 0 && strcmp(output, "json") != 0) {
        fprintf(stderr, "weirctl: -o: '%s' is neither table nor json\n", output);
        return 2;
    }
    if (n == 0)
        return usage();
    c.as_json = strcmp(output, "json") == 0;
    c.local = c.local || c.socket || c.controller ||
              !(c.cluster.kubeconfig || c.cluster.context || cluster_is_configured(&c.cluster));
    if (!c.socket)
        c.socket = "/run/weir/admin.sock";
    c.arguments = (const char *const *)argv + 1;
    c.n_arguments = (size_t)n - 1;
    return run(&c, argv[0]);
}
