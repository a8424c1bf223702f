/*
 * One call of a CNI plugin, as it came: the command and its parameters from the environment, the
 * network configuration from standard input. Everything is checked here. Texts point into the
 * environment and the configuration's tree, which the call owns.
 */
#ifndef NODEPROXY_CNI_CNI_CALL_H
#define NODEPROXY_CNI_CNI_CALL_H
#include "nodeproxy/cni/cni_error.h"
#include "shared/base/addr.h"
#include "shared/json/json.h"

enum { CNI_CONFIG_MAX = 1024 * 1024, CNI_IPS_MAX = 8, CNI_SOCKET_MAX = 107 };
enum cni_command { CNI_ADD, CNI_DEL, CNI_CHECK, CNI_VERSION };
enum cni_version { CNI_0_3_1, CNI_0_4_0, CNI_1_0_0, CNI_VERSIONS };
extern const char *const cni_version_names[CNI_VERSIONS];

struct cni_environment { /* as getenv(3) gives them: NULL where there is none */
    const char *command, *container_id, *netns, *ifname, *args;
};
struct cni_call {
    enum cni_command command;
    struct text container_id, netns, pod_name, pod_ns, pod_uid; /* empty: not given */
    struct json *config;
    enum cni_version version;
    struct text version_text; /* as configured; known before the rest, for the answer to an error */
    struct text socket;
    uint64_t timeout_ms;
    const struct json *previous; /* prevResult; NULL: there is none */
    bool excluded;               /* the pod's namespace is none of ours */
};
/* -EINVAL and others: e says why; the call is to be done with all the same. */
int cni_call_read(struct cni_call *c, const struct cni_environment *env, struct text config,
                  struct cni_error *e);
void cni_call_done(struct cni_call *c);
/* The pod's addresses as prevResult has them, of interfaces inside the pod. */
int cni_call_ips(const struct cni_call *c, struct ip ret[static CNI_IPS_MAX], size_t *ret_n,
                 struct cni_error *e);
#endif
