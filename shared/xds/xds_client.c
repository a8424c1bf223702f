#include "shared/xds/xds_client.h"

#include "shared/base/list.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Names and versions go back to the server in one message at a reconnect: together they must fit
 * in it. */
enum { NAMES_BYTES_MAX = GRPC_MESSAGE_MAX - 1024 * 1024, ENTRY_OVERHEAD = 16, ERROR_MAX = 2048 };

/* Policies are asked for first, so that they tend to be here before what they protect; clusters before
 * the Services that they are of, for a Service without one is spoken to as nobody wrote, which a cluster
 * that asks for TLS must never be; and routes after what they lead to. */
static const enum xds_type order[] = {XDS_AUTHORIZATION, XDS_CLUSTER, XDS_ENDPOINTS, XDS_ADDRESS,
                                      XDS_ROUTES, XDS_GATEWAY};

static bool is_asked_for(const struct xds_client *c, enum xds_type type)
{
    return c->types & 1U << type;
}

static struct xds_client *client_of(struct grpc_call *call)
{
    return container_of(call, struct xds_client, call);
}

void xds_client_init(struct xds_client *c, const char *node_id, unsigned types,
                     const struct xds_client_events *events, void *user)
{
    *c = (struct xds_client){.events = events, .user = user, .types = types};
    (void)snprintf(c->node_id, sizeof c->node_id, "%s", node_id);
    for (unsigned i = 0; i < XDS_TYPE_COUNT; i++)
        map_init(&c->versions[i], XDS_RESOURCES_MAX);
}

/* ---- What we have -------------------------------------------------------------------------- */

static void forget(struct xds_client *c, enum xds_type type, struct text name)
{
    char *version = map_remove(&c->versions[type], name);
    if (!version)
        return;
    c->names_bytes[type] -= name.len + strlen(version) + ENTRY_OVERHEAD;
    free(version);
}

/* A place for the name and its version, before the resource is applied; -ENOMEM, -ENOSPC. */
static int remember(struct xds_client *c, enum xds_type type, struct text name, char *taken_version)
{
    const char *had = map_get(&c->versions[type], name);
    size_t bytes = c->names_bytes[type] + strlen(taken_version);
    void *old = NULL;

    if (had)
        bytes -= strlen(had);
    else
        bytes += name.len + ENTRY_OVERHEAD;
    int r =
        bytes > NAMES_BYTES_MAX ? -ENOSPC : map_put(&c->versions[type], name, taken_version, &old);
    if (r < 0) {
        free(taken_version);
        return r;
    }
    c->names_bytes[type] = bytes;
    free(old);
    return 0;
}

/* What is here is of no version that a server has: after a reconnect it is sent once more. */
static void unversion(struct xds_client *c, enum xds_type type, struct text name)
{
    char *version = map_get(&c->versions[type], name);

    c->names_bytes[type] -= strlen(version);
    version[0] = '\0';
}

/* ---- Sending ------------------------------------------------------------------------------- */

static int send_request(struct xds_client *c, const struct delta_request *request)
{
    struct xds_bytes bytes;

    int r = delta_request_encode(request, &bytes);
    if (r < 0)
        return r;
    r = grpc_call_send(&c->call, bytes.data, bytes.len);
    xds_bytes_done(&bytes);
    return r;
}

/* The first message of a type: everything is wanted, and this is what is here already. */
static int subscribe(struct xds_client *c, enum xds_type type)
{
    const struct map *versions = &c->versions[type];
    struct delta_request request = {
        .node_id = c->node_id,
        .machine = c->machine,
        .type_url = (char *)xds_type_url(type),
        .initial = calloc(versions->count + 1, sizeof *request.initial),
    };
    const struct map_entry *e;

    if (!request.initial)
        return -ENOMEM;
    for (size_t i = 0; (e = map_next(versions, &i));)
        request.initial[request.n_initial++] = (struct xds_version){e->key, e->value};
    int r = send_request(c, &request);
    free(request.initial);
    return r;
}

/* ---- Receiving ----------------------------------------------------------------------------- */

struct reasons {
    struct text_out out;
    char data[ERROR_MAX];
    size_t refused;
    bool no_memory; /* for one at least, which is as it should be */
};

