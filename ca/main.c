/* weir-ca: the certificate authority, as a service and on the command line. */
#include "ca/command.h"
#include "ca/issue.h"
#include "ca/seal.h"
#include "ca/serve.h"
#include "shared/base/args.h"
#include "shared/base/clock.h"
#include "shared/base/list.h"
#include "shared/base/log.h"
#include "shared/http2/http2.h"
#include "shared/service/core_dump.h"
#include "shared/service/lifecycle.h"
#include "shared/tls/key.h"
#include "shared/tls/tls_config.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A second and kind: whoever knocks without a token must not fill the disk. */
enum { LOG_LINES_MAX = 500 };

/* ---- serve --------------------------------------------------------------- */

/* It becomes a part of a path. */
static const char *name_check(const char *name)
{
    size_t len = strlen(name);
    return len > 200 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != len
               ? "must be a name of Kubernetes: small letters, digits, - and ."
               : NULL;
}

static const char *accounts_check(struct arg_list *list, const char *default_account)
{
    if (list->n == 0)
        list->items[list->n++] = default_account;
    for (size_t i = 0; i < list->n; i++) {
        const char *slash = strchr(list->items[i], '/');
        if (!slash || slash == list->items[i] || !slash[1] || strchr(slash + 1, '/'))
            return "must be NAMESPACE/NAME";
    }
    return NULL;
}

