/*
 * A network configuration of the node, as a container runtime reads it from its folder (CNI
 * specification 1.0.0, "Configuration format"), and our plugin's place in it: the last one of the
 * list. A single plugin (.conf) is wrapped into a list first. What others wrote keeps its values.
 * Pure; texts come from outside and have a maximum.
 */
#ifndef NODEPROXY_CNI_CONFLIST_H
#define NODEPROXY_CNI_CONFLIST_H
#include "shared/base/text.h"
#include "shared/base/why.h"

enum { CONFLIST_BYTES_MAX = 1024 * 1024 };
struct conflist_plugin { /* our entry */
    const char *socket;
    const char *const *excluded; /* namespaces */
    size_t n_excluded;
};
enum conflist_outcome {
    CONFLIST_SAME,    /* it is as it should be */
    CONFLIST_CHANGED, /* ret has the new text */
    CONFLIST_INVALID, /* a runtime passes it over: why says what is wrong with it */
    CONFLIST_UNFIT,   /* a runtime takes it, but no plugin can be chained into it: why */
    CONFLIST_NO_MEMORY,
};
/* list false: the file is a single plugin; the new text is that of a list. */
enum conflist_outcome conflist_add(struct text file, bool list,
                                   const struct conflist_plugin *plugin, struct text_heap *ret,
                                   char why[static WHY_MAX]);
/* ret_single: the text is that of the single plugin which was there before us. */
enum conflist_outcome conflist_remove(struct text file, struct text_heap *ret, bool *ret_single,
                                      char why[static WHY_MAX]);
#endif
