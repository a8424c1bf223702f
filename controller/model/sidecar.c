#include "controller/model/object_kinds.h"
#include "controller/model/traffic_read.h"
#include "shared/mesh/egress.h"
#include <stdio.h>

enum { HOST_BYTES_MAX = 400 };

/* NAMESPACE/HOST, where "." is the own namespace. */
static const char *read_host(struct reader *r, const struct object *o, const struct json *j,
                             uint16_t port)
{
    char made[HOST_BYTES_MAX], tail[8] = "";
    struct text ns, host, name;
    if (!json_is(j, JSON_STRING) || !text_split(traffic_lower(r, json_text(j)), '/', &ns, &host)) {
        read_fail(r, j, "must be NAMESPACE/HOST");
        return "";
    }
    if (text_equal(ns, TEXT(".")))
        ns = text_of(o->ns);
    bool any = text_equal(ns, TEXT("*")) || text_equal(ns, TEXT("~"));
    const char *wrong = any ? NULL : name_check_label(ns);
    name = text_starts_with(host, TEXT("*.")) ? (struct text){host.data + 2, host.len - 2} : host;
    if (!wrong && !text_equal(host, TEXT("*")))
        wrong = name_check_subdomain(name);
    if (wrong)
        read_fail(r, j, "'%.100s' is no NAMESPACE/HOST: it %s", json_text(j).data, wrong);
    if (port)
        snprintf(tail, sizeof tail, ":%u", port);
    int len = snprintf(made, sizeof made, "%.*s/%.*s%s", (int)ns.len, ns.data, (int)host.len,
                       host.data, tail);
    if (len < 0 || (size_t)len >= sizeof made) {
        if (!wrong)
            read_fail(r, j, "is too long");
        return "";
    }
    return read_copy(r, (struct text){made, (size_t)len});
}

static void note(struct reader *r, struct sidecar *s, const struct json *of, const char *name,
                 const char *why)
{
    if (read_member(of, name))
        traffic_flaw(r, &s->note, read_member(of, name), "counts for nothing: %s", why);
}

static uint16_t read_listener_port(struct reader *r, const struct json *listener)
{
    static const char *const known[] = {"number", "protocol", "name", "targetPort", NULL};
    const struct json *port = read_object(r, listener, "port");
    read_only(r, port, known);
    uint16_t number = read_port(r, port, "number");
    if (port && !number)
        read_fail(r, port, "number is missing");
    return number;
}

static size_t count_hosts(struct reader *r, const struct json *egress)
{
    size_t n = 0;
    json_for_each (j, egress) {
        if (!json_is(j, JSON_OBJECT))
            read_fail(r, j, "must be an object");
        else
            n += json_count(read_member(j, "hosts"));
    }
    if (n > EGRESS_HOSTS_MAX)
        read_fail(r, egress, "has more than %d hosts", EGRESS_HOSTS_MAX);
    return n;
}

static void read_egress(struct reader *r, const struct json *spec, struct object *o)
{
    static const char *const known[] = {"port", "bind", "captureMode", "hosts", NULL};
    struct sidecar *s = &o->sidecar;
    const struct json *list = read_list(r, spec, "egress", SIDECAR_LISTENERS_MAX);
    const char **hosts = read_array(r, count_hosts(r, list), sizeof *hosts);
    s->hosts.items = hosts;
    if (read_failed(r) || r->no_memory)
        return;
    json_for_each (j, list) {
        const struct json *of = read_list(r, j, "hosts", EGRESS_HOSTS_MAX);
        uint16_t port = read_listener_port(r, j);
        read_only(r, j, known);
        note(r, s, j, "bind", "connections are captured wherever they go");
        note(r, s, j, "captureMode", "connections are captured wherever they go");
        if (json_count(of) == 0)
            read_fail(r, j, "has no hosts");
        json_for_each (host, of)
            if (hosts && !read_failed(r))
                hosts[s->hosts.n++] = read_host(r, o, host, port);
    }
}

