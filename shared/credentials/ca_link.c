/* The connection to the CA; see the header. */
#include "shared/credentials/ca_link.h"

#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include "shared/tls/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BACKOFF_MIN_MS = 50, BACKOFF_MAX_MS = 15000, ROOTS_MAX = 16 };

static struct ca_link *of_h2(struct h2_conn *h)
{
    return container_of(h, struct ca_link, h2);
}

/* ---- files --------------------------------------------------------------- */

/* Not through stdio, whose buffers keep what they held. */
static int read_file(const char *path, char *out, size_t size, size_t *ret_len)
{
    size_t len = 0;
    ssize_t n = -1;
    int r = 0, fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    while (r == 0 && len < size && (n = read(fd, out + len, size - len)) != 0) {
        if (n > 0)
            len += (size_t)n;
        else if (errno != EINTR)
            r = -errno;
    }
    close(fd);
    if (r == 0 && len == size)
        r = -EFBIG;
    if (r == 0)
        *ret_len = len;
    return r;
}

/* The token that was there stays where the file can't be read. */
static int read_token(struct ca_link *l)
{
    const char *path = l->options.token_file;
    size_t len = 0;
    if (!path) {
        snprintf(l->why, sizeof l->why,
                 "there is no valid certificate, and no --token-file to get one with");
        return -ENOENT;
    }
    char *token = secret_new(CA_TOKEN_MAX);
    int r = token ? read_file(path, token, CA_TOKEN_MAX, &len) : -ENOMEM;
    while (len > 0 && (unsigned char)token[len - 1] <= ' ')
        len--;
    if (r < 0) {
        snprintf(l->why, sizeof l->why, "--token-file %.120s: %s", path, strerror(-r));
    } else if (len == 0 || memchr(token, '\0', len)) {
        snprintf(l->why, sizeof l->why, "--token-file %.120s has no token in it", path);
        r = -EINVAL;
    }
    if (r < 0) {
        secret_free(token, CA_TOKEN_MAX);
        return r;
    }
    token[len] = '\0';
    secret_free(l->token, CA_TOKEN_MAX);
    l->token = token;
    l->token_read_ms = ring_now_ms(l->options.ring);
    return 0;
}

const char *ca_link_token(struct ca_link *l)
{
    uint64_t now_ms = ring_now_ms(l->options.ring);
    if (!l->token || now_ms - l->token_read_ms < l->options.token_age_ms)
        return l->token;
    if (read_token(l) < 0)
        log_warn("credentials", "%s; the token that was read before stays in use", l->why);
    l->token_read_ms = now_ms;
    return l->token;
}

static int make_tls(struct ca_link *l)
{
    struct x509 roots[ROOTS_MAX];
    size_t n_roots = 0, len;
    const char *why = "no memory";
    char *pem = malloc(CA_ROOTS_FILE_MAX);
    if (!pem) {
        snprintf(l->why, sizeof l->why, "out of memory");
        return -ENOMEM;
    }
    int r = read_file(l->options.roots_file, pem, CA_ROOTS_FILE_MAX, &len);
    if (r < 0)
        why = strerror(-r);
    else
        r = x509_from_pem((struct text){pem, len}, roots, ROOTS_MAX, &n_roots, &why);
    free(pem);
    if (r == 0 && l->told_roots && n_roots < ROOTS_MAX) {
        size_t n = 0;
        const char *told_why;
        if (x509_from_pem(text_of(l->told_roots), roots + n_roots, ROOTS_MAX - n_roots, &n, &told_why) == 0)
            n_roots += n;
    }
    if (r == 0) {
        const struct tls_config_options o = {.role = TLS_CLIENT,
                                             .peer_auth = TLS_PEER_SVID,
                                             .roots = roots,
                                             .n_roots = n_roots,
                                             .alpn = TEXT("h2")};
        r = tls_config_new(&l->tls, &o, &why);
    }
    for (size_t i = 0; i < n_roots; i++)
        x509_done(&roots[i]);
    if (r < 0)
        snprintf(l->why, sizeof l->why, "--roots %.100s: %.100s", l->options.roots_file, why);
    return r;
}

/* ---- the connection ------------------------------------------------------ */

static void connect_now(struct ca_link *l);

static void wait_again(struct ca_link *l)
{
    timer_start(ring_timers(l->options.ring), &l->again,
                rng_jitter(ring_rng(l->options.ring), l->backoff_ms, 30));
    l->backoff_ms = l->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : l->backoff_ms * 2;
}

static void again(struct timer *t)
{
    struct ca_link *l = container_of(t, struct ca_link, again);
    if (l->wanted)
        connect_now(l);
}

