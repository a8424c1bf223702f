#include "nodeproxy/cni/conflist.h"

#include "nodeproxy/cni/cni_call.h"
#include "shared/json/json_out.h"
#include <errno.h>

#define TYPE "weir-cni"
static const struct json_limits limits = {CONFLIST_BYTES_MAX, 20000, 32};

static enum conflist_outcome refuse(enum conflist_outcome outcome, char why[static WHY_MAX],
                                    const char *words)
{
    (void)why_say(0, why, "%s", words);
    return outcome;
}

static bool is_ours(const struct json *plugin)
{
    return text_equal(json_text(json_get(plugin, "type")), TEXT(TYPE));
}

static bool has_type(const struct json *plugin)
{
    return json_text(json_get(plugin, "type")).len > 0;
}

/* The tree, if a runtime would take it. */
static enum conflist_outcome read_file(struct text file, bool list, struct json **ret,
                                       char why[static WHY_MAX])
{
    struct json_error error = {0};
    struct json *root = NULL;
    bool good = true;
    int r = json_parse(file, &limits, &root, &error);
    if (r == -ENOMEM)
        return refuse(CONFLIST_NO_MEMORY, why, "no memory");
    if (r < 0) {
        (void)why_say(0, why, "line %u: %s", error.line, error.text);
        return CONFLIST_INVALID;
    }
    const struct json *plugins = json_get(root, "plugins");
    if (list) {
        good = json_is(plugins, JSON_ARRAY) && json_count(plugins) > 0;
        json_for_each (plugin, plugins)
            good = good && has_type(plugin);
    } else {
        good = has_type(root) && !plugins;
    }
    if (good) {
        *ret = root;
        return CONFLIST_SAME;
    }
    json_free(root);
    return refuse(CONFLIST_INVALID, why,
                  list ? "it is no list of plugins that have a type"
                       : "it is no plugin with a type");
}

static bool version_fits(const struct json *root)
{
    struct text version = json_text(json_get(root, "cniVersion"));
    for (int i = 0; i < CNI_VERSIONS; i++)
        if (text_equal(version, text_of(cni_version_names[i])))
            return true;
    return false;
}

static void put_ours(struct json_out *o, const struct conflist_plugin *plugin, bool wrapped)
{
    json_out_object(o, NULL);
    json_out_string(o, "type", TYPE);
    json_out_string(o, "socket", plugin->socket);
    json_out_array(o, "excludeNamespaces");
    for (size_t i = 0; i < plugin->n_excluded; i++)
        json_out_string(o, NULL, plugin->excluded[i]);
    json_out_end(o);
    if (wrapped) /* for who takes us out again */
        json_out_bool(o, "wrapped", true);
    json_out_end(o);
}

/* All members of a list, and the plugins that are not ours; what follows them is the caller's. */
static void put_list(struct json_out *o, const struct json *root)
{
    json_for_each (member, root)
        if (!text_equal(json_name(member), TEXT("plugins")))
            json_out_tree(o, json_name(member).data, member);
    json_out_array(o, "plugins");
    json_for_each (plugin, json_get(root, "plugins"))
        if (!is_ours(plugin))
            json_out_tree(o, NULL, plugin);
}

static bool was_wrapped(const struct json *root)
{
    bool wrapped = false;
    struct json_error ignored = {0};
    json_for_each (plugin, json_get(root, "plugins"))
        if (is_ours(plugin))
            (void)json_opt_bool(plugin, "wrapped", &wrapped, &ignored);
    return wrapped;
}

/* What is written must be read as what was meant; equal: nothing has to be written. */
static enum conflist_outcome finish(struct json *root, struct text_heap *ret, bool list,
                                    char why[static WHY_MAX])
{
    struct json *written = NULL;
    enum conflist_outcome outcome = CONFLIST_NO_MEMORY;
    text_heap_puts(ret, "\n");
    if (!ret->failed)
        outcome = read_file((struct text){ret->data, ret->len}, list, &written, why);
    else
        (void)why_say(0, why, "no memory, or it would be too large");
    if (outcome == CONFLIST_SAME && !json_equal(root, written))
        outcome = CONFLIST_CHANGED;
    json_free(written);
    json_free(root);
    return outcome;
}

enum conflist_outcome conflist_add(struct text file, bool list,
                                   const struct conflist_plugin *plugin, struct text_heap *ret,
                                   char why[static WHY_MAX])
{
    struct json *root;
    struct json_out o;
    enum conflist_outcome outcome = read_file(file, list, &root, why);
    if (outcome != CONFLIST_SAME)
        return outcome;
    if (!version_fits(root)) {
        struct text version = json_text(json_get(root, "cniVersion"));
        (void)why_say(0, why, "cniVersion is \"%.40s\"; chained plugins need 0.3.1, 0.4.0 or 1.0.0",
                      version.len > 0 ? version.data : "");
        json_free(root);
        return CONFLIST_UNFIT;
    }
    json_out_init(&o, ret, true);
    json_out_object(&o, NULL);
    if (list) {
        put_list(&o, root);
        if (json_count(json_get(root, "plugins")) == 1 && is_ours(json_get(root, "plugins[0]"))) {
            json_free(root);
            return refuse(CONFLIST_UNFIT, why, "it has no plugin but ours");
        }
    } else {
        struct text name = json_text(json_get(root, "name"));
        json_out_text(&o, "cniVersion", json_text(json_get(root, "cniVersion")));
        json_out_text(&o, "name", name.len > 0 ? name : TEXT("k8s-pod-network"));
        json_out_array(&o, "plugins");
        json_out_tree(&o, NULL, root);
    }
    put_ours(&o, plugin, !list || was_wrapped(root));
    json_out_end(&o);
    json_out_end(&o);
    return finish(root, ret, true, why);
}

enum conflist_outcome conflist_remove(struct text file, struct text_heap *ret, bool *ret_single,
                                      char why[static WHY_MAX])
{
    struct json *root;
    struct json_out o;
    enum conflist_outcome outcome = read_file(file, true, &root, why);
    if (outcome != CONFLIST_SAME)
        return outcome;
    const struct json *plugins = json_get(root, "plugins");
    *ret_single = was_wrapped(root) && json_count(plugins) == 2 && !is_ours(json_item(plugins, 0));
    json_out_init(&o, ret, true);
    if (*ret_single) {
        json_out_tree(&o, NULL, json_item(plugins, 0));
    } else {
        json_out_object(&o, NULL);
        put_list(&o, root);
        json_out_end(&o);
        json_out_end(&o);
    }
    return finish(root, ret, !*ret_single, why);
}
