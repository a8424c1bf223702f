#include "tests/support/fake_net.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

enum { EPHEMERAL_FIRST = 32768, BACKLOG_MAX = 4096 };
struct fake_net *fake_net_current;

/* Test code may give up where a program may not. */
void fake_net_misuse(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("fake ring: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

void *fake_net_memory(struct fake_net *net, void *old, size_t size)
{
    bool runs = net->runs;
    net->runs = false;
    void *memory = realloc(old, size);
    net->runs = runs;
    if (!memory)
        fake_net_misuse("no memory");
    return memory;
}

bool fake_net_chance(struct fake_net *net, unsigned percent)
{
    return percent > 0 && rng_below(&net->rng, 100) < percent;
}

void fake_net_note(struct fake_net *net, uint64_t what) /* FNV-1a */
{
    for (int i = 0; i < 64; i += 8)
        net->trace = (net->trace ^ ((what >> i) & 0xff)) * 1099511628211u;
}

/* ---- waking ---------------------------------------------------------------------- */
static void delay_over(struct timer *t)
{
    fake_ring_ready(container_of(t, struct fake_way, delay));
}

void fake_way_wake(struct fake_socket *s, int way)
{
    struct fake_way *w = &s->ways[way];
    struct fake_net *net = s->net;
    if (!w->op || w->ready >= 0 || timer_running(&w->delay))
        return;
    if (net->weather.delay_ms_max > 0 && fake_net_chance(net, net->weather.delay_percent))
        timer_start(&net->delays, &w->delay, 1 + rng_below(&net->rng, net->weather.delay_ms_max));
    else
        fake_ring_ready(w);
}

void fake_way_leave(struct fake_way *w)
{
    timer_stop(&w->socket->net->delays, &w->delay);
    fake_ring_unready(w);
    w->op = NULL;
}

static void wake_both(struct fake_socket *s)
{
    fake_way_wake(s, FAKE_READ);
    fake_way_wake(s, FAKE_WRITE);
}

/* ---- the table ------------------------------------------------------------------- */
struct fake_socket *fake_socket_of(int fd)
{
    struct fake_net *net = fake_net_current;
    size_t i = (size_t)fd - FAKE_FD_BASE;
    return net && fd >= FAKE_FD_BASE && i < net->sockets_size ? net->sockets[i] : NULL;
}

int fake_socket_new(struct fake_net *net, int family, struct fake_socket **ret)
{
    if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
        return -EAFNOSUPPORT;
    struct fake_socket *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->net = net;
    s->fd = -1;
    s->family = family;
    s->namespace_id = net->namespace_id;
    list_init(&s->backlog);
    list_init(&s->link);
    for (int i = 0; i < FAKE_WAYS; i++) {
        s->ways[i] = (struct fake_way){.socket = s, .ready = -1};
        timer_init(&s->ways[i].delay, delay_over);
    }
    *ret = s;
    return 0;
}

/* The lowest number that is free, as the kernel does: who uses one after its close hits a
 * stranger. */
int fake_socket_give_fd(struct fake_socket *s)
{
    struct fake_net *net = s->net;
    unsigned max = net->weather.sockets_max ? net->weather.sockets_max : FAKE_SOCKETS_MAX;
    if (net->n_sockets >= max)
        return -EMFILE;
    size_t i = 0;
    while (i < net->sockets_size && net->sockets[i])
        i++;
    if (i == net->sockets_size) {
        size_t size = i ? 2 * i : 64;
        struct fake_socket **grown =
            fake_net_memory(net, net->sockets, size * sizeof(struct fake_socket *));
        memset(grown + i, 0, (size - i) * sizeof *grown);
        net->sockets = grown;
        net->sockets_size = size;
    }
    net->sockets[i] = s;
    net->n_sockets++;
    s->fd = FAKE_FD_BASE + (int)i;
    return 0;
}

struct fake_socket *fake_socket_free(struct fake_socket *s)
{
    for (int i = 0; i < FAKE_WAYS; i++)
        if (s->ways[i].op)
            fake_net_misuse(
                "descriptor %d is closed while an operation (kind %d) is in flight on it", s->fd,
                s->ways[i].op->kind);
    for (struct list *n; (n = list_pop_front(&s->backlog));) {
        struct fake_socket *waiting = container_of(n, struct fake_socket, link);
        waiting->reset_on_close = true; /* nobody ever took it */
        fake_socket_free(waiting);
    }
    struct fake_net *net = s->net;
    struct fake_socket *other = s->other;
    if (s->state == FAKE_LISTENING) /* who waits for a place learns that there is none */
        for (size_t i = 0; i < net->sockets_size; i++)
            if (net->sockets[i] && net->sockets[i]->state == FAKE_CONNECTING)
                fake_way_wake(net->sockets[i], FAKE_WRITE);
    if (other) {
        other->other = NULL;
        if (s->reset_on_close || s->len > 0) { /* Linux: unread bytes make the close a reset */
            other->error = ECONNRESET;
            other->broken = true;
        } else {
            other->ended = true;
        }
        wake_both(other);
    }
    if (s->fd >= 0) {
        net->sockets[s->fd - FAKE_FD_BASE] = NULL;
        net->n_sockets--;
    }
    free(s->bytes);
    free(s);
    return NULL;
}

/* ---- bytes ----------------------------------------------------------------------- */
static size_t some(struct fake_net *net, size_t n)
{
    if (net->moving == FAKE_ONE_BYTE)
        return 1;
    if (net->moving == FAKE_HALF)
        return (n + 1) / 2;
    return n > 1 && fake_net_chance(net, net->weather.short_percent) ? 1 + rng_below(&net->rng, n)
                                                                     : n;
}

static void note_bytes(struct fake_net *net, const uint8_t *bytes, size_t n)
{
    uint64_t word = 0;
    for (; n >= sizeof word; bytes += sizeof word, n -= sizeof word) {
        memcpy(&word, bytes, sizeof word);
        net->trace = (net->trace ^ word) * 1099511628211u;
    }
    word = n;
    memcpy(&word, bytes, n);
    net->trace = (net->trace ^ word) * 1099511628211u;
}

size_t fake_socket_put(struct fake_socket *to, const void *data, size_t len)
{
    struct fake_net *net = to->net;
    if (!to->bytes) {
        to->size = net->weather.socket_bytes;
        to->bytes = fake_net_memory(net, NULL, to->size);
    }
    size_t room = to->size - to->len, n = len < room ? len : room;
    if (n == 0)
        return 0;
    n = some(net, n);
    size_t at = (to->start + to->len) % to->size, first = n < to->size - at ? n : to->size - at;
    memcpy(to->bytes + at, data, first);
    memcpy(to->bytes, (const uint8_t *)data + first, n - first);
    to->len += n;
    note_bytes(net, data, n);
    fake_way_wake(to, FAKE_READ);
    return n;
}

size_t fake_socket_take(struct fake_socket *s, void *data, size_t len)
{
    size_t n = len < s->len ? len : s->len;
    if (n == 0)
        return 0;
    n = some(s->net, n);
    size_t first = n < s->size - s->start ? n : s->size - s->start;
    memcpy(data, s->bytes + s->start, first);
    memcpy((uint8_t *)data + first, s->bytes, n - first);
    s->start = (s->start + n) % s->size;
    s->len -= n;
    if (s->other)
        fake_way_wake(s->other, FAKE_WRITE);
    return n;
}

void fake_socket_break(struct fake_socket *s)
{
    struct fake_socket *ends[2] = {s, s->other};
    for (int i = 0; i < 2 && ends[i]; i++) {
        struct fake_socket *e = ends[i];
        e->error = ECONNRESET;
        e->broken = true;
        e->other = NULL;
        if (e->len > 0) /* what was still on its way is lost; what had arrived can be read */
            e->len = rng_below(&s->net->rng, e->len + 1);
        wake_both(e);
    }
}

void fake_socket_finish(struct fake_socket *s)
{
    s->send_shut = true;
    if (s->other) {
        s->other->ended = true;
        fake_way_wake(s->other, FAKE_READ);
    }
    fake_way_wake(s, FAKE_WRITE);
}

/* The peer has closed: the first bytes go out all the same, and a reset comes back. */
void fake_socket_lose(struct fake_socket *s)
{
    s->error = ECONNRESET;
    s->broken = true;
    fake_way_wake(s, FAKE_READ);
}

int fake_socket_send_error(struct fake_socket *s)
{
    if (s->error) {
        int r = -s->error;
        s->error = 0;
        return r;
    }
    return s->state != FAKE_CONNECTED || s->send_shut || s->broken ? -EPIPE : 0;
}

/* ---- who answers ------------------------------------------------------------------ */
static bool listens(const struct fake_socket *l, const struct ip *ip, uint16_t port, bool any)
{
    if (!l || l->state != FAKE_LISTENING || l->path[0] != '\0' || l->local.port != port)
        return false;
    return any ? l->local.ip.len == 0 || ip_is_any(&l->local.ip) : ip_equal(&l->local.ip, ip);
}

enum { EVERYWHERE = -1 };
static struct fake_socket *find_listener(struct fake_net *net, int64_t namespace_id,
                                         const struct addr *to)
{
    for (int any = 0; any < 2; any++)
        for (size_t i = 0; i < net->sockets_size; i++)
            if (listens(net->sockets[i], &to->ip, to->port, any) &&
                (namespace_id == EVERYWHERE || namespace_id == net->sockets[i]->namespace_id))
                return net->sockets[i];
    return NULL;
}

struct fake_socket *fake_socket_listener_at(struct fake_net *net, uint32_t namespace_id,
                                            const struct addr *at, const char *path)
{
    for (size_t i = 0; i < net->sockets_size; i++) {
        struct fake_socket *l = net->sockets[i];
        if (!l || l->state != FAKE_LISTENING)
            continue;
        if (path ? strcmp(path, l->path) == 0
                 : l->path[0] == '\0' && l->namespace_id == namespace_id &&
                       addr_equal(&l->local, at))
            return l;
    }
    return NULL;
}

static int64_t namespace_of(const struct fake_net *net, const struct fake_socket *s,
                            const struct ip *ip)
{
    if (ip_is_loopback(ip))
        return s->namespace_id;
    for (size_t i = 0; i < net->n_addresses; i++)
        if (ip_equal(&net->addresses[i].ip, ip))
            return net->addresses[i].namespace_id;
    return EVERYWHERE;
}

static struct ip source_for(const struct fake_net *net, const struct fake_socket *s,
                            const struct ip *to)
{
    if (s->local.ip.len != 0 && !ip_is_any(&s->local.ip))
        return s->local.ip; /* bound */
    for (size_t i = 0; i < net->n_addresses && !ip_is_loopback(to); i++)
        if (net->addresses[i].namespace_id == s->namespace_id &&
            net->addresses[i].ip.len == to->len)
            return net->addresses[i].ip;
    return *to; /* to itself, or on a net that nobody has described */
}

static uint16_t ephemeral_port(struct fake_net *net)
{
    if (net->next_port < EPHEMERAL_FIRST)
        net->next_port = EPHEMERAL_FIRST;
    return net->next_port++;
}

static int join(struct fake_socket *s, struct fake_socket *listener, const struct addr *to,
                const struct fake_route *route)
{
    struct fake_net *net = s->net;
    if (listener->n_backlog >= listener->backlog_max)
        return -EAGAIN;
    struct fake_socket *server;
    int r = fake_socket_new(net, listener->family, &server);
    if (r < 0)
        return r;
    if (s->family != AF_UNIX) {
        s->local.ip = source_for(net, s, &to->ip);
        if (s->local.port == 0)
            s->local.port = ephemeral_port(net);
        s->peer = *to;
        server->peer = route->source.ip.len ? route->source : s->local;
        server->local = *to;
        if (route->original.ip.len) { /* as REDIRECT does: to the listener's port on this host */
            server->original = route->original;
            server->local.port = listener->local.port;
        }
    }
    server->namespace_id = listener->namespace_id;
    server->state = s->state = FAKE_CONNECTED;
    server->other = s;
    s->other = server;
    list_push_back(&listener->backlog, &server->link);
    listener->n_backlog++;
    fake_way_wake(listener, FAKE_READ);
    return 0;
}

int fake_socket_try_connect(struct fake_socket *s, const struct sockaddr *to)
{
    struct fake_net *net = s->net;
    struct fake_route route = {.listener = -1};
    if (s->state != FAKE_NEW && s->state != FAKE_CONNECTING)
        return -EISCONN;
    s->state = FAKE_CONNECTING;
    if (to->sa_family != s->family)
        return -EAFNOSUPPORT;
    if (s->family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)to;
        struct fake_socket *l = fake_socket_listener_at(net, 0, NULL, un->sun_path);
        return l ? join(s, l, NULL, &route) : -ECONNREFUSED;
    }
    struct addr at;
    addr_from_sockaddr(to, &at);
    struct fake_socket *l;
    if (net->route && net->route(net, s->fd, &at, &route, net->route_arg)) {
        if (route.lost)
            return -EAGAIN;
        if (route.error < 0)
            return route.error;
        l = fake_socket_of(route.listener);
        if (l && l->state != FAKE_LISTENING)
            fake_net_misuse("the route leads to descriptor %d, which does not listen",
                            route.listener);
    } else {
        l = find_listener(net, namespace_of(net, s, &at.ip), &at);
    }
    return l ? join(s, l, &at, &route) : -ECONNREFUSED;
}

struct fake_socket *fake_socket_pop_backlog(struct fake_socket *listener)
{
    struct fake_net *net = listener->net;
    struct list *n = list_pop_front(&listener->backlog);
    if (!n)
        return NULL;
    /* Somebody may have waited for the place: the kernel would hear the repeated SYN. */
    if (listener->n_backlog-- == listener->backlog_max)
        for (size_t i = 0; i < net->sockets_size; i++)
            if (net->sockets[i] && net->sockets[i]->state == FAKE_CONNECTING)
                fake_way_wake(net->sockets[i], FAKE_WRITE);
    return container_of(n, struct fake_socket, link);
}

int fake_net_add_address(struct fake_net *net, uint32_t namespace_id, const struct ip *ip)
{
    if (net->n_addresses == FAKE_ADDRESSES_MAX)
        return -ENOSPC;
    net->addresses[net->n_addresses].namespace_id = namespace_id;
    net->addresses[net->n_addresses++].ip = *ip;
    return 0;
}

uint32_t fake_net_enter_namespace(struct fake_net *net, uint32_t namespace_id)
{
    uint32_t before = net->namespace_id;
    net->namespace_id = namespace_id;
    return before;
}

void fake_net_set_route(struct fake_net *net, fake_route_fn *route, void *arg)
{
    net->route = route;
    net->route_arg = arg;
}

/* ---- what a test does to single sockets --------------------------------------------- */
static struct fake_socket *must_be(int fd)
{
    struct fake_socket *s = fake_socket_of(fd);
    if (!s)
        fake_net_misuse("%d is no open descriptor", fd);
    return s;
}

int fake_socket_pair(struct fake_net *net, int ret_fds[2])
{
    struct fake_socket *s[2] = {NULL, NULL};
    int r = 0;
    for (int i = 0; i < 2 && r == 0; i++) {
        r = fake_socket_new(net, AF_UNIX, &s[i]);
        if (r == 0)
            r = fake_socket_give_fd(s[i]);
    }
    if (r < 0) {
        for (int i = 0; i < 2; i++)
            if (s[i])
                fake_socket_free(s[i]);
        return r;
    }
    for (int i = 0; i < 2; i++) {
        s[i]->other = s[!i];
        s[i]->state = FAKE_CONNECTED;
        ret_fds[i] = s[i]->fd;
    }
    return 0;
}
void fake_socket_set_namespace(int fd, uint32_t namespace_id)
{
    must_be(fd)->namespace_id = namespace_id;
}
uint32_t fake_socket_namespace(int fd)
{
    return must_be(fd)->namespace_id;
}
void fake_socket_set_peer(int fd, const struct addr *peer)
{
    must_be(fd)->peer = *peer;
}
void fake_socket_set_original_dst(int fd, const struct addr *original)
{
    must_be(fd)->original = *original;
}
uint32_t fake_socket_mark(int fd)
{
    return must_be(fd)->mark;
}
void fake_socket_reset(int fd)
{
    fake_socket_break(must_be(fd));
}

ssize_t fake_socket_write(int fd, const void *data, size_t len)
{
    struct fake_socket *s = must_be(fd);
    int r = fake_socket_send_error(s);
    if (r < 0)
        return r;
    if (!s->other) {
        fake_socket_lose(s);
        return (ssize_t)len;
    }
    size_t n = fake_socket_put(s->other, data, len);
    return n > 0 ? (ssize_t)n : -EAGAIN;
}

ssize_t fake_socket_read(int fd, void *data, size_t len)
{
    struct fake_socket *s = must_be(fd);
    size_t n = fake_socket_take(s, data, len);
    if (n > 0)
        return (ssize_t)n;
    if (s->error) {
        int r = -s->error;
        s->error = 0;
        return r;
    }
    return s->ended || s->broken ? 0 : -EAGAIN;
}

int fake_socket_connect(int fd, const struct addr *to)
{
    struct sockaddr_storage sa;
    addr_to_sockaddr(to, &sa);
    return fake_socket_try_connect(must_be(fd), (struct sockaddr *)&sa);
}

int fake_socket_accept(int listener, int *ret_fd)
{
    struct fake_socket *s = fake_socket_pop_backlog(must_be(listener));
    if (!s)
        return -EAGAIN;
    int r = fake_socket_give_fd(s);
    if (r < 0) {
        fake_socket_free(s);
        return r;
    }
    *ret_fd = s->fd;
    return 0;
}