static int command_serve(int argc, char **argv)
{
    static char identities[3][SPIFFE_ID_TEXT_MAX];
    static struct arg_list proxies, controls;
    const char *level = "info", *format = "text", *attest = "tokens", *bad;
    enum log_level log_level;
    struct serve_options o = {
        .trust_domain = "cluster.local",
        .listen = {.port = 15013},
        .ttl_ms = 24ull * 3600 * 1000,
        .ttl_max_ms = 90ull * 24 * 3600 * 1000,
        .keep_ms = 30ull * 24 * 3600 * 1000,
        .placement_max_age_ms = 24ull * 3600 * 1000,
        .drain_ms = 5000,
        .cluster = {.roots_name = "weir-ca-root",
                    .reviews = {.audience = "weir-ca",
                                .proxies = &proxies,
                                .controls = &controls,
                                .cache_ms = 60000}},
    };
    const struct arg table[] = {
        {"state", ARG_STRING, &o.state_dir, "DIR|postgresql:FILE",
         "keys, tokens and the ledger; made at the first start", 0, 0, true},
        SEAL_ARG,
        {"listen", ARG_ADDR, &o.listen, "ADDR:PORT", "where node proxies ask", 0, 0, false},
        {"controller", ARG_ADDR, &o.controller, "ADDR:PORT",
         "the controller's xDS endpoint: tells what runs where", 0, 0, true},
        {"attest", ARG_STRING, &attest, "tokens|kubernetes",
         "who may ask: tokens made for nodes, or also service accounts of the cluster", 0, 0,
         false},
        {"kubeconfig", ARG_STRING, &o.cluster.kubeconfig, "FILE",
         "how to reach the API server (default: as a pod of its cluster)", 0, 0, false},
        {"audience", ARG_STRING, &o.cluster.reviews.audience, "NAME",
         "that service accounts' tokens must be for", 0, 0, false},
        {"proxy-account", ARG_LIST, &proxies, "NAMESPACE/NAME",
         "node proxies' service accounts (default: weir-system/weir-nodeproxy)", 0, 0, false},
        {"control-account", ARG_LIST, &controls, "NAMESPACE/NAME",
         "controllers' service accounts (default: weir-system/weir-controller)", 0, 0, false},
        {"review-cache", ARG_DURATION_MS, &o.cluster.reviews.cache_ms, "TIME",
         "how long a service account's token counts without being reviewed again", 0, 3600000,
         false},
        {"root-configmap", ARG_STRING, &o.cluster.roots_name, "NAME",
         "holds the roots in every namespace, with --attest kubernetes (none: writes none)", 0, 0,
         false},
        {"identity", ARG_STRING, &o.identity, "SPIFFE-ID", "the CA's own", 0, 0, false},
        {"dns", ARG_LIST, &o.dns, "NAME",
         "a DNS name in the CA's own certificate as well, up to 4: for clients that look for one",
         0, 0, false},
        {"controller-identity", ARG_STRING, &o.controller_identity, "SPIFFE-ID",
         "whom the controller must prove to be", 0, 0, false},
        {"proxy-identity", ARG_STRING, &o.proxy_identity, "SPIFFE-ID",
         "what a node proxy gets for itself", 0, 0, false},
        {"trust-domain", ARG_STRING, &o.trust_domain, "NAME", "SPIFFE trust domain", 0, 0, false},
        {"ttl", ARG_DURATION_MS, &o.ttl_ms, "TIME",
         "a certificate's life unless another is asked for", 60000, 0, false},
        {"ttl-max", ARG_DURATION_MS, &o.ttl_max_ms, "TIME",
         "the longest life that may be asked for", 60000, 0, false},
        {"keep", ARG_DURATION_MS, &o.keep_ms, "TIME",
         "how long a certificate is remembered after its end; its line in the audit log stays", 0,
         0, false},
        {"placement-max-age", ARG_DURATION_MS, &o.placement_max_age_ms, "TIME",
         "how long placement is believed while the controller is away", 1000, 0, false},
        {"api-listen", ARG_ADDR, &o.api, "ADDR:PORT",
         "the JSON API over HTTPS (docs/ca-openapi.yaml; default: none)", 0, 0, false},
        {"api-admin", ARG_LIST, &o.api_admins, "SPIFFE-ID",
         "an identity that may make tokens, revoke and list by the API (default: nobody)", 0, 0,
         false},
        {"admin", ARG_ADDR, &o.admin, "ADDR:PORT", "/healthz/ready and /metrics", 0, 0, false},
        {"drain", ARG_DURATION_MS, &o.drain_ms, "TIME", "at SIGTERM", 0, 0, false},
        {"log-level", ARG_STRING, &level, "LEVEL", "error, warn, info, debug", 0, 0, false},
        {"log-format", ARG_STRING, &format, "text|json", "of all log lines", 0, 0, false},
    };
    int r = args_parse("weir-ca serve", "Issues certificates to node proxies.", table,
                       ARRAY_SIZE(table), argc, argv, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    if ((bad = trust_domain_check(text_of(o.trust_domain))))
        return command_usage_error("trust-domain", bad);
    if (log_level_parse(text_of(level), &log_level) < 0)
        return command_usage_error("log-level", "must be error, warn, info or debug");
    if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
        return command_usage_error("log-format", "must be text or json");
    if (o.dns.n > ISSUE_DNS_MAX)
        return command_usage_error("dns", "4 names at most");
    for (size_t i = 0; i < o.api_admins.n; i++)
        if (spiffe_id_parse(text_of(o.api_admins.items[i]), &(struct spiffe_id){0}) < 0)
            return command_usage_error("api-admin",
                                       "must be spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT");
    if (o.ttl_ms > o.ttl_max_ms)
        return command_usage_error("ttl", "must not be longer than --ttl-max");
    log_configure(log_level, strcmp(format, "json") == 0 ? LOG_JSON : LOG_TEXT, LOG_LINES_MAX);
    int waits = log_never_wait();
    if (waits < 0)
        log_warn("log", "lines wait for whoever reads them: %s", strerror(-waits));
    if (strcmp(attest, "tokens") != 0 && strcmp(attest, "kubernetes") != 0)
        return command_usage_error("attest", "must be tokens or kubernetes");
    o.kubernetes = strcmp(attest, "kubernetes") == 0;
    o.cluster.reviews.trust_domain = o.trust_domain;
    if (strcmp(o.cluster.roots_name, "none") == 0)
        o.cluster.roots_name = "";
    if ((bad = name_check(o.cluster.roots_name)))
        return command_usage_error("root-configmap", bad);
    if ((bad = accounts_check(&proxies, "weir-system/weir-nodeproxy")))
        return command_usage_error("proxy-account", bad);
    if ((bad = accounts_check(&controls, "weir-system/weir-controller")))
        return command_usage_error("control-account", bad);
    static const char *const accounts[] = {"weir-ca", "weir-controller", "weir-nodeproxy"};
    const char **fields[] = {&o.identity, &o.controller_identity, &o.proxy_identity};
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        if (*fields[i])
            continue;
        snprintf(identities[i], sizeof identities[i], "spiffe://%s/ns/weir-system/sa/%s",
                 o.trust_domain, accounts[i]);
        *fields[i] = identities[i];
    }
    return serve(&o) < 0 ? 1 : 0;
}

