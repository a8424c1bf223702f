/* The SPIFFE Workload API of this node's workloads: whose a process is, and what it gets. */
#include "nodeproxy/node.h"

#include "nodeproxy/machine/machine.h"
#include "shared/base/file.h"
#include "shared/base/log.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { SOCKET_MODE = 0666, CGROUPS_MAX = 8192 };

/* Of a machine not everybody's: what it holds is for the processes that it was chosen for. */
static bool is_chosen(const struct machine *m, const struct workload_api_caller *c)
{
    char path[64], cgroups[CGROUPS_MAX];
    size_t len = 0;
    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)c->pid);
    if (file_read(path, 0, cgroups, sizeof cgroups, &len) < 0)
        len = 0;
    return machine_has(&m->scope, c->uid, (struct text){cgroups, len});
}

/* A process is its network namespace's, as its connections are; the warden looks where that is. */
static int holder(void *arg, const struct workload_api_caller *c,
                  char ret[static WORKLOAD_API_HOLDER_MAX])
{
    struct node *n = arg;
    struct netns_id its, pods;
    char path[64], why[PRIVILEGED_WHY_MAX];
    int fd;
    if (n->config.machine && !is_chosen(n->config.machine, c))
        return -EACCES;
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)c->pid);
    int r = privileged_netns_open(n->privileged, path, &fd, why);
    if (r < 0)
        return r;
    r = netns_id(fd, &its);
    close(fd);
    list_for_each(link, pods_all(n->pods))
    {
        const struct pod *pod = container_of(link, struct pod, link);
        if (r < 0 || !pod->captured || netns_id(pod->netns_fd, &pods) < 0 || !netns_same(&its, &pods))
            continue;
        size_t len = strlen(pod->uid);
        if (len >= WORKLOAD_API_HOLDER_MAX)
            break;
        memcpy(ret, pod->uid, len + 1);
        return 0;
    }
    return -EACCES;
}

static struct credential *credential(void *arg, const char *uid, bool *ret_gone)
{
    struct node *n = arg;
    const struct spiffe_id *id = node_pod_identity(n, uid, ret_gone);
    return id ? credentials_get(n->credentials, id) : NULL;
}

static const struct workload_api_events events = {.holder = holder, .credential = credential};

int node_workload_api_open(struct node *n)
{
    const struct config *c = &n->config;
    char path[512];
    if (!c->workload_api[0])
        return 0;
    bool inside = !strchr(c->workload_api, '/');
    int len = snprintf(path, sizeof path, "%s%s%s", inside ? c->run_dir : "", inside ? "/" : "", c->workload_api);
    int r = len < (int)sizeof path ? workload_api_open(&n->workload_api, n->ring, path, SOCKET_MODE, &events, n) : -ENAMETOOLONG;
    if (r < 0)
        log_error("spiffe", "--workload-api %s: %s", c->workload_api, strerror(-r));
    return r;
}
