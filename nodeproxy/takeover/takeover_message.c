#include "nodeproxy/takeover/takeover_message.h"

#include "shared/json/json_out.h"
#include "shared/ring/packet.h"
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { NODES_MAX = 64, DEPTH_MAX = 8 };

static const char *const kind_names[TAKEOVER_KINDS + 1] = {
    "hello", "ask", "next", "socket", "pod", "all", "taken", "yours", "refuse", "ending", NULL};

const char *takeover_kind_name(enum takeover_kind kind)
{
    return kind < TAKEOVER_KINDS ? kind_names[kind] : "?";
}

/* ---- text -------------------------------------------------------------------------------------- */

int takeover_encode(const struct takeover_message *m, struct text_heap *out)
{
    char address[ADDR_TEXT_MAX];
    struct json_out o;
    text_heap_init(out, TAKEOVER_BYTES_MAX);
    if (m->kind == TAKEOVER_POD) {
        text_heap_puts(out, "{\"message\":\"pod\",\"pod\":");
        text_heap_put(out, m->description);
        text_heap_puts(out, "}");
        return out->failed ? -E2BIG : 0;
    }
    json_out_init(&o, out, false);
    json_out_object(&o, NULL);
    json_out_string(&o, "message", takeover_kind_name(m->kind));
    if (m->kind == TAKEOVER_HELLO) {
        json_out_u64(&o, "protocol", TAKEOVER_PROTOCOL);
        json_out_string(&o, "version", m->words);
    } else if (m->kind == TAKEOVER_REFUSE) {
        json_out_string(&o, "why", m->words);
    } else if (m->kind == TAKEOVER_SOCKET) {
        json_out_string(&o, "address", addr_print(&m->address, address));
    } else if (m->kind == TAKEOVER_ALL) {
        json_out_u64(&o, "pods", m->pods);
    }
    json_out_end(&o);
    return out->failed ? -ENOMEM : 0;
}

static void read_words(const struct json *root, const char *name, struct takeover_message *m,
                       struct json_error *e)
{
    struct text t = {0};
    json_read_text(root, name, &t, e);
    snprintf(m->words, sizeof m->words, "%.*s", (int)(t.len < sizeof m->words ? t.len : 255),
             t.data ? t.data : "");
}

static bool fds_fit(enum takeover_kind kind, size_t n)
{
    if (kind == TAKEOVER_POD)
        return n == 0 || n == TAKEOVER_FDS_MAX;
    return n == (kind == TAKEOVER_SOCKET || kind == TAKEOVER_YOURS);
}

static void read_fields(struct takeover_message *m, struct json_error *e)
{
    int64_t number = 0;
    struct text t = {0};
    switch (m->kind) {
    case TAKEOVER_HELLO:
        json_read_i64(m->root, "protocol", 0, INT32_MAX, &number, e);
        if (!json_failed(e) && number != TAKEOVER_PROTOCOL)
            json_fail(e, json_get(m->root, "protocol"), "%lld is not ours, which is %d",
                      (long long)number, TAKEOVER_PROTOCOL);
        read_words(m->root, "version", m, e);
        break;
    case TAKEOVER_REFUSE:
        read_words(m->root, "why", m, e);
        break;
    case TAKEOVER_SOCKET:
        json_read_text(m->root, "address", &t, e);
        if (!json_failed(e) && addr_parse(t, &m->address) < 0)
            json_fail(e, json_get(m->root, "address"), "must be ADDRESS:PORT");
        break;
    case TAKEOVER_POD:
        json_read_node(m->root, "pod", JSON_OBJECT, &m->pod, e);
        break;
    case TAKEOVER_ALL:
        json_read_i64(m->root, "pods", 0, INT32_MAX, &number, e);
        m->pods = (uint64_t)number;
        break;
    default:
        break;
    }
}

