/*
 * What the files of the registry of pods share: pods.c (life), pods_cni.c (endpoints), pods_state.c
 * (files), pods_watch.c (vanished namespaces), pods_search.c (those that ran before), pods_quiet.c
 * (those that leave and live on), pods_handover.c (from one node proxy to the next), pods_machine.c
 * (a machine's processes as one). Nobody else
 * includes it. Control thread.
 */
#ifndef NODEPROXY_CAPTURE_PODS_INTERNAL_H
#define NODEPROXY_CAPTURE_PODS_INTERNAL_H
#include "nodeproxy/capture/pod_process.h"
#include "nodeproxy/capture/pods.h"
#include "nodeproxy/capture/netns_id.h"
#include "shared/json/json.h"
#include <dirent.h>

enum { CONTAINER_ID_MAX = 128, POD_NAME_MAX = 253, POD_NS_MAX = 63, NETNS_PATH_MAX = 1024 };

struct pod_entry {
    struct pod pod;
    struct netns_id netns; /* of what the path led to when the pod was added */
    bool wanted;           /* it should be captured */
    bool leaving;          /* removed was told, released not yet */
    bool vanished;         /* its namespace is going: nothing to clean in there */
    int watch;             /* inotify's, of the path's folder; -1: none */
    /* Of one that no request of the plugin told: it lives as long as this. pid 0: of others. */
    struct pod_process process;
    bool machine;  /* pods_machine.c */
    bool quiet;    /* captured, and no longer enrolled: what lives in it goes on */
    bool leftover; /* the process before left rules in it, for connections that are no more */
    uint64_t quiet_since_ms, alone_at_ms; /* alone: the process before has no connections in it */
};

/* A request of the plugin that can't be answered yet. Owned by pods->waits. */
enum wait_kind { WAIT_ADD, WAIT_DEL };
struct cni_wait {
    struct list link;
    struct pods *pods;
    enum wait_kind kind;
    struct pod_entry
        *entry; /* ADD: not registered yet, owned. DEL: leaving, borrowed; NULL: released */
    struct admin_exchange *exchange;
    struct timer deadline;
};

struct pods_search { /* pods_search.c */
    struct list all;
    size_t n;
    struct timer timer;
    DIR *proc; /* NULL: nobody is looked for just now */
};

struct pods {
    struct ring *ring;
    struct privileged *privileged;
    char *state_dir, *cluster_id;
    uint64_t cni_wait_ms, drain_ms;
    size_t pods_max;
    const struct pods_machine *machine;
    /* pods_machine.c: which ones the rules speak of; 0: it was not there */
    uint64_t cgroups[PODS_CGROUPS_MAX];
    bool cgroups_stale; /* the rules speak of others than there are */
    const struct pods_events *events;
    void *arg;
    struct list all; /* leaving ones too */
    struct list waits;
    size_t n_pods, n_waits;
    bool closing, restoring;
    bool ours; /* the node: pods may be captured that nobody gave us */
    bool adopting; /* taking over: what fails here must not touch what the giver still needs */
    bool
        frozen; /* being handed over: nothing is added or removed until it is known how that ends */
    bool retired; /* a successor has them: what we do is for our living connections only */
    int inotify_fd;
    struct ring_scope scope;
    struct ring_op watch_op;
    struct timer scan_timer, quiet_timer;
    struct pods_search search;
    struct ring_task waits_task;
};

static inline struct pod_entry *entry_of(struct list *link)
{
    return container_of(link, struct pod_entry, pod.link);
}

/* pods.c */
struct pod_spec { /* what the plugin tells */
    struct text container_id, netns_path, name, ns;
    bool machine;
    struct ip addresses[POD_ADDRESSES_MAX];
    size_t n_addresses;
};
/* -EINVAL: why names the field and what would be right. */
int pod_entry_new(struct pods *p, const struct pod_spec *spec, struct pod_entry **ret,
                  char why[static PRIVILEGED_WHY_MAX]);
struct pod_entry *pod_entry_free(struct pod_entry *e);
struct pod_entry *pods_find(struct pods *p, struct text container_id); /* not one that leaves */
/* One that leaves and has the same uid or namespace: what comes after it must wait. */
struct pod_entry *pods_leaving_like(struct pods *p, const struct pod_entry *e);
int pods_register(struct pods *p,
                  struct pod_entry *taken_entry); /* -ENOBUFS, and what its file says */
/* running: its connections are let live. */
int pods_capture(struct pods *p, struct pod_entry *e, bool running,
                 char why[static PRIVILEGED_WHY_MAX]);
/* The pod left the mesh but goes on living: from now on it is like one that never was in it. */
void pods_uncapture(struct pods *p, struct pod_entry *e);
void pods_put_node_rules(struct pods *p);
void pods_remove(struct pods *p, struct pod_entry *e,
                 const char *reason); /* the entry may be freed when it returns */

/* pods_cni.c */
void pods_waits_run(struct ring_task *task); /* looks at all; never from inside an event */
void pods_waits_released(struct pods *p, const struct pod_entry *e);
void pods_waits_refuse(struct pods *p);

/* pods_handover.c */
void pods_let_go(struct pods *p, struct pod_entry *e,
                 const char *reason); /* of a retired registry */

/* pods_state.c */
void pods_state_encode(const struct pod_entry *e, struct text_heap *out);
int pods_state_decode(struct pods *p, const struct json *root, struct pod_entry **ret,
                      struct json_error *error);
/* Looks only: nothing is dropped, whatever it is. */
int pods_state_peek(struct pods *p, void (*see)(const struct pod *pod, void *arg), void *arg);
int pods_state_write(struct pods *p, const struct pod_entry *e);
void pods_state_remove(struct pods *p, const struct pod_entry *e);
/* found owns what it is given. */
int pods_state_read(struct pods *p, void (*found)(struct pods *p, struct pod_entry *taken_entry));

/* pods_search.c */
void pods_search_init(struct pods *p);
void pods_search_done(struct pods *p);

/* pods_quiet.c */
void pods_quiet_init(struct pods *p);
void pods_quieten(struct pods *p, struct pod_entry *e); /* may be freed when it returns */
int pods_revive(struct pods *p, struct pod_entry *e, char why[static PRIVILEGED_WHY_MAX]);
void pods_quiet_clean(struct pods *p, struct pod_entry *e);

/* pods_machine.c */
/* Of what was written down or handed over: it can't be kept by this node proxy. */
bool pods_machine_differs(const struct pods *p, const struct pod_entry *e);
bool pods_machine_missing(struct pods *p); /* the node is ours, and its one pod is not there yet */
/* Which cgroups there are, for the rules that are made next; changes are seen from then on. */
void pods_machine_note_cgroups(struct pods *p);
/* The kernel knows a cgroup by its number, and a service that is started again has another one: then
 * the rules are made anew. */
void pods_machine_look(struct pods *p);
void pods_machine_begin(struct pods *p); /* fine if it is not missing */

/* pods_watch.c */
bool pods_gone(const struct pod_entry *e); /* its namespace is not there any more */
int pods_watch_open(struct pods *p);
void pods_watch_add(struct pods *p, struct pod_entry *e);
void pods_watch_remove(struct pods *p, struct pod_entry *e); /* no longer registered */
#endif
