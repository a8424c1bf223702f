/*
 * The pods that are enrolled on this node: added and removed by the CNI plugin (through the local HTTP endpoints below) or because
 * their namespace vanished. Written down (one small file a pod in the state folder) so that a restarted node proxy
 * captures them again before it is ready. Control thread. Bounded by pods_max (0: 512).
 */
#ifndef NODEPROXY_CAPTURE_PODS_H
#define NODEPROXY_CAPTURE_PODS_H
#include "nodeproxy/capture/privileged.h"
#include "shared/base/list.h"
#include "shared/ring/ring.h"
#include "shared/service/admin.h"

enum { POD_ADDRESSES_MAX = 8 };
struct pod {
    struct list link;
    char *name, *ns, *container_id, *netns_path;
    char *uid;                /* workload uid: CLUSTER//Pod/namespace/name */
    struct ip addresses[POD_ADDRESSES_MAX];
    size_t n_addresses;
    int netns_fd;
    struct pod_listeners listeners; /* valid while captured */
    bool captured;
    void *user;               /* of the events' owner */
};
enum pod_enrolment { POD_ENROLLED, POD_NOT_ENROLLED, POD_UNKNOWN_YET };
struct pods;
struct pods_events {
    /* Is the pod with this workload uid part of the mesh? UNKNOWN_YET: asked again at pods_directory_changed() until
     * the CNI wait is over (then ADD fails with a clear error; the runtime retries). */
    enum pod_enrolment (*enrolment)(struct pods *p, const char *uid, void *arg);
    void (*added)(struct pods *p, struct pod *pod, void *arg);   /* listeners exist */
    void (*removed)(struct pods *p, struct pod *pod, void *arg); /* the owner lets go of everything, then calls pods_released() */
};
struct pods_options {
    const char *state_dir;    /* /run/weir/pods */
    const char *cluster_id;
    uint64_t cni_wait_ms;     /* 0: 10000 */
    size_t pods_max;
};
int pods_open(struct pods **ret, struct ring *ring, struct privileged *privileged, const struct pods_options *o, const struct pods_events *events, void *arg);
int pods_restore(struct pods *p);              /* captures what the state folder lists; those that are gone are dropped */
void pods_released(struct pods *p, struct pod *taken_pod); /* closes what is left (listeners, namespace), frees */
void pods_directory_changed(struct pods *p);   /* ADDs that wait are looked at again */
struct list *pods_all(struct pods *p);
struct privileged *pods_privileged(struct pods *p);
void pods_close(struct pods *p);               /* rules stay: fail closed. Memory and descriptors go */
/* admin routes POST /cni/add, /cni/del, /cni/check: JSON {"containerId","netns","podName","podNamespace","ips":[..]};
 * 200 {} or {"error": "..."} with 400, 404, 409, 503. */
extern admin_handler pods_handle_add, pods_handle_del, pods_handle_check; /* arg: struct pods * */
#endif
