#include "controller/model/object_read.h"
#include "controller/model/health_annotation.h"
#include "controller/model/object_kinds.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct kind_description {
    const char *kind, *group;
    bool namespaced;
};
static const struct kind_description kinds[OBJECT_KIND_COUNT] = {
#define X(name, kind, group, namespaced) {kind, group, namespaced},
    OBJECT_KINDS(X)
#undef X
};

static const struct json *text_member(const struct json *of, const char *name)
{
    const struct json *j = read_member(of, name);
    return json_is(j, JSON_STRING) ? j : NULL;
}

bool object_is_list(const struct json *document)
{
    struct text kind = json_text(text_member(document, "kind"));
    return text_equal(json_text(text_member(document, "apiVersion")), TEXT("v1")) &&
           text_equal(kind, TEXT("List"));
}

/* 0; -ENOENT: none of ours; -EINVAL. */
static int read_kind(struct reader *r, const struct json *document,
                     struct object_identity *identity)
{
    if (!json_is(document, JSON_OBJECT)) {
        read_fail(r, document,
                  "a document must be an object with apiVersion, kind and metadata, and is %s",
                  json_kind_name(json_kind(document)));
        return -EINVAL;
    }
    const struct json *version = text_member(document, "apiVersion");
    const struct json *kind = text_member(document, "kind");
    if (!version || !kind) {
        const char *missing = version ? "kind" : "apiVersion";
        read_fail(r, document, "%s is missing or no string", missing);
        return -EINVAL;
    }
    struct text api = json_text(version), group = TEXT(""), number = api;
    text_split(api, '/', &group, &number);
    snprintf(identity->api_kind, sizeof identity->api_kind, "%s %s", json_text(version).data,
             json_text(kind).data);
    for (unsigned i = 0; i < OBJECT_KIND_COUNT; i++) {
        if (!text_equal(json_text(kind), text_of(kinds[i].kind)) ||
            !text_equal(group, text_of(kinds[i].group)))
            continue;
        identity->kind = (enum object_kind)i;
        bool has_beta = kinds[i].group[0] != '\0';
        const char *alpha = strcmp(kinds[i].group, GATEWAY_GROUP) == 0      ? "v1alpha2"
                            : strcmp(kinds[i].group, NETWORKING_GROUP) == 0 ? "v1alpha3"
                                                                            : "v1";
        if (text_equal(number, TEXT("v1")) || (has_beta && text_equal(number, TEXT("v1beta1"))) ||
            text_equal(number, text_of(alpha)) ||
            (i == OBJECT_TLS_ROUTE && text_equal(number, TEXT("v1alpha3"))))
            return 0;
        read_fail(r, version, "'%s' is not supported; write %s%sv1", api.data, kinds[i].group,
                  has_beta ? "/" : "");
        return -EINVAL;
    }
    return -ENOENT;
}

static const char *check_name(enum object_kind kind, struct text name)
{
    return kind == OBJECT_NAMESPACE || kind == OBJECT_SERVICE ? name_check_label(name)
                                                              : name_check_subdomain(name);
}

static void read_identity(struct reader *r, const struct json *document,
                          struct object_identity *identity)
{
    const struct json *metadata = read_object(r, document, "metadata");
    const struct json *name = text_member(metadata, "name");
    const struct json *ns = read_member(metadata, "namespace");
    bool namespaced = kinds[identity->kind].namespaced;

    if (!name) {
        read_fail(r, metadata ? metadata : document, "%sname is missing or no string",
                  metadata ? "" : "metadata.");
        return;
    }
    const char *wrong = check_name(identity->kind, json_text(name));
    if (wrong) {
        read_fail(r, name, "'%s' %s", json_text(name).data, wrong);
        return;
    }
    if (ns && namespaced && (wrong = name_check_label(json_text(ns)))) {
        read_fail(r, ns, "'%s' %s", json_text(ns).len ? json_text(ns).data : "", wrong);
        return;
    }
    snprintf(identity->name, sizeof identity->name, "%s", json_text(name).data);
    snprintf(identity->ns, sizeof identity->ns, "%s",
             !namespaced ? ""
             : ns        ? json_text(ns).data
                         : "default");
    identity->known = true;
}

