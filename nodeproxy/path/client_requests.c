#include "nodeproxy/path/client_requests.h"

/* ---- the end ------------------------------------------------------------- */

void client_requests_look(struct client_requests *c)
{
    ring_task_ask(c->host.ring, &c->look);
}

void client_requests_end(struct client_requests *c, enum ending ending)
{
    if (c->ending == ENDING_NONE)
        c->ending = ending;
    client_requests_look(c);
}

static void look(struct ring_task *task)
{
    struct client_requests *c = container_of(task, struct client_requests, look);
    bool rests = !c->front.link && (!c->ops->rests || c->ops->rests(c));
    if (c->ending != ENDING_NONE && !c->closing && !c->told && rests) {
        c->told = true;
        c->ops->ended(c, c->ending);
    }
    if (!c->closing || c->gone || !rests || c->host.n > 0)
        return;
    c->gone = true;
    ring_task_cancel(&c->look); /* asked for again by the close */
    c->ops->drained(c);
}

void client_requests_drain(struct client_requests *c)
{
    c->drains = true;
    if (c->front.link)
        http_link_drain(c->front.link);
}

void client_requests_close(struct client_requests *c, enum ending ending)
{
    if (c->closing)
        return;
    c->closing = true;
    if (c->ending == ENDING_NONE)
        c->ending = ending;
    list_for_each (n, &c->host.exchanges)
        exchange_close(exchange_of_link(n), ending);
    http_front_close(&c->front);
    client_requests_look(c);
}

/* ---- the exchanges ------------------------------------------------------- */

void client_requests_over(struct exchange_host *host, const struct exchange_record *record)
{
    struct client_requests *c = client_requests_of(host);
    c->ops->over(c, record);
}

void client_requests_gone(struct exchange_host *host)
{
    client_requests_look(client_requests_of(host));
}

bool client_requests_look_again(struct client_requests *c)
{
    bool ended = false;
    list_for_each (n, &c->host.exchanges)
        ended |= exchange_look_again(exchange_of_link(n), ENDING_POLICY_CHANGED);
    return ended;
}

/* ---- the client's link --------------------------------------------------- */

static struct http_stream *asked(struct http_link *l, unsigned *ret_status)
{
    struct client_requests *c = l->user;
    *ret_status = 503;
    if (c->drains)
        http_link_drain(l);
    return c->closing ? NULL : exchange_begin(&c->host);
}

/* What came to nothing before it was an exchange leaves its record, too. */
static void refused(struct http_link *l, unsigned status, const char *why)
{
    struct client_requests *c = l->user;
    const struct exchange_record record = {
        .status = status,
        .grpc_status = -1,
        .own = true,
        .client = l->version,
        .why = why,
        .ending = status == 503 || status == 0 ? ENDING_LIMIT : ENDING_BAD_REQUEST,
    };
    c->ops->over(c, &record);
}

static void closed(struct http_link *l, int error, const char *why)
{
    struct client_requests *c = l->user;
    (void)why;
    c->front.link = NULL;
    client_requests_end(c, http_front_ending(error));
    if (c->ops->left)
        c->ops->left(c);
}

static int spoken(struct http_front *f, enum http_version version)
{
    struct client_requests *c = f->user;
    return c->ops->spoken ? c->ops->spoken(c, version) : 0;
}

static void failed(struct http_front *f, enum ending ending)
{
    struct client_requests *c = f->user;
    client_requests_end(c, ending);
    if (c->ops->left)
        c->ops->left(c);
}

static const struct http_link_events link_events = {
    .request = asked, .refused = refused, .closed = closed};
static const struct http_front_events front_events = {
    .spoken = spoken, .failed = failed, .link = &link_events};

void client_requests_init(struct client_requests *c, const struct client_requests_options *o,
                          const struct client_requests_ops *ops)
{
    *c = (struct client_requests){.ops = ops};
    exchange_host_init(&c->host, ops->host, o->ring, o->pool);
    c->host.hold = o->hold;
    c->host.bounds = o->bounds;
    c->host.bound = o->bound;
    c->host.idle_ms = o->idle_ms;
    c->host.choose_ms = o->choose_ms;
    ring_task_init(&c->look, look);
    http_front_init(&c->front, o->ring, o->client, o->idle_ms, &front_events, c);
}
