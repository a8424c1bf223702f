/*
 * Sidecar (networking.istio.io) as it is written: what of the mesh workloads see, and whether all else passes. One
 * that can't be read as a whole is refused, and its last good state stays; without one what can be read of it holds
 * back (sidecar_read_closed()): that is what it is there for. What is
 * left out of account without harm is noted.
 */
#ifndef CONTROLLER_MODEL_SIDECAR_H
#define CONTROLLER_MODEL_SIDECAR_H
#include "controller/model/gateway_route.h"

enum { SIDECAR_LISTENERS_MAX = 64 };
struct sidecar {
    struct gateway_flaw note;
    struct labels selector; /* of workloads of its namespace; n 0: all that no other one selects */
    struct values hosts;    /* as shared/mesh/egress.h has them; none: all */
    bool mode_said, registry_only; /* else the mesh's mode counts */
};
#endif