int takeover_decode(struct text bytes, size_t n_fds, struct takeover_message *ret,
                    char why[static TAKEOVER_WORDS_MAX])
{
    static const struct json_limits limits = {TAKEOVER_BYTES_MAX, NODES_MAX, DEPTH_MAX};
    struct takeover_message m = {.fds = {-1, -1, -1, -1, -1, -1}};
    struct json_error error = {0};
    unsigned kind = 0;
    int r = json_parse(bytes, &limits, &m.root, &error);
    if (r == 0 && json_read_choice(m.root, "message", kind_names, &kind, &error) == 0) {
        m.kind = (enum takeover_kind)kind;
        read_fields(&m, &error);
        if (!json_failed(&error) && !fds_fit(m.kind, n_fds))
            json_fail(&error, m.root, "%zu descriptors do not belong to %s", n_fds,
                      takeover_kind_name(m.kind));
    }
    if (json_failed(&error)) {
        snprintf(why, TAKEOVER_WORDS_MAX, "%s", error.text);
        json_free(m.root);
        return r == -ENOMEM ? r : -EINVAL;
    }
    *ret = m;
    return 0;
}

static void close_all(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
}

void takeover_message_done(struct takeover_message *m)
{
    close_all(m->fds, m->n_fds);
    m->n_fds = 0;
    m->pod = NULL;
    m->root = json_free(m->root);
}

/* ---- packets ------------------------------------------------------------------------------------ */

int takeover_send(int socket, const struct takeover_message *m)
{
    struct text_heap bytes;
    int r = takeover_encode(m, &bytes);
    if (r == 0) {
        struct packet p = {
            .bytes = (unsigned char *)bytes.data, .len = bytes.len, .n_fds = m->n_fds};
        memcpy(p.fds, m->fds, m->n_fds * sizeof *m->fds);
        r = packet_send(socket, &p, false);
    }
    text_heap_done(&bytes);
    return r;
}

int takeover_send_words(int socket, enum takeover_kind kind, const char *words)
{
    struct takeover_message m = {.kind = kind};
    snprintf(m.words, sizeof m.words, "%s", words);
    return takeover_send(socket, &m);
}

int takeover_receive(int socket, struct takeover_message *ret, char why[static TAKEOVER_WORDS_MAX])
{
    unsigned char bytes[TAKEOVER_BYTES_MAX];
    struct packet p = {.bytes = bytes, .size = sizeof bytes};
    int r = packet_receive(socket, &p, false);
    if (r == -EMSGSIZE || r == -EMFILE || p.n_fds > TAKEOVER_FDS_MAX) {
        snprintf(why, TAKEOVER_WORDS_MAX, "a packet is too large, or has too many descriptors");
        r = -EINVAL;
    }
    if (r == 0)
        r = takeover_decode((struct text){(char *)bytes, p.len}, p.n_fds, ret, why);
    if (r < 0) {
        packet_close_fds(&p);
        return r == -EPIPE ? -ECONNRESET : r;
    }
    memcpy(ret->fds, p.fds, p.n_fds * sizeof *p.fds);
    ret->n_fds = p.n_fds;
    return 0;
}

/* ---- sockets ------------------------------------------------------------------------------------ */

static int open_at(const char *path, struct sockaddr_un *sa, int *ret_fd)
{
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof sa->sun_path)
        return -ENAMETOOLONG;
    memcpy(sa->sun_path, path, strlen(path) + 1);
    *ret_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return *ret_fd < 0 ? -errno : 0;
}

/* Bound beside and renamed: whoever connects finds the old one or the new one, never none. */
int takeover_socket_listen(const char *path, int *ret_fd)
{
    char beside[sizeof((struct sockaddr_un *)0)->sun_path];
    struct sockaddr_un sa;
    int fd;
    int n = snprintf(beside, sizeof beside, "%s.new", path);
    int r = n < 0 || (size_t)n >= sizeof beside ? -ENAMETOOLONG : open_at(beside, &sa, &fd);
    if (r < 0)
        return r;
    (void)unlink(beside);
    if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 ||
        chmod(beside, 0600) < 0 || listen(fd, 4) < 0 || rename(beside, path) < 0) {
        r = -errno;
        close(fd);
        (void)unlink(beside);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int takeover_socket_connect(const char *path, int *ret_fd)
{
    struct sockaddr_un sa;
    int fd, r = open_at(path, &sa, &fd);
    if (r < 0)
        return r;
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0) {
        r = -errno;
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int takeover_socket_check(int socket)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return -errno;
    return peer.uid == geteuid() ? 0 : -EPERM;
}
