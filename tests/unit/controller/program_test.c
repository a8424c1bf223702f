/*
 * The program itself: a folder of manifests, certificates made here, clients over real sockets and
 * TLS.
 *
 *   this test --- xDS over mTLS (127.0.0.1) ---> weir-controller <--- inotify --- a temporary folder
 *             --- HTTP (127.0.0.1) ------------>
 */
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include "shared/transport/h2_conn.h"
#include "shared/xds/xds_client.h"
#include "tests/support/tmp.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_MS = 20000, PEM_MAX = 16384 };
#define ID(account) "spiffe://cluster.local/ns/weir-system/sa/" account

/* ---- Certificates --------------------------------------------------------------------------- */

struct pair {
    struct key *key;
    struct x509 certificate;
};

static void make_pair(struct pair *p, const char *uri, const struct pair *issuer)
{
    uint8_t public[512];
    size_t public_len;
    const struct x509_template t = {
        .uri = text_of(uri),
        .common_name = text_of(issuer ? "" : "root"),
        .is_ca = !issuer,
        .path_len = -1,
        .not_before_s = clock_unix_s() - 60,
        .not_after_s = clock_unix_s() + 3600,
        .server = issuer,
        .client = issuer,
    };
    assert_int_equal(key_generate(&p->key), 0);
    assert_int_equal(key_public_der(p->key, public, sizeof public, &public_len), 0);
    assert_int_equal(x509_make(&t, public, public_len, issuer ? &issuer->certificate : NULL,
                               issuer ? issuer->key : p->key, &p->certificate),
                     0);
}

static void pair_done(struct pair *p)
{
    p->key = key_unref(p->key);
    x509_done(&p->certificate);
}