/* ---- commands on the state ----------------------------------------------- */

static int command_roots(int argc, char **argv)
{
    const char *state = NULL;
    struct store *store;
    struct root root;
    const struct arg table[] = {{"state", ARG_STRING, &state, "DIR|postgresql:FILE", "the CA's state", 0, 0, true},
                                SEAL_ARG};
    int r = args_parse("weir-ca roots", "Prints the root certificates (PEM).", table,
                       ARRAY_SIZE(table), argc, argv, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    if (command_open_state(state, &store) < 0)
        return 1;
    r = command_open_root(store, &root);
    if (r == 0) {
        fputs(root.bundle_pem, stdout);
        root_done(&root);
    }
    store_close(store);
    return r < 0 || fflush(stdout) != 0 ? 1 : 0;
}

static int write_all(int fd, const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        ssize_t n = write(fd, text, left);
        if (n < 0 && errno != EINTR)
            return -errno;
        text += n < 0 ? 0 : n;
        left -= n < 0 ? 0 : (size_t)n;
    }
    return 0;
}

static int write_new(const char *path, unsigned mode, const char *first, const char *second)
{
    int r = 0, fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return -errno;
    if (fchmod(fd, mode) < 0)
        r = -errno;
    if (r == 0)
        r = write_all(fd, first);
    if (r == 0)
        r = write_all(fd, second);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    close(fd);
    return r;
}

/* Whoever reads the file meanwhile sees the old one or the new one, never a half. */
static int write_file(const char *prefix, const char *suffix, unsigned mode, const char *first,
                      const char *second)
{
    char path[PATH_MAX], new_path[PATH_MAX];
    int len = snprintf(new_path, sizeof new_path, "%s%s.new", prefix, suffix);
    int r = len < 0 || (size_t)len >= sizeof new_path ? -ENAMETOOLONG : 0;
    snprintf(path, sizeof path, "%s%s", prefix, suffix);
    if (r == 0)
        r = write_new(new_path, mode, first, second);
    if (r == 0 && rename(new_path, path) < 0)
        r = -errno;
    if (r < 0)
        fprintf(stderr, "weir-ca: --out: %s: %s\n", path, strerror(-r));
    return r;
}

static int issue_files(struct root *root, const struct spiffe_id *id, uint64_t ttl_ms,
                       const struct arg_list *dns, const char *out)
{
    struct text names[ISSUE_DNS_MAX];
    uint8_t public_der[KEY_PUBLIC_MAX];
    size_t public_len, len;
    char key_pem[KEY_PEM_MAX], why[STORE_WHY_MAX] = "no key can be made";
    static struct issued made;
    struct key *key = NULL;
    for (size_t i = 0; i < dns->n && i < ARRAY_SIZE(names); i++)
        names[i] = text_of(dns->items[i]);
    int r = key_generate(&key);
    if (r == 0)
        r = key_public_der(key, public_der, sizeof public_der, &public_len);
    if (r == 0)
        r = key_to_pem(key, key_pem, sizeof key_pem, &len);
    key_unref(key);
    if (r == 0) {
        const struct issue_request q = {.id = id,
                                        .node = "",
                                        .public_der = public_der,
                                        .public_len = public_len,
                                        .ttl_s = (int64_t)(ttl_ms / 1000),
                                        .dns = names,
                                        .n_dns = dns->n};
        r = issue(root, &q, clock_unix_s(), &made, why);
    }
    if (r < 0)
        fprintf(stderr, "weir-ca: %s\n", why);
    if (r == 0)
        r = write_file(out, ".key", 0600, key_pem, "");
    key_wipe(key_pem, sizeof key_pem);
    if (r == 0)
        r = write_file(out, ".pem", 0644, made.leaf_pem, root->intermediate_pem);
    if (r == 0)
        r = write_file(out, "-roots.pem", 0644, root->bundle_pem, "");
    return r;
}

