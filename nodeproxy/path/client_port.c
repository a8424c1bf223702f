/* The port that an application sees; see the header. */
#include "nodeproxy/path/client_port.h"

#include "shared/ring/socket.h"

/* Linux's range for ports that nobody asked for, unless it is set otherwise. Our connections stay in it: outside of it
 * applications listen, and some would find their port taken. */
enum { FIRST = 32768, COUNT = 61000 - FIRST, WINDOW = 64, BINDS_MAX = 4 };

static uint16_t any_port(struct rng *rng, unsigned below) { return (uint16_t)(FIRST + rng_below(rng, below)); }

static uint16_t wanted(const struct client_port *p, struct rng *rng)
{
    if (p->own == 0)
        return any_port(rng, COUNT);
    return p->own >= FIRST && p->own < FIRST + COUNT ? p->own : (uint16_t)(FIRST + p->own % COUNT);
}

/* The port is the kernel's to take, out of a range of one. Bound explicitly it would be nobody else's in the pod, for a minute
 * after its end: a client that calls often would leave none for what the pod itself opens. */
int client_port_bind(struct client_port *p, int fd, const struct ip *client, struct rng *rng)
{
    int r = socket_bind_transparent(fd, client);
    if (r < 0)
        return r;
    uint16_t port = wanted(p, rng);
    (void)socket_limit_ports(fd, port, port); /* a kernel that can't is to choose by itself */
    return 0;
}

/* First some others, in case it is one connection that is in the way. Then any port, one in TIME_WAIT too: after so many that
 * were taken all of them are, and an explicit port is what may be used again at once (tcp_twsk_unique). */
bool client_port_again(struct client_port *p, int fd, const struct ip *client, struct rng *rng)
{
    uint16_t first = any_port(rng, COUNT - WINDOW);
    if (p->tries++ == 0 && socket_limit_ports(fd, first, first + WINDOW - 1) == 0)
        return true;
    for (unsigned i = 0; p->tries <= 2 && i < BINDS_MAX; i++) {
        const struct addr at = {*client, any_port(rng, COUNT)};
        if (socket_bind_port(fd, &at) == 0) {
            p->tries = 2;
            return true;
        }
    }
    return false;
}
