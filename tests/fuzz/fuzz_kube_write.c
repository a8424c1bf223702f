/*
 * Any bytes as what an API server answers to those who write there: a Lease, a policy with its conditions; and as the dump and the metrics
 * that weirctl is told. The first byte says which. Nobody leads by an answer that names another; what is patched is JSON, and has
 * everybody else's conditions in it.
 * covers: shared/kube/lease.c controller/publish/condition.c controller/ctl/mesh_read.c
 * covers: controller/ctl/check.c controller/ctl/check_cluster.c
 */
#include "controller/ctl/ctl.h"
#include "controller/ctl/mesh_read.h"
#include "controller/publish/condition.h"
#include "shared/kube/lease.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void lease(struct text answer)
{
    const struct lease_options options = {"n", "l", "me", 15000, 10000, 2000};
    struct lease l;
    struct rng rng;
    struct lease_question q;
    rng_seed(&rng, 1);
    lease_init(&l, &options, &rng);
    for (uint64_t now_ms = 1000; now_ms < 40000; now_ms += 5000) {
        lease_ask(&l, now_ms, 0, &q);
        (void)lease_answered(&l, now_ms, 0, 200, answer);
        if (lease_leading(&l, now_ms) && strcmp(l.holder, "me") != 0)
            abort();
    }
    (void)lease_release(&l, 0, &q);
}

static void condition(const struct json *object)
{
    static const struct condition c = {true, "Accepted", "m", 1};
    struct text_heap body;
    struct json *patch = NULL;
    struct json_error e = {0};
    (void)condition_there(object, CONDITION_TYPE);
    (void)condition_generation(object);
    if (condition_patch(object, CONDITION_TYPE, &c, 0, &body) < 0)
        return;
    if (json_parse((struct text){body.data, body.len}, NULL, &patch, &e) < 0)
        abort();
    size_t others = 0, kept = 0;
    json_for_each (entry, json_get(object, "status.conditions"))
        others++;
    json_for_each (entry, json_get(patch, "status.conditions"))
        kept++;
    if (condition_there(patch, CONDITION_TYPE) != condition_number(&c) || kept < others || kept > others + 1)
        abort();
    json_free(patch);
    text_heap_done(&body);
}

static void dump(const struct json *tree, struct text raw)
{
    struct directory *d = NULL;
    struct json_error e = {0};
    struct check c;
    struct check_program programs[] = {
        {"controller", "c", "a", tree, tree, tree, raw, NULL},
        {"nodeproxy", "p", "a", tree, NULL, NULL, raw, NULL},
    };
    const struct check_facts facts = {.server = "k", .ns = "n", .version = tree, .nodes = tree,
                                      .namespaces = tree, .enrol_label = "l",
                                      .programs = programs, .n_programs = 2};
    if (directory_new(&d) < 0)
        abort();
    (void)mesh_read(tree, d, &e);
    directory_free(d);
    check_init(&c);
    check_before(&c, &facts);
    check_installed(&c, &facts);
    check_node(&c, tree);
    check_done(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct json_limits limits = {1 << 20, 20000, 32};
    struct json *tree = NULL;
    struct json_error e = {0};
    if (size == 0)
        return 0;
    struct text rest = {(const char *)data + 1, size - 1};
    if (data[0] == 'l') {
        lease(rest);
        return 0;
    }
    if (json_parse(rest, &limits, &tree, &e) < 0)
        return 0;
    if (data[0] == 'c')
        condition(tree);
    else
        dump(tree, rest);
    json_free(tree);
    return 0;
}