static int command_issue(int argc, char **argv)
{
    const char *state = NULL, *identity = NULL, *out = NULL;
    uint64_t ttl_ms = 30ull * 24 * 3600 * 1000;
    struct arg_list dns = {.n = 0};
    struct spiffe_id id;
    struct store *store;
    struct root root;
    const struct arg table[] = {
        {"state", ARG_STRING, &state, "DIR|postgresql:FILE", "the CA's state", 0, 0, true},
        SEAL_ARG,
        {"identity", ARG_STRING, &identity, "SPIFFE-ID",
         "spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT", 0, 0, true},
        {"ttl", ARG_DURATION_MS, &ttl_ms, "TIME", "how long", 60000, 0, false},
        {"dns", ARG_LIST, &dns, "NAME", "a DNS name as well, up to 4", 0, 0, false},
        {"out", ARG_STRING, &out, "PREFIX", "writes PREFIX.pem, PREFIX.key and PREFIX-roots.pem", 0,
         0, true},
    };
    int r = args_parse("weir-ca issue",
                       "Issues a certificate with a new key to whoever may read the "
                       "state: for the control plane's own programs.",
                       table, ARRAY_SIZE(table), argc, argv, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    if (spiffe_id_parse(text_of(identity), &id) < 0)
        return command_usage_error("identity", "must be spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT");
    if (dns.n > ISSUE_DNS_MAX)
        return command_usage_error("dns", "4 names at most");
    if (command_open_state(state, &store) < 0)
        return 1;
    r = command_open_root(store, &root);
    if (r == 0) {
        r = issue_files(&root, &id, ttl_ms, &dns, out);
        root_done(&root);
    }
    store_close(store);
    return r < 0 ? 1 : 0;
}

/* -------------------------------------------------------------------------- */

static const struct command {
    const char *name, *about;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"init", "make the state of a new CA", command_init},
    {"serve", "issue certificates to node proxies", command_serve},
    {"token", "make a token, for a node or to join with", command_token},
    {"issue", "issue a certificate from the command line", command_issue},
    {"roots", "print the root certificates", command_roots},
    {"list", "what was issued, revoked, decided", command_list},
    {"revoke", "take an identity or a certificate back", command_revoke},
    {"crl", "print the certificate revocation list", command_crl},
    {"rotate", "another root, or another intermediate", command_rotate},
    {"backup", "copy the state", command_backup},
    {"restore", "make a state of a copy", command_restore},
    {"check", "look whether the state is whole", command_check},
    {"passphrase", "encrypt the keys in the state, or under another passphrase", command_passphrase},
};

static int usage(int code)
{
    FILE *f = code == 0 ? stdout : stderr;
    fprintf(f, "Usage: weir-ca COMMAND [OPTION]...\nThe certificate authority of the Weir service "
               "mesh.\n\n");
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].about);
    fprintf(f, "\nweir-ca COMMAND --help tells a command's options.\n");
    return code;
}

int main(int argc, char **argv)
{
    int guarded = core_dump_forbid();
    if (guarded < 0) {
        fprintf(stderr, "weir-ca: core dumps can't be forbidden: %s\n", strerror(-guarded));
        return 1;
    }
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        const struct library_version more[] = {{"SQLite", store_library()}, {"PostgreSQL client", store_postgres_library()}, {"HTTP client", kube_library()}};
        lifecycle_print_server_version("weir-ca", more, ARRAY_SIZE(more));
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "--help") == 0)
        return usage(0);
    static char output[] = "--output"; /* the short form that hands know */
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "-o") == 0)
            argv[i] = output;
    for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return usage(2);
}