static void read_kind_fields(struct reader *r, const struct json *document, struct object *o)
{
    switch (o->kind) {
    case OBJECT_POD:
        pod_read(r, document, o);
        break;
    case OBJECT_SERVICE:
        kube_service_read(r, document, o);
        break;
    case OBJECT_ENDPOINT_SLICE:
        endpoint_slice_read(r, document, o);
        break;
    case OBJECT_AUTHORIZATION_POLICY:
        authorization_policy_read(r, document, o);
        break;
    case OBJECT_PEER_AUTHENTICATION:
        peer_authentication_read(r, document, o);
        break;
    case OBJECT_HTTP_ROUTE:
        http_route_read(r, document, o);
        break;
    case OBJECT_GRPC_ROUTE:
        grpc_route_read(r, document, o);
        break;
    case OBJECT_INGRESS:
        ingress_read(r, document, o);
        break;
    case OBJECT_INGRESS_CLASS:
    case OBJECT_MESH: /* with the same fields */
        ingress_class_read(r, document, o);
        break;
    case OBJECT_SECRET:
        secret_read(r, document, o);
        break;
    case OBJECT_TCP_ROUTE:
        tcp_route_read(r, document, o);
        break;
    case OBJECT_TLS_ROUTE:
        tls_route_read(r, document, o);
        break;
    case OBJECT_REFERENCE_GRANT:
        reference_grant_read(r, document, o);
        break;
    case OBJECT_VIRTUAL_SERVICE:
        virtual_service_read(r, document, o);
        break;
    case OBJECT_DESTINATION_RULE:
        destination_rule_read(r, document, o);
        break;
    case OBJECT_SERVICE_ENTRY:
        service_entry_read(r, document, o);
        break;
    case OBJECT_SIDECAR:
        sidecar_read(r, document, o);
        break;
    case OBJECT_WORKLOAD_ENTRY:
        workload_entry_read(r, document, o);
        break;
    case OBJECT_BACKEND_TLS_POLICY:
        backend_tls_read(r, document, o);
        break;
    case OBJECT_CONFIG_MAP:
        config_map_read(r, document, o);
        break;
    case OBJECT_WORKLOAD_GROUP:
        workload_group_read(r, document, o);
        break;
    case OBJECT_NAMESPACE:
    case OBJECT_NODE:
    case OBJECT_SERVICE_ACCOUNT:
    case OBJECT_KIND_COUNT:
        break; /* metadata is all that we use */
    }
}

/* What can't be read, but was there to hold something back: it does. False: nothing of it counts. */
static bool read_closed(const struct json *document, struct object *o)
{
    if (o->kind == OBJECT_SIDECAR)
        sidecar_read_closed(&o->arena, document, o);
    return o->kind == OBJECT_SIDECAR ||
           (o->kind == OBJECT_BACKEND_TLS_POLICY && backend_tls_read_closed(&o->arena, document, o)) ||
           (o->kind == OBJECT_DESTINATION_RULE && destination_rule_read_closed(&o->arena, document, o));
}

static int read_known(struct reader *r, const struct json *document, const char *file,
                      struct object **ret, struct object_identity *identity)
{
    read_identity(r, document, identity);
    if (!identity->known)
        return -EINVAL;

    struct object *o = calloc(1, sizeof *o);
    if (!o)
        return -ENOMEM;
    *o = (struct object){.kind = identity->kind, .refs = 1, .line = json_line(document)};
    object_arena_init(&o->arena, OBJECT_BYTES_MAX);
    r->arena = &o->arena;
    r->document = document;
    const struct json *metadata = read_member(document, "metadata");
    o->ns = read_copy(r, text_of(identity->ns));
    o->name = read_copy(r, text_of(identity->name));
    o->file = read_copy(r, text_of(file));
    o->labels = read_labels(r, metadata, "labels");
    static const char *const annotations[] = {"istio.io/dry-run", HEALTH_ANNOTATION,
                                              "networking.istio.io/traffic-distribution", EXPORT_ANNOTATION, NULL};
    o->annotations = read_some_labels(r, metadata, "annotations", annotations);
    o->created_s = read_time(r, metadata, "creationTimestamp");
    o->deleting = read_member(metadata, "deletionTimestamp") != NULL;
    read_kind_fields(r, document, o);
    bool holds_back = read_failed(r) && !r->no_memory && read_closed(document, o);
    if (read_failed(r) && !holds_back) {
        object_unref(o);
        return r->no_memory ? -ENOMEM : -EINVAL; /* what is missing is no fault of its author */
    }
    *ret = o;
    return holds_back ? -EINVAL : 0;
}

int object_read(const struct json *document, const char *file, struct object **ret,
                struct object_identity *ret_identity, struct json_error *ret_error)
{
    struct reader r = {.error = ret_error};
    *ret = NULL;
    *ret_identity = (struct object_identity){0};
    *ret_error = (struct json_error){0};

    int err = read_kind(&r, document, ret_identity);
    return err ? err : read_known(&r, document, file, ret, ret_identity);
}

int object_read_as(enum object_kind kind, const struct json *document, const char *file,
                   struct object **ret, struct object_identity *ret_identity,
                   struct json_error *ret_error)
{
    struct reader r = {.error = ret_error};
    *ret = NULL;
    *ret_identity = (struct object_identity){.kind = kind};
    *ret_error = (struct json_error){0};
    return read_known(&r, document, file, ret, ret_identity);
}