static void add_reason(struct reasons *r, const char *name, const char *why)
{
    if (r->refused++ > 0)
        text_puts(&r->out, "; ");
    text_puts(&r->out, name);
    text_puts(&r->out, ": ");
    text_puts(&r->out, why);
}

/* Names from outside may have been cut in the middle of a character: a text on the wire must be
 * UTF-8. */
static void make_ascii(char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~')
            *text = '?';
    }
}

static void note_error(struct xds_client *c, struct text text)
{
    struct text_out out = TEXT_OUT(c->stats.last_error);

    text_put(&out, text);
    make_ascii(c->stats.last_error);
}

static void end(struct xds_client *c, enum grpc_status status, struct text message)
{
    c->started = false;
    c->stats.connected = false;
    c->stats.terminations++;
    if (message.len > 0)
        note_error(c, message);
    c->events->closed(c, status, message);
}

static void give_up(struct xds_client *c, enum grpc_status status, const char *message)
{
    grpc_call_cancel(&c->call);
    end(c, status, text_of(message));
}

static int by_name(const void *a, const void *b)
{
    const struct delta_resource *x = *(const struct delta_resource *const *)a;
    const struct delta_resource *y = *(const struct delta_resource *const *)b;
    int order_of_names = strcmp(x->name, y->name);
    return order_of_names ? order_of_names : x < y ? -1 : x > y;
}

static int by_text(const void *name, const void *resource)
{
    return strcmp(name, (*(const struct delta_resource *const *)resource)->name);
}

static const char *out_of_memory(struct reasons *r)
{
    r->no_memory = true;
    return "out of memory";
}

/* Why a resource is not applied; NULL: it was. */
static const char *apply(struct xds_client *c, enum xds_type type,
                         const struct delta_resource *resource, struct reasons *reasons,
                         char why[static XDS_WHY_MAX])
{
    struct text name = text_of(resource->name);

    if (name.len == 0)
        return "has no name";
    if (!text_equal(text_of(resource->type_url), text_of(xds_type_url(type)))) {
        (void)snprintf(why, XDS_WHY_MAX, "is of type '%.150s'", resource->type_url);
        return why;
    }
    char *version = text_dup(text_of(resource->version));
    if (!version)
        return out_of_memory(reasons);
    /* What can't be remembered is not applied either: after a reconnect nobody would remove it. */
    bool known = map_get(&c->versions[type], name) != NULL;
    if (!known) {
        char *unversioned = calloc(1, 1);
        int e = unversioned ? remember(c, type, name, unversioned) : -ENOMEM;
        if (e < 0) {
            free(version);
            return e == -ENOSPC ? "is one too many" : out_of_memory(reasons);
        }
    }
    why[0] = '\0';
    int r = c->events->put(c, type, name, resource->body, resource->body_len, why);
    if (r != 0) {
        reasons->no_memory |= r == -ENOMEM;
        free(version);
        if (!known)
            forget(c, type, name);
        return why[0] ? why : "was refused";
    }
    if (remember(c, type, name, version) < 0)
        unversion(c, type, name);
    return NULL;
}

/*
 * Puts come before removals: a replaced endpoint is there before the old one goes. A name that is
 * in a response twice is applied once and refused the other times; one that is both sent and
 * removed stays.
 */
static int apply_all(struct xds_client *c, enum xds_type type, const struct delta_response *m,
                     struct reasons *reasons)
{
    size_t n = m->n_resources;
    const struct delta_resource **sorted = calloc(n + 1, sizeof *sorted);
    bool *again = calloc(n + 1, sizeof *again);
    char why[XDS_WHY_MAX];

    if (!sorted || !again) {
        free(sorted);
        free(again);
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++)
        sorted[i] = &m->resources[i];
    qsort(sorted, n, sizeof *sorted, by_name);
    for (size_t i = 1; i < n; i++)
        again[sorted[i] - m->resources] = strcmp(sorted[i]->name, sorted[i - 1]->name) == 0;
    for (size_t i = 0; i < n; i++) {
        const struct delta_resource *resource = &m->resources[i];
        const char *bad =
            again[i] ? "is in this response more than once" : apply(c, type, resource, reasons, why);
        if (bad)
            add_reason(reasons, resource->name, bad);
    }
    for (size_t i = 0; i < m->n_removed; i++) {
        struct text name = text_of(m->removed[i]);
        if (n > 0 && bsearch(m->removed[i], sorted, n, sizeof *sorted, by_text)) {
            add_reason(reasons, m->removed[i], "is both sent and removed");
        } else if (map_get(&c->versions[type], name)) {
            c->events->removed(c, type, name);
            forget(c, type, name);
        }
    }
    free(sorted);
    free(again);
    return 0;
}

