#include "nodeproxy/cni/cni_call.h"

#include <errno.h>
#include <net/if.h>

enum { ID_MAX = 128, TIMEOUT_S = 20, TIMEOUT_S_MAX = 600 };

const char *const cni_version_names[CNI_VERSIONS] = {"0.3.1", "0.4.0", "1.0.0"};

/* ---- environment ---- */

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Container IDs and network names: a letter or digit, then also '_', '.' and '-'. */
static bool is_id(struct text t)
{
    if (t.len == 0 || t.len > ID_MAX || !is_alnum(t.data[0]))
        return false;
    for (size_t i = 1; i < t.len; i++)
        if (!is_alnum(t.data[i]) && t.data[i] != '_' && t.data[i] != '.' && t.data[i] != '-')
            return false;
    return true;
}

static bool is_ifname(struct text t)
{
    if (t.len == 0 || t.len >= IFNAMSIZ || text_equal(t, TEXT(".")) || text_equal(t, TEXT("..")))
        return false;
    for (size_t i = 0; i < t.len; i++)
        if (t.data[i] == '/' || t.data[i] == ':' || (unsigned char)t.data[i] <= ' ')
            return false;
    return true;
}

static int invalid(struct cni_error *e, const char *name, const char *value, const char *right)
{
    char msg[CNI_MSG_MAX];
    struct text_out o = TEXT_OUT(msg);
    text_printf(&o, "invalid environment variable %s", name);
    return cni_fail(e, CNI_INVALID_ENVIRONMENT, msg, "%s is %s%.200s%s and must be %s", name,
                    value ? "\"" : "", value ? value : "not set", value ? "\"" : "", right);
}

static int read_command(struct cni_call *c, const struct cni_environment *env, struct cni_error *e)
{
    static const char *const names[] = {"ADD", "DEL", "CHECK", "VERSION"};
    for (unsigned i = 0; env->command && i < sizeof names / sizeof *names; i++)
        if (strcmp(env->command, names[i]) == 0) {
            c->command = (enum cni_command)i;
            return 0;
        }
    return invalid(e, "CNI_COMMAND", env->command, "ADD, DEL, CHECK or VERSION");
}

/* "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;IgnoreUnknown=1": what isn't ours is left alone. */
static int read_args(struct cni_call *c, const struct cni_environment *env, struct cni_error *e)
{
    const struct {
        struct text name;
        struct text *value;
    } known[] = {{TEXT("K8S_POD_NAME"), &c->pod_name},
                 {TEXT("K8S_POD_NAMESPACE"), &c->pod_ns},
                 {TEXT("K8S_POD_UID"), &c->pod_uid}};
    struct text rest = text_of(env->args);
    while (rest.len > 0) {
        struct text pair, tail, name, value;
        if (!text_split(rest, ';', &pair, &tail)) {
            pair = rest;
            tail = TEXT("");
        }
        rest = tail;
        if (pair.len == 0)
            continue;
        if (!text_split(pair, '=', &name, &value))
            return invalid(e, "CNI_ARGS", env->args, "pairs NAME=VALUE with ';' between them");
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (text_equal(name, known[i].name))
                *known[i].value = value;
    }
    return 0;
}

static int read_environment(struct cni_call *c, const struct cni_environment *env,
                            struct cni_error *e)
{
    c->container_id = text_of(env->container_id);
    c->netns = text_of(env->netns);
    if (!is_id(c->container_id))
        return invalid(e, "CNI_CONTAINERID", env->container_id,
                       "letters, digits, '_', '.' and '-', at most 128");
    if (!is_ifname(text_of(env->ifname)))
        return invalid(e, "CNI_IFNAME", env->ifname, "the name of a network interface");
    /* A namespace may be gone when its pod is deleted. */
    if (c->command != CNI_DEL && (c->netns.len == 0 || c->netns.data[0] != '/'))
        return invalid(e, "CNI_NETNS", env->netns, "the absolute path of a network namespace");
    return read_args(c, env, e);
}

/* ---- configuration ---- */

static int read_version(struct cni_call *c, struct cni_error *e)
{
    struct json_error ignored = {0};
    struct text version = TEXT("0.1.0"); /* what a configuration without the field means */
    bool told = json_read_text(c->config, "cniVersion", &version, &ignored) == 0;
    for (unsigned i = 0; i < CNI_VERSIONS; i++)
        if (text_equal(version, text_of(cni_version_names[i]))) {
            c->version = (enum cni_version)i;
            c->version_text = version;
            return 0;
        }
    return cni_fail(e, CNI_INCOMPATIBLE_VERSION, "incompatible CNI version",
                    "cniVersion: %s%.*s; this plugin supports 0.3.1, 0.4.0 and 1.0.0",
                    told ? "" : "none, which means ", (int)(version.len < 64 ? version.len : 64),
                    version.data);
}

static int read_excluded(struct cni_call *c, struct json_error *why)
{
    const struct json *list = NULL;
    json_opt_node(c->config, "excludeNamespaces", JSON_ARRAY, &list, why);
    if (!list)
        c->excluded = text_equal(c->pod_ns, TEXT("kube-system")) ||
                      text_equal(c->pod_ns, TEXT("weir-system"));
    json_for_each (item, list) {
        struct text name;
        if (json_read_text(item, "", &name, why) < 0)
            return -EINVAL;
        c->excluded = c->excluded || text_equal(name, c->pod_ns);
    }
    return json_failed(why) ? -EINVAL : 0;
}