static void write_whole(const char *folder, const char *name, const char *data, size_t len)
{
    char path[256], fresh[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(fresh, sizeof fresh, "%s/.%s.new", folder, name);
    FILE *file = fopen(fresh, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(fresh, path), 0);
}

static void write_pair(const char *folder, const struct pair *p)
{
    char pem[PEM_MAX];
    size_t len;
    assert_int_equal(key_to_pem(p->key, pem, sizeof pem, &len), 0);
    write_whole(folder, "key.pem", pem, len);
    assert_int_equal(x509_to_pem(&p->certificate, pem, sizeof pem, &len), 0);
    write_whole(folder, "certificate.pem", pem, len);
}

/* ---- The scene ------------------------------------------------------------------------------ */

struct scene {
    char folder[64], manifests[96], tls[96];
    struct pair root, own, node, rogue;
    pid_t pid; /* 0: it has ended */
    int out;   /* its standard error */
    char log[32768];
    size_t log_len;
    struct addr xds, admin;
    struct ring *ring;
};

__attribute__((noreturn)) static void give_up(struct scene *s, const char *what)
{
    kill(s->pid, SIGKILL); /* nothing is left behind */
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
    fail_msg("no '%s' in:\n%s", what, s->log);
    abort();
}

/* Reads the program's log until it holds `what`; where it ends. */
static const char *wait_log(struct scene *s, const char *what)
{
    uint64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    const char *found;
    while (!(found = strstr(s->log, what))) {
        struct pollfd p = {.fd = s->out, .events = POLLIN};
        uint64_t now_ms = clock_monotonic_ms();
        if (now_ms >= deadline_ms || poll(&p, 1, (int)(deadline_ms - now_ms)) <= 0)
            give_up(s, what);
        ssize_t n = read(s->out, s->log + s->log_len, sizeof s->log - 1 - s->log_len);
        if (n <= 0)
            give_up(s, what);
        s->log_len += (size_t)n;
        s->log[s->log_len] = '\0';
    }
    return found + strlen(what);
}

static void read_addr(struct scene *s, const char *what, struct addr *ret)
{
    const char *at = wait_log(s, what);
    struct text t = {at, strcspn(at, " \n")};
    assert_int_equal(addr_parse(t, ret), 0);
}

static void start_program(struct scene *s)
{
    char program[512], source[128], certificate[128], key[128], roots[128];
    const char *build = getenv("WEIR_BUILD");
    extern char **environ;
    int out[2];
    posix_spawn_file_actions_t actions;
    snprintf(program, sizeof program, "%s/weir-controller", build ? build : ".");
    snprintf(source, sizeof source, "dir:%s", s->manifests);
    snprintf(certificate, sizeof certificate, "%s/certificate.pem", s->tls);
    snprintf(key, sizeof key, "%s/key.pem", s->tls);
    snprintf(roots, sizeof roots, "%s/roots.pem", s->tls);
    char *const argv[] = {program,       "--source", source,        "--listen",
                          "127.0.0.1:0", "--admin",  "127.0.0.1:0", "--certificate",
                          certificate,   "--key",    key,           "--roots",
                          roots,         "--drain",  "5s",          NULL};
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, out[1], 2), 0);
    assert_int_equal(posix_spawn(&s->pid, program, &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    s->out = out[0];
    read_addr(s, "admin: listening on ", &s->admin);
    read_addr(s, "xds: listening on ", &s->xds);
    wait_log(s, "controller: ready");
}

static int setup(void **state)
{
    static struct scene s;
    char pem[PEM_MAX];
    const char *why = "";
    size_t len;
    s = (struct scene){0};
    assert_non_null(tmp_folder(s.folder, "controller"));
    snprintf(s.manifests, sizeof s.manifests, "%s/manifests", s.folder);
    snprintf(s.tls, sizeof s.tls, "%s/tls", s.folder);
    assert_int_equal(mkdir(s.manifests, 0700), 0);
    assert_int_equal(mkdir(s.tls, 0700), 0);
    make_pair(&s.root, "", NULL);
    make_pair(&s.own, ID("weir-controller"), &s.root);
    make_pair(&s.node, ID("weir-nodeproxy"), &s.root);
    make_pair(&s.rogue, ID("rogue"), &s.root);
    write_pair(s.tls, &s.own);
    assert_int_equal(x509_to_pem(&s.root.certificate, pem, sizeof pem, &len), 0);
    write_whole(s.tls, "roots.pem", pem, len);
    assert_int_equal(
        ring_open(&s.ring, &(struct ring_options){.entries = 128, .buffers = 16}, &why), 0);
    start_program(&s);
    *state = &s;
    return 0;
}

static int stop_program(struct scene *s)
{
    int status = 0;
    if (s->pid == 0)
        return 0;
    kill(s->pid, SIGTERM);
    assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
    s->pid = 0;
    close(s->out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static int teardown(void **state)
{
    static const char *const files[] = {"tls/certificate.pem", "tls/key.pem", "tls/roots.pem",
                                        "manifests/a.yaml", "manifests/b.yaml"};
    struct scene *s = *state;
    char path[256];
    int status = stop_program(s);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", s->folder, files[i]);
        unlink(path);
    }
    rmdir(s->manifests);
    rmdir(s->tls);
    struct pair *const pairs[] = {&s->root, &s->own, &s->node, &s->rogue};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        pair_done(pairs[i]);
    ring_free(s->ring);
    return rmdir(s->folder) == 0 ? status : -1;
}

/* ---- An xDS client over TLS ----------------------------------------------------------------- */

struct caller {
    struct h2_conn h2;
    struct xds_client xds;
    struct ring *ring;
    struct timer deadline;
    struct map have;
    char peer[X509_URI_MAX + 1], serial[64];
    enum grpc_status status;
    bool late, ended, drained;
};

static int caller_put(struct xds_client *c, enum xds_type type, struct text name,
                      const uint8_t *body, size_t len, char why[static XDS_WHY_MAX])
{
    struct caller *k = c->user;
    (void)type;
    (void)body;
    (void)len;
    (void)why;
    return map_put(&k->have, name, k, NULL);
}

static void caller_removed(struct xds_client *c, enum xds_type type, struct text name)
{
    struct caller *k = c->user;
    (void)type;
    map_remove(&k->have, name);
}

static void caller_synced(struct xds_client *c, enum xds_type type)
{
    struct caller *k = c->user;
    if (type == XDS_ADDRESS)
        ring_stop(k->ring);
}

static void caller_closed(struct xds_client *c, enum grpc_status status, struct text message)
{
    struct caller *k = c->user;
    (void)message;
    k->status = status;
    k->ended = true;
    ring_stop(k->ring);
}

static const struct xds_client_events xds_events = {caller_put, caller_removed, caller_synced,
                                                    caller_closed};

static void h2_ready(struct h2_conn *h)
{
    struct caller *k = container_of(h, struct caller, h2);
    const struct tls_peer *peer = conn_peer(&h->conn);
    snprintf(k->peer, sizeof k->peer, "%s", peer->uri);
    snprintf(k->serial, sizeof k->serial, "%s", peer->serial);
    assert_int_equal(
        xds_client_start(&k->xds, h->http2, ring_chunks(k->ring), TEXT("controller"), TEXT("")), 0);
}

static void h2_closed(struct h2_conn *h, int error)
{
    struct caller *k = container_of(h, struct caller, h2);
    (void)error;
    k->ended = true;
    h2_conn_close(h);
    ring_stop(k->ring);
}

static void h2_drained(struct h2_conn *h)
{
    struct caller *k = container_of(h, struct caller, h2);
    k->drained = true;
    ring_stop(k->ring);
}

static const struct h2_conn_events h2_events = {
    .ready = h2_ready, .closed = h2_closed, .drained = h2_drained};

static void too_late(struct timer *t)
{
    struct caller *k = container_of(t, struct caller, deadline);
    k->late = true;
    ring_stop(k->ring);
}

static void call(struct caller *k, struct scene *s, const struct pair *who)
{
    struct tls_config *config;
    const char *why = "";
    int fd;
    const struct tls_config_options options = {
        .role = TLS_CLIENT,
        .peer_auth = TLS_PEER_SVID,
        .key = who->key,
        .chain = &who->certificate,
        .n_chain = who->key ? 1 : 0,
        .roots = &s->root.certificate,
        .n_roots = 1,
        .alpn = TEXT("h2"),
    };
    *k = (struct caller){.ring = s->ring};
    map_init(&k->have, 0);
    timer_init(&k->deadline, too_late);
    xds_client_init(&k->xds, "node-a", XDS_MESH, &xds_events, k);
    if (tls_config_new(&config, &options, &why) < 0)
        fail_msg("%s", why);
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    assert_int_equal(h2_conn_open_client(&k->h2, s->ring, fd, &s->xds,
                                         &(struct h2_conn_options){.tls = config}, &h2_events, k),
                     0);
    tls_config_unref(config);
}

/* Runs the ring until something stops it. */
static void wait_event(struct caller *k)
{
    timer_start(ring_timers(k->ring), &k->deadline, DEADLINE_MS);
    assert_int_equal(ring_run(k->ring), 0);
    timer_stop(ring_timers(k->ring), &k->deadline);
    assert_false(k->late);
}

static void hang_up(struct caller *k)
{
    h2_conn_close(&k->h2);
    while (!k->drained)
        wait_event(k);
    xds_client_done(&k->xds);
    map_done(&k->have, NULL);
}

static void put_manifest(const struct scene *s, const char *name, const char *content)
{
    write_whole(s->manifests, name, content, strlen(content));
}

/* ---- HTTP ----------------------------------------------------------------------------------- */

static const char *get(const struct scene *s, const char *path)
{
    static char answer[65536];
    char request[256];
    struct sockaddr_storage to;
    size_t len = 0;
    ssize_t n;
    int fd;
    socklen_t to_len = addr_to_sockaddr(&s->admin, &to);
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, to_len), 0);
    int request_len = snprintf(request, sizeof request,
                               "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    assert_int_equal(write(fd, request, (size_t)request_len), request_len);
    while ((n = read(fd, answer + len, sizeof answer - 1 - len)) > 0)
        len += (size_t)n;
    answer[len] = '\0';
    close(fd);
    return answer;
}

/* ---- Tests ---------------------------------------------------------------------------------- */

#define POD(name, ip)                                                                              \
    "{apiVersion: v1, kind: Pod, metadata: {name: " name ", namespace: shop}, status: {podIP: " ip \
    "}}\n---\n"
#define SERVICE                                                                                    \
    "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: shop}, spec: {ports: [{port: " \
    "80}]}}\n"

static void clients_follow_the_folder(void **state)
{
    struct scene *s = *state;
    struct caller k;
    call(&k, s, &s->node);
    wait_event(&k); /* nothing yet, and that is known */
    assert_false(k.ended);
    assert_string_equal(k.peer, ID("weir-controller"));
    assert_int_equal(k.have.count, 0);
    put_manifest(s, "a.yaml", POD("p", "10.0.0.1") SERVICE);
    while (k.have.count < 2)
        wait_event(&k);
    assert_non_null(map_get(&k.have, TEXT("Kubernetes//Pod/shop/p")));
    put_manifest(s, "b.yaml",
                 "{apiVersion: v1, kind: Pod, metadata: {name: q, namespace: shop}, status: "
                 "{podIP: 10.0.0}}\n");
    wait_log(s, "b.yaml:1: Pod shop/q: status.podIP: '10.0.0' is no IP address");
    put_manifest(s, "b.yaml", POD("q", "10.0.0.2"));
    while (k.have.count < 3)
        wait_event(&k);
    put_manifest(s, "a.yaml", SERVICE);
    while (k.have.count > 2)
        wait_event(&k);
    assert_null(map_get(&k.have, TEXT("Kubernetes//Pod/shop/p")));
    hang_up(&k);
}

static void only_whom_it_knows(void **state)
{
    struct scene *s = *state;
    struct caller k;
    call(&k, s, &s->rogue);
    while (!k.ended)
        wait_event(&k);
    assert_int_equal(k.status, GRPC_PERMISSION_DENIED);
    hang_up(&k);
    call(&k, s, &(struct pair){0}); /* no certificate */
    while (!k.ended)
        wait_event(&k);
    assert_false(k.xds.stats.connected);
    hang_up(&k);
    struct pair other_root, stranger;
    make_pair(&other_root, "", NULL);
    make_pair(&stranger, ID("weir-nodeproxy"), &other_root);
    call(&k, s, &stranger); /* the right name from another root */
    while (!k.ended)
        wait_event(&k);
    assert_false(k.xds.stats.connected);
    hang_up(&k);
    pair_done(&stranger);
    pair_done(&other_root);
}

static void a_new_certificate_is_taken(void **state)
{
    struct scene *s = *state;
    struct caller k;
    struct pair fresh;
    char wanted[2 * X509_SERIAL_MAX + 1];
    write_whole(s->tls, "certificate.pem", "nonsense", 8); /* the old one goes on */
    wait_log(s, "the certificate that is in use stays");
    call(&k, s, &s->node);
    wait_event(&k);
    assert_false(k.ended);
    hang_up(&k);
    make_pair(&fresh, ID("weir-controller"), &s->root);
    x509_serial_text(&fresh.certificate, wanted);
    write_pair(s->tls, &fresh);
    uint64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    do { /* each call is an event of its own; the files are read within a moment */
        assert_true(clock_monotonic_ms() < deadline_ms);
        call(&k, s, &s->node);
        wait_event(&k);
        assert_false(k.ended);
        hang_up(&k);
    } while (strcmp(k.serial, wanted) != 0);
    pair_done(&fresh);
}

static void what_it_says_of_itself(void **state)
{
    struct scene *s = *state;
    struct caller k;
    assert_non_null(strstr(get(s, "/healthz/ready"), "200"));
    call(&k, s, &s->node);
    wait_event(&k);
    put_manifest(s, "a.yaml", POD("p", "10.0.0.1") SERVICE);
    put_manifest(s, "b.yaml",
                 "{apiVersion: v1, kind: Service, metadata: {name: t, namespace: shop}, spec: "
                 "{ports: 1}}\n");
    wait_log(s, "b.yaml:1: Service shop/t: spec.ports");
    const char *metrics = get(s, "/metrics");
    assert_non_null(strstr(metrics, "weir_controller_xds_clients 1\n"));
    assert_non_null(strstr(metrics, "weir_controller_config_errors{file=\"b.yaml\"} 1\n"));
    assert_non_null(strstr(metrics, "weir_controller_config_errors{file=\"a.yaml\"} 0\n"));
    assert_non_null(strstr(metrics, "istio_build{component=\"weir-controller\""));
    assert_non_null(strstr(metrics, "weir_controller_xds_pushes_total{type=\"address\"}"));
    const char *errors = get(s, "/debug/errors");
    assert_non_null(strstr(errors, "\"file\": \"b.yaml\""));
    assert_non_null(strstr(errors, "\"line\": 1"));
    assert_non_null(strstr(errors, "\"field\": \"spec.ports\""));
    const char *dump = get(s, "/config_dump");
    assert_non_null(strstr(dump, "\"uid\": \"Kubernetes//Pod/shop/p\""));
    assert_non_null(strstr(dump, "\"node\": \"node-a\""));
    assert_non_null(strstr(get(s, "/other"), "404"));
    hang_up(&k);
}

static void it_leaves_in_order(void **state)
{
    struct scene *s = *state;
    struct caller k;
    int status;
    call(&k, s, &s->node);
    wait_event(&k);
    assert_int_equal(kill(s->pid, SIGTERM), 0);
    while (!k.ended)
        wait_event(&k);
    assert_int_equal(k.status, GRPC_UNAVAILABLE);
    hang_up(&k);
    assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
    s->pid = 0;
    close(s->out);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(clients_follow_the_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(only_whom_it_knows, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_certificate_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(what_it_says_of_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(it_leaves_in_order, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
