#include "controller/serve/registry.h"
#include "controller/model/read.h"
#include "shared/base/file.h"
#include "shared/base/log.h"
#include "shared/json/json_out.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Entries in the store ------------------------------------------------------------------- */

static struct object *in_store(const struct registry *r, const struct registration *m)
{
    return object_store_get(r->store, OBJECT_WORKLOAD_ENTRY, m->ns, m->name);
}

static struct object *group_of(const struct registry *r, const struct registration *m)
{
    return object_store_get(r->store, OBJECT_WORKLOAD_GROUP, m->ns, m->group);
}

/* Is it this account's, whose entries there may be? */
static bool is_for(const struct registry *r, const struct object *group, const char *identity)
{
    const struct workload_group *g = &group->workload_group;
    struct spiffe_id id;
    return g->flaw.kind == GATEWAY_NO_FLAW &&
           spiffe_id_make(text_of(r->trust_domain), text_of(group->ns),
                          text_of(g->template.service_account), &id) == 0 &&
           strcmp(id.text, identity) == 0;
}

static void forget_entry(struct registration *m)
{
    if (m->entry)
        object_unref(m->entry);
    if (m->made_of)
        object_unref(m->made_of);
    m->entry = m->made_of = NULL;
}

static bool take_out(struct registry *r, struct registration *m)
{
    bool ours = m->entry && in_store(r, m) == m->entry;
    if (ours)
        object_store_remove(r->store, OBJECT_WORKLOAD_ENTRY, m->ns, m->name);
    forget_entry(m);
    return ours;
}

static int put_in(struct registry *r, struct registration *m, struct object *group)
{
    struct object *entry;
    int err = workload_group_entry(group, m->name, &m->address, m->created_s, &entry);
    if (err == 0 && entry)
        err = object_store_put(r->store, entry);
    if (err < 0 || !entry) {
        object_unref(entry);
        return err;
    }
    forget_entry(m);
    m->entry = entry;
    m->made_of = object_ref(group);
    return 0;
}

/* True: the store is not what it was. */
static bool settle(struct registry *r, struct registration *m)
{
    struct object *group = group_of(r, m), *there = in_store(r, m);
    if (!group || !is_for(r, group, m->identity))
        return take_out(r, m);
    if (there && there != m->entry) { /* somebody has written it meanwhile */
        forget_entry(m);
        return false;
    }
    if (there && m->made_of == group)
        return false;
    int err = put_in(r, m, group);
    if (err < 0)
        log_warn("registry", "%s/%s is not registered for now: %s", m->ns, m->name, strerror(-err));
    return err == 0;
}

bool registry_refresh(struct registry *r)
{
    bool changed = false;
    list_for_each (node, &r->all)
        changed = settle(r, container_of(node, struct registration, link)) || changed;
    return changed;
}

/* ---- Who is registered ---------------------------------------------------------------------- */

static struct text key_of(const char *ns, const char *name, char out[static OBJECT_KEY_MAX])
{
    snprintf(out, OBJECT_KEY_MAX, "%s/%s", ns, name);
    return text_of(out);
}

static struct registration *find(const struct registry *r, const char *ns, const char *name)
{
    char key[OBJECT_KEY_MAX];
    return map_get(&r->named, key_of(ns, name, key));
}

static void drop(struct registry *r, struct registration *m)
{
    char key[OBJECT_KEY_MAX];
    map_remove(&r->named, key_of(m->ns, m->name, key));
    list_remove(&m->link);
    forget_entry(m);
    free(m);
}

static int add(struct registry *r, const char *ns, const char *group, const char *name,
               struct registration **ret)
{
    char key[OBJECT_KEY_MAX];
    struct registration *m = calloc(1, sizeof *m);
    int err = m ? map_put(&r->named, key_of(ns, name, key), m, NULL) : -ENOMEM;
    if (err < 0) {
        free(m);
        return err;
    }
    snprintf(m->ns, sizeof m->ns, "%s", ns);
    snprintf(m->group, sizeof m->group, "%s", group);
    snprintf(m->name, sizeof m->name, "%s", name);
    r->unsaved = true;
    list_push_back(&r->all, &m->link);
    *ret = m;
    return 0;
}

static void tell(struct registry *r)
{
    if (r->changed)
        r->changed(r->changed_arg);
}

static bool is_among(const struct ip *ip, const char *addresses)
{
    struct text one, rest = text_of(addresses);
    while (rest.len > 0) {
        struct ip own;
        if (!text_split(rest, ',', &one, &rest)) {
            one = rest;
            rest = TEXT("");
        }
        if (ip_parse(one, &own) == 0 && ip_equal(&own, ip))
            return true;
    }
    return false;
}

