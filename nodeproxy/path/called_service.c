#include "nodeproxy/path/called_service.h"

char *called_service_key(const struct local_pod *pod, struct text host, const struct service **ret)
{
    char data[600];
    struct text_out out = TEXT_OUT(data);
    struct text first, rest, ns;
    text_printf(&out, "%s/%.*s", pod->ns, (int)host.len, host.data);
    *ret = directory_service(pod->env->directory, text_of(data));
    if (!*ret && text_split(host, '.', &first, &rest) && text_split(rest, '.', &ns, &rest)) {
        out = TEXT_OUT(data);
        text_printf(&out, "%.*s/%.*s", (int)ns.len, ns.data, (int)host.len, host.data);
        *ret = directory_service(pod->env->directory, text_of(data));
    }
    return *ret ? text_dup(text_of((*ret)->key)) : NULL;
}

static uint16_t target_port_of(const struct port_pair *ports, size_t n, uint16_t service_port)
{
    for (size_t i = 0; i < n; i++)
        if (ports[i].service_port == service_port)
            return ports[i].target_port;
    return 0;
}

uint16_t called_service_target(const struct local_pod *pod, const struct service *s, uint16_t service_port)
{
    const struct workload *self = directory_workload(pod->env->directory, text_of(pod->uid));
    for (size_t i = 0; self && i < self->n_services; i++) {
        const struct workload_service *mine = &self->services[i];
        if (!text_equal(text_of(mine->key), text_of(s->key)))
            continue;
        uint16_t port = target_port_of(mine->ports, mine->n_ports, service_port);
        return port ? port : target_port_of(s->ports, s->n_ports, service_port);
    }
    return 0;
}

const struct service *called_service_among(const struct local_pod *pod, const struct workload *self, struct text host)
{
    for (size_t i = 0; host.len > 0 && i < self->n_services; i++) {
        const struct service *s = directory_service(pod->env->directory, text_of(self->services[i].key));
        if (s && text_equal_nocase(text_of(s->hostname), host))
            return s;
    }
    return NULL;
}
