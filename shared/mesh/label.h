/* A name and its value, as Kubernetes' labels are: of endpoints, of workloads, asked for by subsets and routes. */
#ifndef SHARED_MESH_LABEL_H
#define SHARED_MESH_LABEL_H
#include "shared/base/text.h"

struct label {
    struct text name, value;
};
/* Is each of `wanted` among `labels`? */
bool labels_include(const struct label *labels, size_t n, const struct label *wanted,
                    size_t n_wanted);
#endif
