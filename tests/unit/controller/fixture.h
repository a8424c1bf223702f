/*
 * Helpers of the controller's tests: manifests as text into a store.
 */
#ifndef TESTS_UNIT_CONTROLLER_FIXTURE_H
#define TESTS_UNIT_CONTROLLER_FIXTURE_H
#include "controller/discovery/manifest.h"
#include "controller/model/object_store.h"
#include "controller/translate/translate.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct translate_settings fixture_settings = {
    .cluster_id = "Kubernetes",
    .network = "net1",
    .trust_domain = "td.example",
    .cluster_domain = "cluster.local",
    .root_namespace = "weir-system",
    .enrol_label = "weir.mesh/enrolled",
};

/* All documents must be good. */
static inline void fixture_load(struct object_store *s, const char *yaml)
{
    struct manifest m;
    struct problems problems;
    problems_init(&problems);
    assert_int_equal(manifest_read("t.yaml", text_of(yaml), &m, &problems), 0);
    if (problems.n > 0)
        fail_msg("line %u: %s: %s", problems.items[0].line, problems.items[0].field,
                 problems.items[0].message);
    for (size_t i = 0; i < m.n_objects; i++)
        assert_int_equal(object_store_put(s, m.objects[i]), 0);
    manifest_done(&m);
    problems_done(&problems);
}
#endif
