#include "controller/translate/traffic_host.h"
#include <stdio.h>

struct text traffic_full_host(const struct view *v, const char *ns, const char *host,
                              char out[static VIEW_KEY_MAX])
{
    if (host[0] == '*' || strchr(host, '.'))
        snprintf(out, VIEW_KEY_MAX, "%s", host);
    else
        snprintf(out, VIEW_KEY_MAX, "%s.%s.svc.%s", host, ns, v->settings->cluster_domain);
    return text_of(out);
}

struct text traffic_named_host(const struct view *v, const char *ns, const char *name,
                               char out[static VIEW_KEY_MAX])
{
    const char *made = strchr(name, '/');
    if (made)
        snprintf(out, VIEW_KEY_MAX, "%s", made + 1);
    else
        snprintf(out, VIEW_KEY_MAX, "%s.%s.svc.%s", name, ns, v->settings->cluster_domain);
    return text_of(out);
}

struct text traffic_service_host(const struct view *v, const struct object *service,
                                 char out[static VIEW_KEY_MAX])
{
    return traffic_named_host(v, service->ns, service->name, out);
}

static bool copy(struct text t, char out[static 64])
{
    if (t.len == 0 || t.len >= 64)
        return false;
    memcpy(out, t.data, t.len);
    out[t.len] = '\0';
    return true;
}

bool traffic_name(const struct view *v, struct text host, struct traffic_name *ret)
{
    struct text name, ns, svc, rest;
    return text_split(host, '.', &name, &rest) && text_split(rest, '.', &ns, &rest) &&
           text_split(rest, '.', &svc, &rest) && text_equal(svc, TEXT("svc")) &&
           text_equal(rest, text_of(v->settings->cluster_domain)) && copy(name, ret->name) &&
           copy(ns, ret->ns);
}

const struct object *traffic_by_host(const struct view *v, struct text full)
{
    struct traffic_name at;
    const struct object *service = traffic_name(v, full, &at)
                                       ? object_store_get(v->store, OBJECT_SERVICE, at.ns, at.name)
                                       : NULL;
    if (service)
        return service->service.external_name ? NULL : service;
    struct object_group made = object_index_get(&v->made_of, full);
    return made.n > 0 ? made.items[0] : NULL;
}

bool traffic_counts(const struct view *v, const struct object *service)
{
    char host[VIEW_KEY_MAX];
    if (!service->made)
        return !service->service.external_name;
    return traffic_by_host(v, traffic_service_host(v, service, host)) == service;
}

bool traffic_is_told_to(const struct object *service, const char *ns)
{
    const struct values *to = &service->service.exported;
    for (size_t i = 0; i < to->n; i++)
        if (strcmp(to->items[i], ns) == 0)
            return true;
    return to->n == 0;
}

const struct object *traffic_service(const struct view *v, const char *ns, const char *host)
{
    char full[VIEW_KEY_MAX];
    const struct object *service = traffic_by_host(v, traffic_full_host(v, ns, host, full));
    return service && traffic_is_told_to(service, ns) ? service : NULL;
}

bool traffic_host_matches(struct text host, struct text full)
{
    if (host.len == 0 || host.data[0] != '*')
        return text_equal(host, full);
    return full.len >= host.len && text_ends_with(full, (struct text){host.data + 1, host.len - 1});
}

int traffic_each_host(struct text full, int (*call)(void *user, struct text host), void *user)
{
    char wildcard[VIEW_KEY_MAX + 1];
    struct text head, rest = full;
    int err = call(user, full);
    while (err == 0 && text_split(rest, '.', &head, &rest)) {
        int len = snprintf(wildcard, sizeof wildcard, "*.%.*s", (int)rest.len, rest.data);
        err = call(user, (struct text){wildcard, (size_t)len});
    }
    return err ? err : call(user, TEXT("*"));
}
