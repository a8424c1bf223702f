#include "nodeproxy/warden/pod_listeners.h"

#include "shared/ring/socket.h"
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

static const uint16_t ports[POD_LISTENERS] = {PORT_OUTBOUND, PORT_INBOUND, PORT_HBONE};

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
        struct addr at = {.port = ports[i]};
        int r = socket_listen(&at, BACKLOG, false, &l.fds[i]);
        if (r < 0) {
            pod_listeners_close(&l);
            return why_say(r, why, "cannot listen on port %u in the pod: %s", ports[i],
                           r == -EADDRINUSE ? "the application, or another node proxy, has it"
                                            : strerror(-r));
        }
    }
    *ret = l;
    return 0;
}

static bool listens(const struct netns_id *netns, int fd, uint16_t port)
{
    struct addr at;
    struct netns_id id;
    int listening = 0;
    socklen_t len = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 || !listening ||
        socket_local(fd, &at) < 0 || at.port != port)
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
        if (!listens(netns, l->fds[i], ports[i]))
            return false;
    return true;
}
