/*
 * The openssl program, running, and one of our channels that speaks with it over a loopback socket.
 */
#ifndef TESTS_UNIT_SHARED_TLS_OPENSSL_PROGRAM_H
#define TESTS_UNIT_SHARED_TLS_OPENSSL_PROGRAM_H
#include "tests/unit/shared/tls/channel_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { DEADLINE_MS = 20000 };
static char folder[64], out[65536]; /* where it runs; what it said */

/* The program, running: its standard input and output are ours. */
struct program {
    pid_t pid;
    int in, out;
    size_t len; /* of what it said, in `out` */
    int status;
};
static inline void program_start(struct program *p, const char *const *arguments)
{
    char *argv[40] = {"openssl"}, *environment[] = {"PATH=/usr/bin:/bin", NULL};
    int in[2], said[2];
    posix_spawn_file_actions_t actions;

    for (size_t i = 0; arguments[i]; i++) {
        assert_true(i + 2 < 40);
        argv[i + 1] = (char *)arguments[i];
    }
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(said, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, said[1], 1);
    posix_spawn_file_actions_adddup2(&actions, said[1], 2);
    assert_int_equal(posix_spawnp(&p->pid, "openssl", &actions, NULL, argv, environment), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(said[1]);
    p->in = in[1];
    p->out = said[0];
    p->len = 0;
    out[0] = '\0';
}
/* Reads what is there; waits for it, until the deadline. false: it has closed its output. */
static inline bool program_hear(struct program *p)
{
    struct pollfd fd = {.fd = p->out, .events = POLLIN};
    if (poll(&fd, 1, DEADLINE_MS) <= 0)
        fail_msg("openssl says nothing; before: %s", out);
    ssize_t n = read(p->out, out + p->len, sizeof out - 1 - p->len);
    if (n <= 0)
        return false;
    p->len += (size_t)n;
    out[p->len] = '\0';
    return true;
}
/* What it said until then is forgotten. */
static inline void program_wait_for(struct program *p, const char *text)
{
    char *at;
    while (!(at = strstr(out, text)))
        if (!program_hear(p))
            fail_msg("openssl ended before it said \"%s\": %s", text, out);
    at += strlen(text);
    p->len -= (size_t)(at - out);
    memmove(out, at, p->len + 1);
}
static inline void program_end(struct program *p)
{
    close(p->in);
    while (program_hear(p))
        ;
    close(p->out);
    assert_int_equal(waitpid(p->pid, &p->status, 0), p->pid);
}
static inline void program_say(struct program *p, const char *text)
{
    assert_int_equal(write(p->in, text, strlen(text)), strlen(text));
}

/* Our side. */
struct link {
    int fd;
    struct tls_channel *t;
    struct chunk_pool pool;
    struct buf received;
    int result;
    bool told, ended;
};
static inline void link_open(struct link *l, int fd, struct tls_config *config)
{
    *l = (struct link){.fd = fd};
    chunk_pool_init(&l->pool, 100, 10);
    assert_int_equal(tls_channel_new(&l->t, config, &l->pool), 0);
}
static inline void link_close(struct link *l)
{
    close(l->fd);
    buf_done(&l->received);
    tls_channel_free(l->t);
    chunk_pool_done(&l->pool);
}
static inline void link_flush(struct link *l)
{
    struct buf *o = tls_channel_out(l->t);
    while (o->len > 0) {
        struct iovec v[8];
        size_t n = buf_iovecs(o, v, 8, NULL);
        ssize_t r = writev(l->fd, v, (int)n);
        if (r <= 0) { /* the program is gone */
            buf_done(o);
            return;
        }
        buf_consume(o, (size_t)r);
    }
}
/* One turn: sends what there is, waits for bytes, feeds them. */
static inline void link_turn(struct link *l)
{
    struct pollfd fd = {.fd = l->fd, .events = POLLIN};
    struct buf in = {0};

    link_flush(l);
    if (poll(&fd, 1, DEADLINE_MS) <= 0)
        fail_msg("nothing came for too long; openssl said: %s", out);
    uint8_t *room = buf_reserve(&in, &l->pool, CHUNK_BYTES);
    assert_non_null(room);
    ssize_t n = read(l->fd, room, CHUNK_BYTES);
    buf_commit(&in, n > 0 ? (size_t)n : 0);
    int r;
    if (n <= 0) {
        l->ended = true;
        r = tls_channel_end(l->t);
    } else {
        r = tls_channel_input(l->t, &in);
        if (r == 1)
            l->told = true;
        if (r >= 0 && l->told)
            r = tls_channel_read(l->t, &l->received, 1 << 20);
    }
    if (r < 0 && l->result == 0)
        l->result = r;
    link_flush(l);
    buf_done(&in);
}
static inline void link_until_told(struct link *l)
{
    while (!l->told && l->result == 0)
        link_turn(l);
}
static inline void link_until_received(struct link *l, const char *text)
{
    size_t len = strlen(text);
    char got[256];
    while (l->received.len < len && l->result == 0)
        link_turn(l);
    if (l->result < 0)
        fail_msg("%d: %s", l->result, tls_channel_why(l->t));
    assert_int_equal(buf_peek(&l->received, got, len), len);
    assert_memory_equal(got, text, len);
    buf_consume(&l->received, len);
}
static inline void link_say(struct link *l, const char *text)
{
    struct buf b = {0};
    assert_int_equal(buf_append(&b, &l->pool, text, strlen(text)), 0);
    assert_int_equal(tls_channel_write(l->t, &b), 0);
    link_flush(l);
}

static inline int listen_somewhere(char port[static 32])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    snprintf(port, 32, "127.0.0.1:%u", ntohs(a.sin_port));
    return fd;
}
#endif
