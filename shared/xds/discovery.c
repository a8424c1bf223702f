#include "shared/xds/discovery.h"

#include "shared/base/list.h"
#include <errno.h>

enum { GROWTH = 24 };

int discovery_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
                     struct arena **ret_arena, const ProtobufCMessage **ret,
                     char why[static XDS_WHY_MAX])
{
    struct arena *arena = arena_new(wire_space(len, GROWTH));
    if (!arena)
        return wire_no_memory(why);
    int r = wire_unpack(type, data, len, arena, ret, why);
    if (r < 0)
        (void)arena_free(arena);
    else
        *ret_arena = arena;
    return r;
}

static int check_count(const char *field, size_t n, char why[static XDS_WHY_MAX])
{
    return n > XDS_RESOURCES_MAX ? wire_refuse(why, "%s: has %zu entries, at most %d are allowed",
                                               field, n, XDS_RESOURCES_MAX)
                                 : 0;
}

int discovery_list(struct arena *a, const char *field, size_t n, size_t size, void **ret,
                   char why[static XDS_WHY_MAX])
{
    int r = check_count(field, n, why);
    if (r < 0)
        return r;
    void *list = arena_zero(a, n, size);
    if (!list)
        return a->no_memory ? wire_no_memory(why) : wire_refuse(why, "%s: has too many parts", field);
    *ret = list;
    return 0;
}

int discovery_check_text(const char *field, const char *text, char why[static XDS_WHY_MAX])
{
    return strlen(text) > XDS_NAME_MAX
               ? wire_refuse(why, "%s: is longer than %d bytes", field, XDS_NAME_MAX)
               : 0;
}

int discovery_check_names(const char *field, char *const *names, size_t n,
                          char why[static XDS_WHY_MAX])
{
    int r = check_count(field, n, why);
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (strlen(names[i]) > XDS_NAME_MAX)
            r = wire_refuse(why, "%s: a name is longer than %d bytes", field, XDS_NAME_MAX);
    }
    return r;
}

int discovery_check_node(const Envoy__Config__Core__V3__Node *node, char why[static XDS_WHY_MAX])
{
    int r;
    if (!node)
        return 0;
    if ((r = discovery_check_text("node.id", node->id, why)) < 0 ||
        (r = discovery_check_text("node.cluster", node->cluster, why)) < 0 ||
        (r = discovery_check_text("node.user_agent_name", node->user_agent_name, why)) < 0 ||
        !node->locality)
        return r;
    if ((r = discovery_check_text("node.locality.region", node->locality->region, why)) < 0 ||
        (r = discovery_check_text("node.locality.zone", node->locality->zone, why)) < 0)
        return r;
    return discovery_check_text("node.locality.sub_zone", node->locality->sub_zone, why);
}

Envoy__Config__Core__V3__Node *discovery_node(Envoy__Config__Core__V3__Node *made, char *id,
                                              char *cluster)
{
    envoy__config__core__v3__node__init(made);
    made->id = id;
    made->cluster = cluster;
    return (id && *id) || (cluster && *cluster) ? made : NULL;
}

static const char *const machine_keys[] = {"AUTO_REGISTER_GROUP", "NAMESPACE", "NAME", "INSTANCE_IPS"};

static char **machine_field(struct delta_machine *m, size_t i)
{
    char **const fields[] = {&m->group, &m->ns, &m->name, &m->addresses};
    return fields[i];
}

int discovery_machine_read(const Envoy__Config__Core__V3__Node *node, struct delta_machine *ret,
                           char why[static XDS_WHY_MAX])
{
    static char none[1];
    const Google__Protobuf__Struct *s = node ? node->metadata : NULL;
    *ret = (struct delta_machine){none, none, none, none};
    for (size_t i = 0; s && i < s->n_fields; i++)
        for (size_t k = 0; k < ARRAY_SIZE(machine_keys); k++) {
            const Google__Protobuf__Struct__FieldsEntry *e = s->fields[i];
            if (strcmp(e->key, machine_keys[k]) != 0 || !e->value)
                continue;
            int r = discovery_check_text("node.metadata", e->value->string_value, why);
            if (r < 0)
                return r;
            *machine_field(ret, k) = e->value->string_value;
        }
    return 0;
}

Google__Protobuf__Struct *discovery_machine(struct discovery_metadata *made,
                                            const struct delta_machine *of)
{
    struct delta_machine m = *of;
    if (!m.group || !*m.group)
        return NULL;
    google__protobuf__struct__init(&made->made);
    made->made.fields = made->list;
    for (size_t i = 0; i < ARRAY_SIZE(machine_keys); i++) {
        google__protobuf__struct__fields_entry__init(&made->entries[i]);
        google__protobuf__value__init(&made->values[i]);
        made->entries[i].key = (char *)machine_keys[i];
        made->entries[i].value = &made->values[i];
        if (*machine_field(&m, i))
            made->values[i].string_value = *machine_field(&m, i);
        made->list[made->made.n_fields++] = &made->entries[i];
    }
    return &made->made;
}

Google__Rpc__Status *discovery_error(Google__Rpc__Status *made, bool has_error, int32_t code,
                                     char *message)
{
    google__rpc__status__init(made);
    made->code = code;
    made->message = message;
    return has_error ? made : NULL;
}
