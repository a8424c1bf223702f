#include "controller/translate/backend_tls_attach.h"
#include "controller/translate/rule_attach.h"
#include "shared/mesh/cluster.h"
#include <errno.h>
#include <stdlib.h>

/* ---- Which one counts ----------------------------------------------------------------------- */

static const struct gateway_parent *target_of(const struct object *policy, const struct object *service)
{
    const struct backend_tls *b = &policy->backend_tls;
    for (size_t i = 0; i < b->n_targets; i++)
        if (gateway_is_service(&b->targets[i].ref) && strcmp(b->targets[i].ref.name, service->name) == 0)
            return &b->targets[i];
    return NULL;
}

bool backend_tls_names(const struct object *policy, const struct object *service)
{
    return strcmp(policy->ns, service->ns) == 0 && target_of(policy, service);
}

bool backend_tls_trusts(const struct object *policy, const struct object *config_map)
{
    const struct backend_tls *b = &policy->backend_tls;
    bool found = false;
    for (size_t i = 0; i < b->n_roots && !found; i++)
        found = backend_tls_root_is_map(&b->roots[i]) && strcmp(policy->ns, config_map->ns) == 0 &&
                strcmp(b->roots[i].name, config_map->name) == 0;
    return found;
}

/* How much of a port it names: 2: the port, 1: its Service, 0: nothing. */
static unsigned names_port(const struct object *policy, const struct object *service, const char *port)
{
    const struct backend_tls *b = &policy->backend_tls;
    unsigned best = 0;
    for (size_t i = 0; i < b->n_targets; i++) {
        const struct gateway_parent *t = &b->targets[i];
        if (!gateway_is_service(&t->ref) || strcmp(t->ref.name, service->name) != 0)
            continue;
        unsigned much = !t->section[0] ? 1 : strcmp(t->section, port) == 0 ? 2 : 0;
        best = much > best ? much : best;
    }
    return best;
}

static bool is_before(const struct object *a, const struct object *b)
{
    if (a->created_s != b->created_s)
        return a->created_s < b->created_s;
    return strcmp(a->name, b->name) < 0;
}

static const struct object *counting(const struct view *v, const struct object *service, const char *port)
{
    struct view_range all = view_namespace(v, OBJECT_BACKEND_TLS_POLICY, service->ns);
    const struct object *best = NULL;
    unsigned best_much = 0;
    for (size_t i = 0; i < all.n; i++) {
        unsigned much = names_port(all.items[i], service, port);
        if (much > best_much || (much > 0 && much == best_much && is_before(all.items[i], best))) {
            best = all.items[i];
            best_much = much;
        }
    }
    return best;
}

const struct object *backend_tls_of(const struct view *v, const struct object *service,
                                    const struct kube_service_port *port)
{
    return service->made ? NULL : counting(v, service, port->name);
}

/* ---- Its roots ------------------------------------------------------------------------------ */

/* NULL: it is as it should be; else why not, *ret_kind: since it is of a kind that is none of roots. */
static const char *root_flaw(const struct view *v, const struct object *policy,
                             const struct gateway_ref *ref, bool *ret_kind)
{
    *ret_kind = !backend_tls_root_is_map(ref);
    if (*ret_kind)
        return "is no ConfigMap";
    const struct object *map = object_store_get(v->store, OBJECT_CONFIG_MAP, policy->ns, ref->name);
    return !map ? "there is no such ConfigMap, or it may not be read" : map->config_map.flaw;
}

static size_t roots_len(const struct view *v, const struct object *policy)
{
    const struct backend_tls *b = &policy->backend_tls;
    size_t len = 0;
    bool kind;
    for (size_t i = 0; i < b->n_roots; i++)
        if (!root_flaw(v, policy, &b->roots[i], &kind))
            len += strlen(object_store_get(v->store, OBJECT_CONFIG_MAP, policy->ns, b->roots[i].name)->config_map.roots) + 1;
    return len;
}

/* Those that are roots, one after another; NULL: no memory. */
static char *roots_of(const struct view *v, const struct object *policy, struct arena *arena)
{
    const struct backend_tls *b = &policy->backend_tls;
    char *pem = arena_zero(arena, roots_len(v, policy) + 1, 1), *at = pem;
    bool kind;
    for (size_t i = 0; pem && i < b->n_roots; i++)
        if (!root_flaw(v, policy, &b->roots[i], &kind)) {
            at = stpcpy(at, object_store_get(v->store, OBJECT_CONFIG_MAP, policy->ns, b->roots[i].name)->config_map.roots);
            *at++ = '\n';
        }
    return pem;
}

/* ---- Into a cluster ------------------------------------------------------------------------- */

