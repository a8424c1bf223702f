/*
 * The pods of this node that the CNI plugin told about, and those of them that are captured: added
 * and removed by the plugin (through the local HTTP endpoints below), or because their namespace
 * vanished. Pods that ran before anybody could tell are found when the directory has them
 * (pods_expect). Written down (one small file a pod in the state folder) so that a restarted node proxy
 * captures them again before it is ready. A pod that is not enrolled is remembered too, without
 * holding its namespace: when the directory says that it is enrolled now, it is captured without a
 * restart, and the other way round. Control thread. Bounded by pods_max (0: 512), and as many
 * requests that wait.
 */
#ifndef NODEPROXY_CAPTURE_PODS_H
#define NODEPROXY_CAPTURE_PODS_H
#include "nodeproxy/capture/pod_process.h"
#include "nodeproxy/capture/privileged.h"
#include "shared/base/args.h"
#include "shared/base/list.h"
#include "shared/json/json.h"
#include "shared/ring/ring.h"
#include "shared/service/admin.h"

struct pod {
    struct list link; /* in pods_all(), until it is released */
    char *name, *ns, *container_id, *netns_path;
    char *uid; /* workload uid: CLUSTER//Pod/namespace/name */
    struct ip addresses[POD_ADDRESSES_MAX];
    size_t n_addresses;
    int netns_fd;                   /* -1 unless captured */
    struct pod_listeners listeners; /* valid while captured; whoever takes one over leaves -1 */
    bool captured;                  /* until removed is told, also while it only goes on */
    void *user;                     /* of the events' owner */
};
enum pod_enrolment { POD_ENROLLED, POD_NOT_ENROLLED, POD_UNKNOWN_YET };
struct pods;
/* Events come from pods_restore(), pods_directory_changed(), pods_released() and the loop, for
 * captured pods only. */
struct pods_events {
    /* Is the pod with this workload uid part of the mesh? UNKNOWN_YET: asked again at
     * pods_directory_changed() until the CNI wait is over (then ADD fails with a clear error; the
     * runtime retries). What is captured stays so meanwhile. */
    enum pod_enrolment (*enrolment)(struct pods *p, const char *uid, void *arg);
    void (*added)(struct pods *p, struct pod *pod, void *arg); /* listeners exist */
    /* The owner lets go of everything, then calls pods_released(), at once or later. */
    void (*removed)(struct pods *p, struct pod *pod, void *arg);
    /* Connections of it that live. What leaves the mesh without leaving the node is removed when
     * there are none. NULL: at once. */
    size_t (*living)(struct pods *p, const struct pod *pod, void *arg);
};
/* A machine that is no node: one pod, that is all processes of our own namespace which the rules
 * choose. There are no others beside it. */
enum { PODS_CGROUPS_MAX = sizeof((struct arg_list){.n = 0}).items / sizeof(char *) };
struct pods_machine {
    char ns[64], name[254]; /* of its WorkloadEntry */
    struct ip addresses[POD_ADDRESSES_MAX];
    size_t n_addresses;
    const struct arg_list *cgroups; /* that the rules speak of: below /sys/fs/cgroup */
};
struct pods_options {
    const char *state_dir; /* /run/weir/pods; made if it is missing */
    const char *cluster_id;
    uint64_t cni_wait_ms; /* 0: 10000 */
    size_t pods_max;
    const struct pods_machine *machine; /* borrowed; NULL: a node */
    uint64_t drain_ms; /* how long the node proxy before may go on with what it handed over */
};
int pods_open(struct pods **ret, struct ring *ring, struct privileged *privileged,
              const struct pods_options *o, const struct pods_events *events, void *arg);
/* Captures what the state folder lists, whatever the directory knows by then; those that are gone
 * are dropped. What can't be captured now (an earlier node proxy still has the ports) is tried
 * again every few seconds. -errno: the folder can't be read. */
int pods_restore(struct pods *p);
/* Pods that should be captured and are not: the node proxy is not ready while there are any. */
size_t pods_waiting(struct pods *p);
/* What another node proxy has written down in the state folder, read without touching it: for what
 * must be known before a take-over. */
int pods_peek(struct pods *p, void (*see)(const struct pod *pod, void *arg), void *arg);

/* ---- from one node proxy to the next (nodeproxy/takeover) ---- */

/* Giving. Frozen, nothing is added or removed: requests are answered 503. -EAGAIN: some are just
 * leaving; ask again in a moment. */
int pods_freeze(struct pods *p);
void pods_unfreeze(struct pods *p);
/* For good, after freeze: the rules, the state folder and the runtime's requests are the successor's
 * now. What is here serves living connections, and ends with its pod. Our listeners are closed. */
void pods_retire(struct pods *p);
/* A pod as the state folder has it, a JSON object. The text is initialised here. */
int pods_describe(const struct pod *pod, struct text_heap *ret);
/* Taking. A pod by its description; captured (listeners and namespace, all taken if 0) or only known
 * (all -1). It is captured here and told by `added`. -ESTALE: it has gone meanwhile, forget it. */
int pods_adopt(struct pods *p, const struct json *description, int *io_netns_fd,
               struct pod_listeners *io_listeners, char why[static PRIVILEGED_WHY_MAX]);
/* After the last one. */
void pods_adopted(struct pods *p);

/* A workload of this node that is enrolled, as the directory has it. If no request of the plugin
 * tells of it, it runs already: its processes are looked for, and it is captured by them. Not with
 * its address, which a pod with CAP_NET_ADMIN can take. */
struct pods_expected {
    char uid[512], pod_uid[POD_UID_LEN + 1], ns[64], name[256];
    struct ip addresses[POD_ADDRESSES_MAX];
    size_t n_addresses; /* 0: it is just being made, and the plugin will tell */
};
void pods_expect(struct pods *p, const struct pods_expected *told);

/* Closes what is left (listeners, namespace), frees. */
void pods_released(struct pods *p, struct pod *taken_pod);
void pods_directory_changed(struct pods *p); /* ADDs that wait are looked at again, and all pods */
struct list *pods_all(struct pods *p);       /* captured or not */
struct privileged *pods_privileged(struct pods *p);
/* Rules stay: fail closed. Descriptors go, and the memory once the ring has given its operations
 * back. The owner has let go of all pods and closed the admin sockets with the routes below; no
 * event follows. */
void pods_close(struct pods *p);
/* Admin routes POST /cni/add, /cni/del, /cni/check: JSON {"containerId","netns","podName",
 * "podNamespace","ips":[..]} (del, check: containerId); 200 {} or {"error": "..."} with 400 (bad
 * request), 404 (unknown), 409 (not as it should be), 503 (try again). */
extern admin_handler pods_handle_add, pods_handle_del, pods_handle_check; /* arg: struct pods * */
#endif
