#include "controller/model/backend_tls.h"
#include "controller/model/object_kinds.h"
#include "controller/model/traffic_read.h"
#include "shared/tls/web_roots.h"
#include <errno.h>

static void read_targets(struct reader *r, const struct json *spec, struct object *o)
{
    static const char *const known[] = {"group", "kind", "name", "sectionName", NULL};
    struct backend_tls *b = &o->backend_tls;
    const struct json *list = read_list(r, spec, "targetRefs", BACKEND_TLS_TARGETS_MAX);
    struct gateway_parent *targets = read_array(r, json_count(list), sizeof *targets);
    b->targets = targets;
    if (json_count(list) == 0)
        read_fail(r, list ? list : spec, "targetRefs must name at least one Service");
    json_for_each (j, list) {
        if (!targets)
            return;
        gateway_known(r, &b->flaw, j, known);
        struct gateway_parent *t = &targets[b->n_targets++];
        t->ref = gateway_ref_read(r, j, o->ns, "", "Service");
        t->section = read_string(r, j, "sectionName");
        if (t->ref.group[0] || strcmp(t->ref.kind, "Service") != 0)
            gateway_flaw_add(r, &b->flaw, GATEWAY_FLAW_VALUE, j, "is no Service");
    }
}

static void read_names(struct reader *r, const struct json *of, struct backend_tls *b)
{
    static const char *const known[] = {"type", "hostname", "uri", NULL};
    static const char *const types[] = {"Hostname", "URI", NULL};
    const struct json *list = read_list(r, of, "subjectAltNames", BACKEND_TLS_NAMES_MAX);
    struct text_match *names = read_array(r, json_count(list), sizeof *names);
    b->names = names;
    json_for_each (j, list) {
        unsigned type = 0;
        if (!names)
            return;
        gateway_known(r, &b->flaw, j, known);
        json_read_choice(j, "type", types, &type, r->error);
        const char *name = read_string(r, j, type ? "uri" : "hostname");
        if (!name[0])
            gateway_flaw_add(r, &b->flaw, GATEWAY_FLAW_VALUE, j, "%s is missing", type ? "uri" : "hostname");
        if (!type && name[0] == '*')
            gateway_flaw_add(r, &b->flaw, GATEWAY_FLAW_VALUE, j, "hostname: '%.60s' is a pattern: list the names", name);
        names[b->n_names++] = (struct text_match){.kind = TEXT_EXACT, .value = text_of(name)};
    }
}

static void read_validation(struct reader *r, const struct json *spec, struct object *o)
{
    static const char *const known[] = {"caCertificateRefs", "wellKnownCACertificates", "hostname", "subjectAltNames", NULL};
    static const char *const ref_known[] = {"group", "kind", "name", NULL};
    static const char *const well_known[] = {"System", NULL};
    struct backend_tls *b = &o->backend_tls;
    const struct json *j = read_object(r, spec, "validation");
    const struct json *list = read_list(r, j, "caCertificateRefs", BACKEND_TLS_ROOTS_MAX);
    struct gateway_ref *roots = read_array(r, json_count(list), sizeof *roots);
    unsigned which = 0;
    b->roots = roots;
    if (!j) {
        read_fail(r, spec, "validation is missing");
        return;
    }
    gateway_known(r, &b->flaw, j, known);
    b->hostname = read_string(r, j, "hostname");
    if (name_check_subdomain(text_of(b->hostname)))
        gateway_flaw_add(r, &b->flaw, GATEWAY_FLAW_VALUE, j, "hostname: '%.60s' %s", b->hostname, name_check_subdomain(text_of(b->hostname)));
    read_names(r, j, b);
    json_for_each (item, list) {
        if (!roots)
            return;
        gateway_known(r, &b->flaw, item, ref_known);
        roots[b->n_roots++] = gateway_ref_read(r, item, o->ns, "", "ConfigMap");
    }
    b->system = read_member(j, "wellKnownCACertificates") != NULL;
    json_opt_choice(j, "wellKnownCACertificates", well_known, &which, r->error);
    if (b->system == (b->n_roots > 0))
        gateway_flaw_add(r, &b->flaw, GATEWAY_FLAW_VALUE, j, "needs either caCertificateRefs or wellKnownCACertificates");
}

void backend_tls_read(struct reader *r, const struct json *document, struct object *o)
{
    static const char *const known[] = {"targetRefs", "validation", "options", NULL};
    struct backend_tls *b = &o->backend_tls;
    const struct json *spec = read_object(r, document, "spec");
    b->hostname = "";
    if (!spec) {
        read_fail(r, document, "spec is missing");
        return;
    }
    read_targets(r, spec, o);
    gateway_known(r, &b->flaw, spec, known);
    const struct json *options = read_object(r, spec, "options");
    if (json_count(options) > 0)
        gateway_flaw_add(r, &b->flaw, GATEWAY_FLAW_VALUE, options, "no option is known here");
    read_validation(r, spec, o);
}

bool backend_tls_read_closed(struct object_arena *arena, const struct json *document, struct object *o)
{
    struct json_error error = {0};
    struct reader r = {.arena = arena, .error = &error, .document = document};
    const struct json *spec = read_member(document, "spec");
    o->backend_tls = (struct backend_tls){.hostname = ""};
    read_targets(&r, spec, o);
    if (read_failed(&r) || r.no_memory)
        return false;
    gateway_flaw_add(&r, &o->backend_tls.flaw, GATEWAY_FLAW_VALUE, spec, "can't be read");
    return !r.no_memory;
}

void config_map_read(struct reader *r, const struct json *document, struct object *o)
{
    struct text pem = json_text(read_member(read_object(r, document, "data"), "ca.crt"));
    struct web_roots *roots = NULL;
    const char *why = "ca.crt is missing";
    o->config_map.roots = "";
    int err = pem.len == 0 ? -EINVAL : pem.len > BACKEND_TLS_PEM_MAX ? -E2BIG : web_roots_from_pem(pem, &roots, NULL, &why);
    web_roots_unref(roots);
    if (err == -ENOMEM)
        r->no_memory = true;
    else if (err < 0)
        o->config_map.flaw = read_copy(r, text_of(err == -E2BIG ? "ca.crt is too long" : why));
    else
        o->config_map.roots = read_copy(r, pem);
}