static int read_fields(struct cni_call *c, struct json_error *why)
{
    struct text name = TEXT(""), type;
    int64_t timeout_s = TIMEOUT_S;
    c->socket = TEXT("/run/weir/cni.sock");
    json_read_text(c->config, "name", &name, why);
    if (!json_failed(why) && !is_id(name))
        return json_fail(why, json_get(c->config, "name"),
                         "must be letters, digits, '_', '.' and '-'");
    json_read_text(c->config, "type", &type, why);
    json_opt_text(c->config, "socket", &c->socket, why);
    if (c->socket.len == 0 || c->socket.data[0] != '/' || c->socket.len > CNI_SOCKET_MAX)
        return json_fail(why, json_get(c->config, "socket"),
                         "must be the absolute path of a socket, of at most %d bytes",
                         CNI_SOCKET_MAX);
    json_opt_i64(c->config, "timeoutSeconds", 1, TIMEOUT_S_MAX, &timeout_s, why);
    c->timeout_ms = (uint64_t)timeout_s * 1000;
    json_opt_node(c->config, "prevResult", JSON_OBJECT, &c->previous, why);
    if (read_excluded(c, why) < 0)
        return -EINVAL;
    if (!c->previous && (c->command == CNI_ADD || c->command == CNI_CHECK))
        return json_fail(why, c->config,
                         "prevResult: is missing; this plugin is chained: put it "
                         "behind another one in the plugins of a network list");
    return json_failed(why) ? -EINVAL : 0;
}

static int read_config(struct cni_call *c, struct text config, struct cni_error *e)
{
    static const struct json_limits limits = {CNI_CONFIG_MAX, 20000, 32};
    struct json_error why = {0};
    int r = json_parse(config, &limits, &c->config, &why);
    if (r < 0)
        return cni_fail(e, CNI_DECODING_FAILURE, "the network configuration is no JSON",
                        "line %u: %s", why.line, why.text);
    if (!json_is(c->config, JSON_OBJECT))
        return cni_fail(e, CNI_DECODING_FAILURE, "the network configuration is no JSON object",
                        "standard input holds %s", json_kind_name(json_kind(c->config)));
    r = read_version(c, e);
    if (r < 0)
        return r;
    if (c->command == CNI_CHECK && c->version < CNI_0_4_0)
        return cni_fail(e, CNI_INCOMPATIBLE_VERSION, "this CNI version has no CHECK",
                        "cniVersion: 0.3.1; CHECK exists from 0.4.0 on");
    if (read_fields(c, &why) < 0)
        return cni_fail(e, CNI_INVALID_CONFIG, "invalid network configuration", "%s", why.text);
    return 0;
}

int cni_call_read(struct cni_call *c, const struct cni_environment *env, struct text config,
                  struct cni_error *e)
{
    *c = (struct cni_call){.version = CNI_1_0_0};
    int r = read_command(c, env, e);
    if (r == 0 && c->command == CNI_VERSION) {
        /* The answer repeats the version of the question, in which nothing is an error. */
        struct json_error ignored = {0};
        struct text version;
        if (json_parse(config, NULL, &c->config, &ignored) == 0 &&
            json_opt_text(c->config, "cniVersion", &version, &ignored) == 0 && version.len > 0)
            c->version_text = version;
        return 0;
    }
    if (r == 0)
        r = read_environment(c, env, e);
    return r == 0 ? read_config(c, config, e) : r;
}

void cni_call_done(struct cni_call *c)
{
    c->config = json_free(c->config);
    c->previous = NULL;
}

/* ---- prevResult ---- */

/* An interface without a sandbox is on the node: the other end of the pod's, or its bridge. */
static bool is_inside(const struct json *previous, const struct json *ip)
{
    struct json_error ignored = {0};
    int64_t index = -1;
    if (json_opt_i64(ip, "interface", 0, 1024, &index, &ignored) < 0 || index < 0)
        return true;
    const struct json *interface = json_item(json_get(previous, "interfaces"), (size_t)index);
    return !interface || json_text(json_get(interface, "sandbox")).len > 0;
}

int cni_call_ips(const struct cni_call *c, struct ip ret[static CNI_IPS_MAX], size_t *ret_n,
                 struct cni_error *e)
{
    struct json_error why = {0};
    const struct json *ips = NULL;
    size_t n = 0;
    json_opt_node(c->previous, "ips", JSON_ARRAY, &ips, &why);
    json_for_each (item, ips) {
        struct text address, bits;
        struct ip ip;
        if (json_read_text(item, "address", &address, &why) < 0)
            break;
        if (!text_split(address, '/', &address, &bits) || ip_parse(address, &ip) < 0)
            json_fail(&why, json_get(item, "address"),
                      "must be an address and its prefix, as in 10.1.2.3/24");
        else if (!is_inside(c->previous, item))
            continue;
        else if (n == CNI_IPS_MAX)
            json_fail(&why, item, "more than %d addresses of one pod", CNI_IPS_MAX);
        else
            ret[n++] = ip;
        if (json_failed(&why))
            break;
    }
    if (json_failed(&why))
        return cni_fail(e, CNI_INVALID_CONFIG, "invalid result of the plugins before this one",
                        "%s", why.text);
    *ret_n = n;
    return 0;
}