/* "GROUP-SOMETHING", as Kubernetes names objects. */
static const char *check_names(const struct delta_machine *m)
{
    struct text name = text_of(m->name), group = text_of(m->group);
    const char *wrong = name_check_label(text_of(m->ns));
    if (!wrong)
        wrong = name_check_subdomain(group);
    if (!wrong)
        wrong = name_check_subdomain(name);
    if (!wrong && (!text_starts_with(name, group) || name.len < group.len + 2 ||
                   name.data[group.len] != '-'))
        wrong = "must be the group's name, a dash and a name of the machine's own";
    return wrong;
}

static int check_claim(const struct registry *r, const struct registry_claim *c,
                       char why[static WHY_MAX])
{
    const struct delta_machine *m = &c->machine;
    char printed[IP_TEXT_MAX];
    struct spiffe_id id;
    const char *wrong = check_names(m);
    if (wrong)
        return why_say(-EINVAL, why, "machine '%.60s' of group '%.60s' in namespace '%.60s': the name %s", m->name, m->group, m->ns, wrong);
    if (spiffe_id_parse(text_of(c->identity), &id) < 0 ||
        !text_equal(spiffe_id_namespace(&id), text_of(m->ns)))
        return why_say(-EACCES, why, "who registers in namespace %s must have joined as one of its accounts", m->ns);
    const struct object *group = object_store_get(r->store, OBJECT_WORKLOAD_GROUP, m->ns, m->group);
    if (!group)
        return why_say(-ENOENT, why, "there is no WorkloadGroup %s/%.100s", m->ns, m->group);
    const struct workload_group *g = &group->workload_group;
    if (g->flaw.kind != GATEWAY_NO_FLAW)
        return why_say(-ENOENT, why, "WorkloadGroup %s/%.60s counts for nothing: %.100s", m->ns, m->group, g->flaw.text);
    if (!is_for(r, group, c->identity))
        return why_say(-EACCES, why, "WorkloadGroup %s/%.60s is for machines that joined as account '%.60s'", m->ns, m->group, g->template.service_account);
    if (!is_among(&c->from, m->addresses))
        return why_say(-EACCES, why, "it comes from %s, which is none of its own addresses: write a WorkloadEntry for it", ip_print(&c->from, printed));
    return 0;
}

static int take_name(struct registry *r, const struct registry_claim *c, struct registration **ret,
                     char why[static WHY_MAX])
{
    const struct delta_machine *m = &c->machine;
    char printed[IP_TEXT_MAX];
    struct registration *before = find(r, m->ns, m->name);
    if (before && (strcmp(before->group, m->group) != 0 || strcmp(before->identity, c->identity) != 0))
        return why_say(-EEXIST, why, "a machine of group %.60s has the name %.60s", before->group, m->name);
    if (before && !ip_equal(&before->address, &c->from))
        return why_say(-EEXIST, why, "a machine at %s has the name %.60s, %s", ip_print(&before->address, printed), m->name,
                       before->streams > 0 ? "and is connected" : "until its lease is over");
    if (before) {
        *ret = before;
        return 0;
    }
    if (object_store_get(r->store, OBJECT_WORKLOAD_ENTRY, m->ns, m->name))
        return why_say(-EEXIST, why, "there is a WorkloadEntry %s/%.60s already: start this machine with --workload", m->ns, m->name);
    int err = add(r, m->ns, m->group, m->name, ret);
    if (err < 0)
        return err == -ENOSPC ? why_say(err, why, "%d machines are registered: no more can be", REGISTRY_MAX)
                              : why_say(err, why, "out of memory");
    snprintf((*ret)->identity, sizeof (*ret)->identity, "%s", c->identity);
    (*ret)->address = c->from;
    (*ret)->created_s = c->now_s;
    return 0;
}

int registry_enter(struct registry *r, const struct registry_claim *claim,
                   struct registration **ret, char why[static WHY_MAX])
{
    size_t before = r->named.count;
    int err = check_claim(r, claim, why);
    if (err == 0)
        err = take_name(r, claim, ret, why);
    if (err < 0)
        return err;
    struct registration *m = *ret;
    m->streams++;
    if (settle(r, m) || r->named.count > before)
        tell(r);
    return 0;
}

void registry_leave(struct registry *r, struct registration *m, uint64_t now_ms)
{
    (void)r;
    if (--m->streams == 0)
        m->left_ms = now_ms;
}

bool registry_tick(struct registry *r, uint64_t now_ms)
{
    bool changed = false;
    list_for_each (node, &r->all) {
        struct registration *m = container_of(node, struct registration, link);
        if (m->streams > 0 || now_ms < m->left_ms + r->lease_ms)
            continue;
        log_info("registry", "%s/%s is gone", m->ns, m->name);
        changed = take_out(r, m) || changed;
        drop(r, m);
        r->unsaved = true;
    }
    return changed;
}

