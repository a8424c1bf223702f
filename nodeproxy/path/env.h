/*
 * What the stories of one worker stand on: filled by the worker (or by a simulation), passed to every story. The stories never
 * see the worker itself. One worker thread.
 */
#ifndef NODEPROXY_PATH_ENV_H
#define NODEPROXY_PATH_ENV_H
#include "nodeproxy/bounds/bounds.h"
#include "nodeproxy/bounds/turns.h"
#include "nodeproxy/config.h"
#include "nodeproxy/path/tap.h"
#include "shared/base/map.h"
#include "shared/mesh/directory.h"
#include "shared/mesh/ending.h"
#include "shared/mesh/trust.h"
#include "shared/ring/ring.h"
#include "shared/service/metrics.h"

struct living_pace {      /* living.h */
    struct timer timer;    /* runs while all that may end now has ended */
    uint64_t at_ms;        /* when `left` was counted last */
    size_t left, per_ms;   /* endings: that may come now, and that are added in each millisecond */
};
struct path_env {
    struct ring *ring;
    const struct config *config;
    const struct directory *directory;
    struct trust *trust;       /* what is revoked; NULL: nothing is known to be. A reference */
    struct metrics *metrics;
    struct bounds *bounds;     /* of the node; NULL: none */
    const struct tracer *tracer; /* of the node; NULL: none */
    struct map pods;           /* workload uid -> struct local_pod, this worker's view */
    struct list all_pods;
    uint64_t directory_version, policy_version; /* against which living connections were last checked */
    struct ring_task recheck_task; /* runs living_look(), a slice a turn; the owner's */
    struct list recheck;       /* pods with connections still to be looked at */
    struct living_pace pace;   /* of what ends by that */
    uint64_t turn, looked_turn; /* of the loop: now, and when living connections were last looked at */
    struct turns turns;        /* begun by the first pod */
    bool draining;
    uint64_t next_id;          /* of a connection, for logs and dumps */
    uint64_t endings[ENDING_COUNT];
    unsigned health_probes, health_asked; /* of all pods: endpoints that are checked; questions on their way */
    struct taps taps;                     /* who reads requests as they end */
    uint64_t mirrors_sent, mirrors_left_out; /* of pods that have gone */
};
#endif