static void read_mode(struct reader *r, const struct json *spec, struct sidecar *s)
{
    static const char *const known[] = {"mode", NULL};
    const struct json *policy = read_object(r, spec, "outboundTrafficPolicy");
    const char *mode = read_string(r, policy, "mode");
    read_only(r, policy, known);
    s->mode_said = policy != NULL;
    s->registry_only = policy && (!mode[0] || strcmp(mode, "REGISTRY_ONLY") == 0);
    if (!s->registry_only && policy && strcmp(mode, "ALLOW_ANY") != 0)
        read_fail(r, read_member(policy, "mode"), "'%.40s' is neither REGISTRY_ONLY nor ALLOW_ANY",
                  mode);
}

void sidecar_read(struct reader *r, const struct json *document, struct object *o)
{
    static const char *const known[] = {"workloadSelector",      "egress",
                                        "outboundTrafficPolicy", "ingress",
                                        "inboundConnectionPool", NULL};
    static const char *const labels[] = {"labels", NULL};
    struct sidecar *s = &o->sidecar;
    const struct json *spec = read_object(r, document, "spec");
    const struct json *selector = read_object(r, spec, "workloadSelector");
    read_only(r, spec, known);
    read_only(r, selector, labels);
    s->selector = read_labels(r, selector, "labels");
    note(r, s, spec, "ingress", "there is no sidecar; ports are those of the pod");
    note(r, s, spec, "inboundConnectionPool", "there is no sidecar; ports are those of the pod");
    read_egress(r, spec, o);
    read_mode(r, spec, s);
}

/* ---- What can't be read ---------------------------------------------------------------------- */

static struct reader reader_anew(struct object_arena *arena, const struct json *document, struct json_error *error)
{
    *error = (struct json_error){0};
    return (struct reader){.arena = arena, .error = error, .document = document};
}

/* A list of it, or an object that has none. */
static const struct json *items_of(const struct json *of, const char *name)
{
    const struct json *list = json_is(of, JSON_OBJECT) ? read_member(of, name) : NULL;
    return json_is(list, JSON_ARRAY) ? list : NULL;
}

static void keep_host(struct object_arena *arena, const struct json *document, const struct json *host,
                      uint16_t port, struct object *o, const char **hosts)
{
    struct values *kept = &o->sidecar.hosts;
    struct json_error error;
    struct reader r = reader_anew(arena, document, &error);
    const char *read = read_host(&r, o, host, port);
    if (!read_failed(&r) && !r.no_memory && kept->n < EGRESS_HOSTS_MAX)
        hosts[kept->n++] = read;
}

static void keep_listener(struct object_arena *arena, const struct json *document, const struct json *listener,
                          struct object *o, const char **hosts)
{
    struct json_error error;
    struct reader r = reader_anew(arena, document, &error);
    if (!json_is(listener, JSON_OBJECT))
        return;
    uint16_t port = read_listener_port(&r, listener);
    if (read_failed(&r)) /* for which port nobody knows */
        return;
    json_for_each (host, items_of(listener, "hosts"))
        keep_host(arena, document, host, port, o, hosts);
}

void sidecar_read_closed(struct object_arena *arena, const struct json *document, struct object *o)
{
    static const char *const nothing[] = {"~/*"};
    struct sidecar *s = &o->sidecar;
    struct json_error error;
    struct reader r = reader_anew(arena, document, &error);
    *s = (struct sidecar){.mode_said = true, .registry_only = true};
    const struct json *spec = read_object(&r, document, "spec");
    const struct json *egress = json_is(spec, JSON_OBJECT) ? read_member(spec, "egress") : NULL;
    const char **hosts = egress ? read_array(&r, EGRESS_HOSTS_MAX, sizeof *hosts) : NULL;
    s->hosts.items = hosts;
    json_for_each (listener, hosts ? items_of(spec, "egress") : NULL)
        keep_listener(arena, document, listener, o, hosts);
    if (egress && s->hosts.n == 0)
        s->hosts = (struct values){nothing, 1};
    r = reader_anew(arena, document, &error);
    s->selector = read_labels(&r, read_object(&r, spec, "workloadSelector"), "labels");
    if (read_failed(&r) || r.no_memory) /* whom it is for nobody knows: all of its namespace */
        s->selector = (struct labels){NULL, 0};
}
