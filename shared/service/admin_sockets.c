/* Where the endpoints are listened for; see the header. */
#include "shared/service/admin_inside.h"

#include "shared/ring/socket.h"
#include "shared/tls/tls_config.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 64 /* per socket */, BACKLOG = 64 };

/* Remembers which file is ours. */
static void socket_know_file(struct admin_socket *s, const char *path)
{
    struct stat file;

    if (path && stat(path, &file) == 0) {
        s->device = file.st_dev;
        s->inode = file.st_ino;
    }
}

/* Takes the path, and the descriptor unless it fails. */
static int socket_add(struct admin *a, int taken_fd, char *taken_path, uint64_t mask, bool secure)
{
    struct admin_socket *s = calloc(1, sizeof *s);

    if (!s) {
        free(taken_path);
        return -ENOMEM;
    }
    *s = (struct admin_socket){.admin = a, .mask = mask, .path = taken_path, .secure = secure};
    socket_know_file(s, taken_path);
    list_push_back(&a->sockets, &s->link);
    a->n_sockets++;
    a->n_listening++;
    listener_open(&s->listener, a->ring, taken_fd, CONNECTIONS_MAX, admin_accepted, admin_socket_drained,
                  s);
    return 0;
}

static int listen_tcp(struct admin *a, const struct addr *at, uint64_t mask, bool secure)
{
    int fd;

    if (a->n_sockets >= ADMIN_SOCKETS_MAX)
        return -ENOSPC;
    int r = socket_listen(at, BACKLOG, false, &fd);
    if (r < 0)
        return r;
    r = socket_add(a, fd, NULL, mask, secure);
    if (r < 0)
        socket_close(fd);
    return r;
}

int admin_listen_tcp(struct admin *a, const struct addr *at, uint64_t mask)
{
    return listen_tcp(a, at, mask, false);
}

int admin_listen_tls(struct admin *a, const struct addr *at, uint64_t mask)
{
    return listen_tcp(a, at, mask, true);
}

void admin_set_tls(struct admin *a, struct tls_config *server)
{
    tls_config_ref(server);
    tls_config_unref(a->tls);
    a->tls = server;
}

int admin_listen_fd(struct admin *a, int taken_fd, uint64_t mask)
{
    return a->n_sockets >= ADMIN_SOCKETS_MAX ? -ENOSPC : socket_add(a, taken_fd, NULL, mask, false);
}

void admin_remove_file(const struct admin_socket *s)
{
    struct stat file;

    if (s->path && stat(s->path, &file) == 0 && file.st_dev == s->device && file.st_ino == s->inode)
        (void)unlink(s->path);
}

int admin_listen_unix(struct admin *a, const char *path, unsigned mode, uint64_t mask)
{
    int fd;

    if (a->n_sockets >= ADMIN_SOCKETS_MAX)
        return -ENOSPC;
    char *copy = text_dup(text_of(path));
    if (!copy)
        return -ENOMEM;
    int r = socket_listen_unix(path, mode, &fd);
    if (r < 0) {
        free(copy);
        return r;
    }
    r = socket_add(a, fd, copy, mask, false);
    if (r < 0) {
        socket_close(fd);
        (void)unlink(path);
    }
    return r;
}

int admin_listen_beside(struct admin *a, const char *path, unsigned mode, uint64_t mask)
{
    char *beside = NULL;
    if (asprintf(&beside, "%s.new", path) < 0)
        return -ENOMEM;
    (void)unlink(beside); /* of a process that did not get as far as publishing it */
    int r = admin_listen_unix(a, beside, mode, mask);
    free(beside);
    if (r < 0)
        return r;
    struct admin_socket *s = container_of(a->sockets.prev, struct admin_socket, link);
    s->beside = true;
    return 0;
}

int admin_publish(struct admin *a)
{
    int r = 0;

    list_for_each (n, &a->sockets) {
        struct admin_socket *s = container_of(n, struct admin_socket, link);
        size_t len = s->beside ? strlen(s->path) - strlen(".new") : 0;
        char *path = s->beside ? text_dup((struct text){s->path, len}) : NULL;
        if (!s->beside)
            continue;
        if (!path || rename(s->path, path) < 0) {
            r = path ? -errno : -ENOMEM;
            free(path);
            continue;
        }
        free(s->path);
        s->path = path;
        s->beside = false;
    }
    return r;
}

int admin_tcp_socket(const struct admin *a, size_t i, struct addr *ret, int *ret_fd)
{
    list_for_each (n, &a->sockets) {
        const struct admin_socket *s = container_of(n, struct admin_socket, link);
        if (s->path || i-- > 0)
            continue;
        *ret_fd = s->listener.fd;
        return socket_local(*ret_fd, ret);
    }
    return -ENOENT;
}

int admin_local(const struct admin *a, size_t i, struct addr *ret)
{
    list_for_each (n, &a->sockets)
        if (i-- == 0)
            return socket_local(container_of(n, struct admin_socket, link)->listener.fd, ret);
    return -ENOENT;
}

/* ---- the whole --------------------------------------------------------------------------------- */