/* Without it a workload might be reached by whom it must not. */
static bool protects(enum xds_type type)
{
    return type == XDS_AUTHORIZATION || type == XDS_ADDRESS;
}

static void message(struct grpc_call *call, const uint8_t *data, size_t len)
{
    struct xds_client *c = client_of(call);
    struct reasons reasons = {.refused = 0};
    struct delta_response response;
    enum xds_type type = XDS_TYPE_COUNT;
    char why[XDS_WHY_MAX] = "";

    reasons.out = TEXT_OUT(reasons.data);
    c->stats.connected = true;
    if (delta_response_decode(data, len, &response, why) < 0) {
        give_up(c, GRPC_INTERNAL, why); /* without a nonce there is nothing to refuse */
        return;
    }
    struct delta_request answer = {.type_url = response.type_url, .nonce = response.nonce};
    int r = 0;
    if (xds_type_of(text_of(response.type_url), &type) < 0 || !is_asked_for(c, type)) {
        add_reason(&reasons, response.type_url, "was not asked for");
    } else {
        c->stats.messages[type]++;
        c->stats.bytes[type] += len;
        r = apply_all(c, type, &response, &reasons);
    }
    if (reasons.refused > 0) {
        make_ascii(reasons.data);
        answer.has_error = true;
        answer.error_code = GRPC_INVALID_ARGUMENT;
        answer.error_message = reasons.data;
        note_error(c, text_of(reasons.data));
        if (type < XDS_TYPE_COUNT)
            c->stats.nacks[type]++;
    }
    if (reasons.no_memory) { /* nobody would send it once more on this stream */
        delta_response_done(&response);
        give_up(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    if (r == 0)
        r = send_request(c, &answer);
    delta_response_done(&response);
    if (r < 0) {
        give_up(c, GRPC_UNAVAILABLE, r == -ENOMEM ? "out of memory" : "cannot answer the server");
        return;
    }
    if (type < XDS_TYPE_COUNT && (reasons.refused == 0 || !protects(type))) {
        c->stats.synced[type] = true;
        c->events->synced(c, type);
    }
}

static void closed(struct grpc_call *call, enum grpc_status status, struct text text)
{
    end(client_of(call), status, text);
}

static const struct grpc_call_events call_events = {.message = message, .closed = closed};

int xds_client_start(struct xds_client *c, struct http2 *h, struct chunk_pool *pool,
                     struct text authority, struct text bearer)
{
    const struct grpc_call_options options = {
        .path = TEXT(XDS_DELTA_PATH),
        .authority = authority,
        .bearer = bearer,
    };

    assert(!c->started);
    int r = grpc_call_start(&c->call, h, pool, &options, &call_events, c);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        if (is_asked_for(c, order[i]) && (r = subscribe(c, order[i])) < 0) {
            grpc_call_cancel(&c->call);
            return r;
        }
    }
    c->started = true;
    return 0;
}

bool xds_client_synced(const struct xds_client *c, unsigned types)
{
    for (unsigned i = 0; i < XDS_TYPE_COUNT; i++)
        if ((types & 1u << i) && is_asked_for(c, (enum xds_type)i) && !c->stats.synced[i])
            return false;
    return true;
}

void xds_client_stop(struct xds_client *c)
{
    if (c->started)
        grpc_call_cancel(&c->call);
    c->started = false;
    c->stats.connected = false;
}

void xds_client_forget(struct xds_client *c)
{
    assert(!c->started);
    for (unsigned i = 0; i < XDS_TYPE_COUNT; i++) {
        map_done(&c->versions[i], free);
        map_init(&c->versions[i], XDS_RESOURCES_MAX);
        c->names_bytes[i] = 0;
        c->stats.synced[i] = false;
    }
}

void xds_client_done(struct xds_client *c)
{
    xds_client_stop(c);
    for (unsigned i = 0; i < XDS_TYPE_COUNT; i++)
        map_done(&c->versions[i], free);
}
