/*
 * What another process says at a take-over, and a pod as it describes one. The first byte says how
 * many descriptors came along.
 * covers: nodeproxy/takeover/takeover_message.c nodeproxy/capture/pods_state.c
 */
#include "nodeproxy/capture/pods_internal.h"
#include "nodeproxy/takeover/takeover_message.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void adopt(const struct json *description)
{
    static char cluster[] = "Kubernetes";
    struct pods p = {.cluster_id = cluster};
    struct json_error error = {0};
    struct pod_entry *e = NULL;
    if (pods_state_decode(&p, description, &e, &error) < 0) {
        assert(json_failed(&error));
        return;
    }
    assert(e->pod.n_addresses <= POD_ADDRESSES_MAX && e->pod.netns_path[0] == '/' &&
           !strchr(e->pod.container_id, '/'));
    pod_entry_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct takeover_message m, again;
    struct text_heap out;
    char why[TAKEOVER_WORDS_MAX] = "";
    if (size == 0)
        return 0;
    size_t n_fds = data[0] % 8;
    if (takeover_decode((struct text){(const char *)data + 1, size - 1}, n_fds, &m, why) < 0) {
        assert(why[0] != '\0');
        return 0;
    }
    assert(m.kind < TAKEOVER_KINDS && n_fds <= TAKEOVER_FDS_MAX);
    if (m.kind == TAKEOVER_POD) {
        adopt(m.pod);
    } else { /* what was understood is said in a way that is understood again */
        int r = takeover_encode(&m, &out);
        assert(r == 0);
        r = takeover_decode((struct text){out.data, out.len}, n_fds, &again, why);
        assert(r == 0 && again.kind == m.kind && addr_equal(&again.address, &m.address) &&
               again.pods == m.pods);
        takeover_message_done(&again);
        text_heap_done(&out);
    }
    m.n_fds = 0; /* none were received */
    takeover_message_done(&m);
    return 0;
}