/* ---- The file ------------------------------------------------------------------------------- */

int registry_save(struct registry *r)
{
    struct text_heap text;
    struct json_out out;
    char printed[IP_TEXT_MAX];
    if (!r->unsaved)
        return 0;
    text_heap_init(&text, REGISTRY_FILE_MAX);
    json_out_init(&out, &text, true);
    json_out_object(&out, NULL);
    json_out_array(&out, "machines");
    list_for_each (node, &r->all) {
        const struct registration *m = container_of(node, struct registration, link);
        json_out_object(&out, NULL);
        json_out_string(&out, "namespace", m->ns);
        json_out_string(&out, "group", m->group);
        json_out_string(&out, "name", m->name);
        json_out_string(&out, "address", ip_print(&m->address, printed));
        json_out_string(&out, "identity", m->identity);
        json_out_i64(&out, "registered", m->created_s);
        json_out_end(&out);
    }
    json_out_end(&out);
    json_out_end(&out);
    int err = text.failed ? -ENOMEM
                          : file_replace(r->file, (struct text){text.data, text.len}, 0600, NULL);
    text_heap_done(&text);
    r->unsaved = err < 0;
    return err;
}

static int load_machine(struct registry *r, const struct json *j, uint64_t now_ms,
                        struct json_error *e)
{
    struct text ns = {0}, group = {0}, name = {0}, address = {0}, identity = {0};
    struct registration *m;
    struct ip ip = {0};
    int64_t created_s = 0;
    (void)json_read_text(j, "namespace", &ns, e);
    (void)json_read_text(j, "group", &group, e);
    (void)json_read_text(j, "name", &name, e);
    (void)json_read_text(j, "address", &address, e);
    (void)json_read_text(j, "identity", &identity, e);
    (void)json_read_i64(j, "registered", 0, INT64_MAX, &created_s, e);
    if (json_failed(e))
        return -EINVAL;
    const struct delta_machine said = {(char *)group.data, (char *)ns.data, (char *)name.data, NULL};
    const char *wrong = check_names(&said);
    if (!wrong && ip_parse(address, &ip) < 0)
        wrong = "has an address that is none";
    if (!wrong && spiffe_id_check(identity))
        wrong = "has an identity that is none";
    if (!wrong && find(r, ns.data, name.data))
        wrong = "is there twice";
    if (wrong)
        return json_fail(e, j, "'%.60s' %s", name.data, wrong);
    int err = add(r, ns.data, group.data, name.data, &m);
    if (err < 0)
        return err;
    snprintf(m->identity, sizeof m->identity, "%s", identity.data);
    m->address = ip;
    m->created_s = created_s;
    m->left_ms = now_ms;
    return 0;
}

static int load(struct registry *r, struct text content, uint64_t now_ms, char why[static WHY_MAX])
{
    struct json_error e = {0};
    struct json *root = NULL;
    const struct json *machines = NULL;
    int err = json_parse(content, NULL, &root, &e);
    if (err == 0)
        err = json_read_node(root, "machines", JSON_ARRAY, &machines, &e);
    json_for_each (j, machines)
        if (err == 0)
            err = load_machine(r, j, now_ms, &e);
    json_free(root);
    if (err == 0)
        return 0;
    return why_say(err == -ENOMEM ? err : -EINVAL, why, "%s:%u: %.150s", r->file, e.line, e.text[0] ? e.text : strerror(-err));
}

int registry_open(struct registry *r, struct object_store *store, const char *trust_domain,
                  const char *file, uint64_t lease_ms, uint64_t now_ms, char why[static WHY_MAX])
{
    *r = (struct registry){
        .store = store, .trust_domain = trust_domain, .file = file, .lease_ms = lease_ms};
    map_init(&r->named, REGISTRY_MAX);
    list_init(&r->all);
    char *content = malloc(REGISTRY_FILE_MAX);
    why[0] = '\0';
    size_t len = 0;
    int err = content ? file_read(file, 0, content, REGISTRY_FILE_MAX, &len) : -ENOMEM;
    if (err == -ENOENT) { /* and a place where none can be made is told of now */
        r->unsaved = true;
        err = registry_save(r);
    } else if (err == 0)
        err = load(r, (struct text){content, len}, now_ms, why);
    if (err < 0 && !why[0])
        (void)why_errno(err, why, "%s", file);
    free(content);
    if (err < 0)
        registry_done(r);
    return err;
}

void registry_done(struct registry *r)
{
    list_for_each (node, &r->all)
        drop(r, container_of(node, struct registration, link));
    map_done(&r->named, NULL);
}
