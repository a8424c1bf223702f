/*
 * Network configurations of a node: whatever is in them, our plugin in it is there once and last,
 * putting it in again changes nothing, and taken out again it leaves what was there before.
 * Input: the file; its first byte 'l' or not: a list, or a single plugin.
 * covers: nodeproxy/cni/conflist.c
 */
#include "nodeproxy/cni/conflist.h"
#include "shared/json/json.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const excluded[] = {"kube-system", "weir-system"};
static const struct conflist_plugin plugin = {"/run/weir/cni.sock", excluded, 2};

static struct text of(const struct text_heap *h)
{
    return (struct text){h->data, h->len};
}

static bool has_ours(const struct json *root)
{
    json_for_each (p, json_get(root, "plugins"))
        if (text_equal(json_text(json_get(p, "type")), TEXT("weir-cni")))
            return true;
    return false;
}

static struct json *parse(struct text t)
{
    struct json *root = NULL;
    struct json_error error = {0};
    int r = json_parse(t, NULL, &root, &error);
    assert(r == 0);
    return root;
}

/* `with` has our plugin: out of it again comes what `file` was. */
static void take_out(struct text file, bool list, const struct text_heap *with)
{
    char why[WHY_MAX];
    bool single = false;
    struct text_heap without;
    text_heap_init(&without, CONFLIST_BYTES_MAX);
    enum conflist_outcome outcome = conflist_remove(of(with), &without, &single, why);
    assert(outcome == CONFLIST_CHANGED);
    struct json *before = parse(file), *after = parse(of(&without));
    assert(!has_ours(after));
    if (!has_ours(before))
        assert(json_equal(before, after) && single == !list);
    json_free(before);
    json_free(after);
    text_heap_done(&without);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[WHY_MAX];
    bool list = size > 0 && data[0] == 'l';
    struct text file = {(const char *)data + (size > 0), size - (size > 0)};
    struct text_heap once, twice;
    text_heap_init(&once, CONFLIST_BYTES_MAX);
    text_heap_init(&twice, CONFLIST_BYTES_MAX);
    enum conflist_outcome outcome = conflist_add(file, list, &plugin, &once, why);
    if (outcome == CONFLIST_CHANGED) {
        struct json *root = parse(of(&once));
        const struct json *plugins = json_get(root, "plugins");
        const struct json *last = json_item(plugins, json_count(plugins) - 1);
        assert(text_equal(json_text(json_get(last, "type")), TEXT("weir-cni")));
        assert(json_count(plugins) >= 2);
        json_free(root);
        outcome = conflist_add(of(&once), true, &plugin, &twice, why);
        assert(outcome == CONFLIST_SAME);
        take_out(file, list, &once);
    }
    text_heap_done(&once);
    text_heap_done(&twice);
    return 0;
}
