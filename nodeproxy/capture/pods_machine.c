/*
 * A machine's processes as one pod, whose namespace is our own: captured from the start on, whatever
 * the directory knows or says of it, so that nothing of the chosen processes goes in plain while the
 * controller is away, or because somebody wrote another WorkloadEntry: the machine's options say it.
 */
#include "nodeproxy/capture/pods_internal.h"

#include "shared/base/log.h"
#include <errno.h>
#include <stdio.h>

#define MACHINE_ID    "machine"
#define OWN_NAMESPACE "/proc/self/ns/net"

bool pods_machine_differs(const struct pods *p, const struct pod_entry *e)
{
    const struct pods_machine *m = p->machine;
    if (!m)
        return e->machine;
    bool same = e->machine && strcmp(m->ns, e->pod.ns) == 0 && strcmp(m->name, e->pod.name) == 0 &&
                m->n_addresses == e->pod.n_addresses;
    for (size_t i = 0; same && i < m->n_addresses; i++)
        same = ip_equal(&m->addresses[i], &e->pod.addresses[i]);
    return !same;
}

static int add(struct pods *p, struct pod_entry **ret, char why[static PRIVILEGED_WHY_MAX])
{
    const struct pods_machine *m = p->machine;
    struct pod_spec spec = {.container_id = TEXT(MACHINE_ID),
                            .netns_path = TEXT(OWN_NAMESPACE),
                            .name = text_of(m->name),
                            .ns = text_of(m->ns),
                            .machine = true,
                            .n_addresses = m->n_addresses};
    memcpy(spec.addresses, m->addresses, sizeof spec.addresses);
    snprintf(why, PRIVILEGED_WHY_MAX, "no memory");
    int r = pod_entry_new(p, &spec, ret, why);
    if (r < 0)
        return r;
    r = netns_id_at(OWN_NAMESPACE, &(*ret)->netns);
    if (r < 0) {
        *ret = pod_entry_free(*ret);
        return why_errno(r, why, "cannot look at the own network namespace");
    }
    (*ret)->wanted = true;
    r = pods_register(p, *ret);
    return r < 0 ? why_errno(r, why, "it can't be written into %.120s", p->state_dir) : 0;
}

bool pods_machine_missing(struct pods *p)
{
    return p->machine && p->ours && !p->retired && !pods_find(p, TEXT(MACHINE_ID));
}

/* What fails is tried again every few seconds, as pods are. */
void pods_machine_begin(struct pods *p)
{
    char why[PRIVILEGED_WHY_MAX];
    struct pod_entry *e;
    if (!pods_machine_missing(p))
        return;
    int r = add(p, &e, why);
    if (r == 0)
        r = pods_capture(p, e, false, why);
    if (r < 0)
        log_error("capture", "the machine's processes can't be captured yet: %s", why);
}