static void ready(struct h2_conn *h)
{
    struct ca_link *l = of_h2(h);
    const struct tls_peer *peer = conn_peer(&h->conn);
    if (!peer || !peer->present || strcmp(peer->uri, l->options.ca_identity) != 0) {
        snprintf(l->why, sizeof l->why, "the CA proved to be %.100s, not %.100s",
                 peer && peer->present ? peer->uri : "nobody", l->options.ca_identity);
        h2_conn_close(h);
        return;
    }
    l->trusted = true;
    l->wanted = false;
    l->backoff_ms = BACKOFF_MIN_MS;
    l->events->ready(l);
}

static void closed(struct h2_conn *h, int error)
{
    struct ca_link *l = of_h2(h);
    const char *why = h2_conn_why(h);
    /* The CA ends connections that nobody needs, and so do we. */
    l->resting = error == 0 && l->trusted && !l->wanted;
    l->trusted = false;
    snprintf(l->why, sizeof l->why, "%s: %.160s",
             l->resting ? "rests" : "the connection to the CA ended",
             why[0]      ? why
             : error < 0 ? strerror(-error)
                         : "the CA closed it");
    h2_conn_close(h);
}

/* Whatever the connection had. */
static void disconnect(struct ca_link *l)
{
    l->open = l->trusted = false;
    l->tls = tls_config_unref(l->tls);
    l->token = secret_free(l->token, CA_TOKEN_MAX);
}

static void tell_failed(struct ring_task *task)
{
    struct ca_link *l = container_of(task, struct ca_link, failed_task);
    l->events->failed(l, l->why);
}

static void drained(struct h2_conn *h)
{
    struct ca_link *l = of_h2(h);
    bool failed = !l->resting;
    disconnect(l);
    l->resting = false;
    if (l->closing) {
        l->drained(l->drained_arg);
    } else if (failed) {
        l->wanted = false;
        wait_again(l);
        l->events->failed(l, l->why);
    } else if (l->wanted) {
        connect_now(l);
    }
}

static const struct h2_conn_events h2_events = {
    .ready = ready, .closed = closed, .drained = drained};

static void connect_now(struct ca_link *l)
{
    int fd = -1, r = 0;
    if (l->own)
        l->tls = tls_config_ref(l->own->client);
    else if ((r = read_token(l)) == 0)
        r = make_tls(l);
    if (r == 0) {
        r = socket_open(ip_family(&l->options.ca.ip), &fd);
        const struct h2_conn_options o = {.tls = l->tls, .http2 = {.secret = true}};
        if (r == 0)
            r = h2_conn_open_client(&l->h2, l->options.ring, fd, &l->options.ca, &o, &h2_events, l);
        if (r < 0)
            snprintf(l->why, sizeof l->why, "no connection to the CA can be made: %.120s",
                     strerror(-r));
    }
    l->open = r == 0;
    if (r == 0)
        return;
    disconnect(l);
    l->wanted = false;
    wait_again(l);
    ring_task_ask(l->options.ring, &l->failed_task);
}

void ca_link_init(struct ca_link *l, const struct ca_link_options *o,
                  const struct ca_link_events *events, void *user)
{
    *l = (struct ca_link){
        .options = *o, .events = events, .user = user, .backoff_ms = BACKOFF_MIN_MS};
    timer_init(&l->again, again);
    ring_task_init(&l->failed_task, tell_failed);
}

void ca_link_set_own(struct ca_link *l, struct credential *own)
{
    struct credential *before = l->own;
    l->own = own ? credential_ref(own) : NULL;
    credential_unref(before);
}

int ca_link_set_roots(struct ca_link *l, const char *pem)
{
    char *copy = text_dup(text_of(pem));
    if (!copy)
        return -ENOMEM;
    free(l->told_roots);
    l->told_roots = copy;
    return 0;
}

bool ca_link_connected(const struct ca_link *l)
{
    return l->open && l->trusted;
}

bool ca_link_ready(const struct ca_link *l)
{
    return ca_link_connected(l) && http2_can_open(l->h2.http2);
}

void ca_link_want(struct ca_link *l)
{
    if (l->closing || l->wanted)
        return;
    l->wanted = true;
    if (!l->open && !timer_running(&l->again))
        connect_now(l);
}

void ca_link_rest(struct ca_link *l)
{
    l->wanted = false;
    if (!l->open || l->resting || l->closing)
        return;
    l->resting = true;
    l->trusted = false;
    h2_conn_close(&l->h2);
}

void ca_link_close(struct ca_link *l, void (*taken_drained)(void *arg), void *arg)
{
    l->closing = true;
    l->drained = taken_drained;
    l->drained_arg = arg;
    timer_stop(ring_timers(l->options.ring), &l->again);
    ring_task_cancel(&l->failed_task);
    l->trusted = false;
    ca_link_set_own(l, NULL);
    free(l->told_roots);
    l->told_roots = NULL;
    if (l->open)
        h2_conn_close(&l->h2);
    else
        taken_drained(arg);
}
