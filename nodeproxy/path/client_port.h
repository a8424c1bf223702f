/*
 * Which port of a client's address the application is connected to from: the client's own, so that the application sees the
 * connection that it would see without a mesh, or one at random where it isn't known. Nothing is searched, however many ports are
 * taken: a search over the kernel's whole range costs more than the connection, and finds none once all of them are in TIME_WAIT.
 * Embedded in who connects; one worker; decision 27.
 */
#ifndef NODEPROXY_PATH_CLIENT_PORT_H
#define NODEPROXY_PATH_CLIENT_PORT_H
#include "shared/base/addr.h"
#include "shared/base/rng.h"

struct client_port {
    uint16_t own; /* the client's; 0: not known */
    uint8_t tries;
};
/* Before fd connects: -errno, and it must not. */
int client_port_bind(struct client_port *p, int fd, const struct ip *client, struct rng *rng);
/* It found its port taken (-EADDRNOTAVAIL). True: another way is prepared, connect again. Twice at most. */
bool client_port_again(struct client_port *p, int fd, const struct ip *client, struct rng *rng);
#endif
