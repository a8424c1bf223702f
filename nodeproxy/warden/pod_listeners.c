#include "nodeproxy/warden/pod_listeners.h"

#include "shared/ring/datagram.h"
#include "shared/ring/socket.h"
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

static const struct {
    uint16_t port;
    int type;
} wanted[POD_LISTENERS] = {{PORT_OUTBOUND, SOCK_STREAM},
                           {PORT_INBOUND, SOCK_STREAM},
                           {PORT_HBONE, SOCK_STREAM},
                           {PORT_DNS, SOCK_STREAM},
                           {PORT_DNS, SOCK_DGRAM}};

void pod_listeners_close(struct pod_listeners *l)
{
    for (size_t i = 0; i < POD_LISTENERS; i++)
        socket_close(l->fds[i]);
    *l = POD_LISTENERS_NONE;
}

int pod_listeners_open(struct pod_listeners *ret, char why[static WHY_MAX])
{
    struct pod_listeners l = POD_LISTENERS_NONE;
    for (size_t i = 0; i < POD_LISTENERS; i++) {
        struct addr at = {.port = wanted[i].port};
        int r = wanted[i].type == SOCK_STREAM
                    ? socket_listen(&at, BACKLOG, false, &l.fds[i])
                    : datagram_bind_transparent(at.port, MARK_PROXY, &l.fds[i]);
        if (r < 0) {
            pod_listeners_close(&l);
            return why_say(r, why, "cannot listen on port %u in the pod: %s", at.port,
                           r == -EADDRINUSE ? "the application, or another node proxy, has it"
                                            : strerror(-r));
        }
    }
    *ret = l;
    return 0;
}

static bool listens(const struct netns_id *netns, int fd, uint16_t port, int type)
{
    struct addr at;
    struct netns_id id;
    int is = 0, listening = 0;
    socklen_t len = sizeof is;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &is, &len) < 0 || is != type ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 ||
        listening != (type == SOCK_STREAM) || socket_local(fd, &at) < 0 || at.port != port)
        return false;
    int born_in = ioctl(fd, SIOCGSKNS);
    if (born_in < 0)
        return false;
    bool same = netns_id(born_in, &id) == 0 && netns_same(&id, netns);
    close(born_in);
    return same;
}

bool pod_listeners_are_of(const struct netns_id *netns, const struct pod_listeners *l)
{
    for (size_t i = 0; i < POD_LISTENERS; i++)
        if (!listens(netns, l->fds[i], wanted[i].port, wanted[i].type))
            return false;
    return true;
}