bool backend_tls_apply(const struct view *v, const struct object *service,
                       const struct kube_service_port *port, struct cluster *c)
{
    static struct text h2[] = {{"h2", 2}}, http11[] = {{"http/1.1", 8}};
    const struct object *policy = backend_tls_of(v, service, port);
    if (!policy)
        return false;
    const struct backend_tls *b = &policy->backend_tls;
    size_t len = roots_len(v, policy);
    char *pem = NULL;
    rule_close(c);
    if (b->flaw.kind != GATEWAY_NO_FLAW || len > BACKEND_TLS_PEM_MAX || (!b->system && len == 0))
        return true;
    if (!b->system && !(pem = roots_of(v, policy, &c->arena)))
        return true;
    c->tls.sni = text_of(b->hostname);
    c->tls.sans = (struct text_match *)b->names;
    c->tls.n_sans = b->n_names;
    c->tls.system_roots = b->system;
    c->tls.ca_pem = pem ? text_of(pem) : (struct text){0};
    if (c->protocol == UPSTREAM_HTTP2 || c->protocol == UPSTREAM_HTTP1) {
        c->tls.alpn = c->protocol == UPSTREAM_HTTP2 ? h2 : http11;
        c->tls.n_alpn = 1;
    }
    return true;
}

/* ---- What is said of it --------------------------------------------------------------------- */

static void refuse(struct gateway_condition *c, const char *reason, const char *what, const char *why)
{
    struct text_out out = TEXT_OUT(c->message);
    c->holds = false;
    c->reason = reason;
    out.len = 0;
    text_printf(&out, "%s%s%s", what, what[0] ? ": " : "", why);
}

static bool has_port(const struct object *service, const char *name)
{
    bool found = !name[0];
    for (size_t i = 0; i < service->service.n_ports && !found; i++)
        found = strcmp(service->service.ports[i].name, name) == 0;
    return found;
}

/* Of the ports that it names one at least is its own. */
static bool counts_for(const struct view *v, const struct object *policy, const struct object *service, const char *section)
{
    bool found = false;
    for (size_t i = 0; i < service->service.n_ports && !found; i++) {
        const char *name = service->service.ports[i].name;
        found = (!section[0] || strcmp(section, name) == 0) && counting(v, service, name) == policy;
    }
    return found;
}

static void judge_roots(const struct view *v, const struct object *policy, struct gateway_parent_status *s)
{
    const struct backend_tls *b = &policy->backend_tls;
    size_t good = 0;
    for (size_t i = 0; i < b->n_roots; i++) {
        bool kind;
        const char *why = root_flaw(v, policy, &b->roots[i], &kind);
        good += !why;
        if (why && s->resolved.holds)
            refuse(&s->resolved, kind ? "InvalidKind" : "InvalidCACertificateRef", b->roots[i].field, why);
    }
    if (b->n_roots > 0 && good == 0)
        refuse(&s->accepted, "NoValidCACertificate", "spec.validation.caCertificateRefs", "none of them has a root: nobody speaks to the Service");
    else if (roots_len(v, policy) > BACKEND_TLS_PEM_MAX)
        refuse(&s->accepted, "Invalid", "spec.validation.caCertificateRefs", "together they are too long");
}

static void judge_target(const struct view *v, const struct object *policy, struct gateway_parent_status *s)
{
    const struct backend_tls *b = &policy->backend_tls;
    const struct gateway_parent *t = s->parent;
    const struct object *service = gateway_is_service(&t->ref) ? object_store_get(v->store, OBJECT_SERVICE, policy->ns, t->ref.name) : NULL;
    s->accepted = s->resolved = (struct gateway_condition){.holds = true, .reason = "Accepted"};
    s->resolved.reason = "ResolvedRefs";
    s->partial = (struct gateway_condition){.holds = false};
    judge_roots(v, policy, s);
    if (b->flaw.kind != GATEWAY_NO_FLAW)
        refuse(&s->accepted, "Invalid", "", b->flaw.text);
    else if (!service)
        refuse(&s->accepted, "TargetNotFound", t->ref.field, "there is no such Service");
    else if (!has_port(service, t->section))
        refuse(&s->accepted, "TargetNotFound", t->ref.field, "the Service has no port of the name sectionName");
    else if (s->accepted.holds && !counts_for(v, policy, service, t->section))
        refuse(&s->accepted, "Conflicted", t->ref.field, "an older BackendTLSPolicy, or one that names the port, counts there");
}

int backend_tls_status(const struct view *v, const struct object *policy,
                       struct gateway_parent_status **ret, size_t *ret_n)
{
    const struct backend_tls *b = &policy->backend_tls;
    *ret_n = 0;
    *ret = calloc(b->n_targets + 1, sizeof **ret);
    if (!*ret)
        return -ENOMEM;
    for (; *ret_n < b->n_targets; ++*ret_n) {
        (*ret)[*ret_n].parent = &b->targets[*ret_n];
        judge_target(v, policy, &(*ret)[*ret_n]);
    }
    return 0;
}

void backend_tls_warn(const struct view *v, const struct object *policy, struct problems *problems)
{
    const struct backend_tls *b = &policy->backend_tls;
    char key[OBJECT_KEY_MAX];
    object_key(policy->kind, policy->ns, policy->name, key);
    for (size_t i = 0; i < b->n_targets; i++) {
        struct gateway_parent_status s = {.parent = &b->targets[i]};
        judge_target(v, policy, &s);
        if (!s.accepted.holds)
            problems_add(problems, PROBLEM_ERROR, policy->file, policy->line, key, "", "%s (%s)", s.accepted.message, s.accepted.reason);
        else if (!s.resolved.holds)
            problems_add(problems, PROBLEM_ERROR, policy->file, policy->line, key, "", "%s (%s)", s.resolved.message, s.resolved.reason);
    }
}
