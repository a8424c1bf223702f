/*
 * Connections that a pod had before it was captured: they go on as they were, past tracking and
 * redirection, until they end; everything else that the pod sends without a first packet of ours is
 * still stopped. Table `weir_spared`, in the namespace that the calling thread is in, of exactly
 * their addresses and ports; `weir_hold` while they are being found. Bounded: SPARED_MAX, what is
 * more is reset by the rules.
 */
#ifndef NODEPROXY_WARDEN_SPARED_H
#define NODEPROXY_WARDEN_SPARED_H
#include "shared/base/why.h"
#include <stdbool.h>

enum { SPARED_MAX = 16384 };

/* Before the rules come: finds and spares them. No connection begins until spared_go(): a first
 * packet is lost meanwhile, and sent again a second later. */
int spared_find(bool ipv6, char why[static WHY_MAX]);
void spared_go(bool ipv6);
void spared_remove(bool ipv6); /* when tracking and redirection end; fine if there are none */
#endif
