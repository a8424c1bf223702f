#include "nodeproxy/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int open_at(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof sa.sun_path)
        return -EINVAL;
    memcpy(sa.sun_path, path, len);
    if (path[0] == '@') /* an abstract one: its name begins with a NUL, and has none at its end */
        sa.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '/'));
    if (connect(fd, (struct sockaddr *)&sa, size) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

int notify_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path || !path[0])
        return -ENODATA;
    int r = open_at(path);
    (void)unsetenv("NOTIFY_SOCKET");
    return r;
}

int notify_ready(int fd)
{
    static const char text[] = "READY=1";
    return send(fd, text, sizeof text - 1, MSG_NOSIGNAL) < 0 ? -errno : 0;
}
