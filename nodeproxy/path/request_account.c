#include "nodeproxy/path/request_account.h"

#include "nodeproxy/path/request_words.h"
#include <stdio.h>

/* ---- The families ----------------------------------------------------------------------------- */

enum { L_RESPONSE_CODE = ACCOUNT_LABELS, L_GRPC_STATUS, LABELS };
static const char *const names[LABELS] = {ACCOUNT_LABEL_NAMES, "response_code",
                                          "grpc_response_status"};

#define FAMILY(symbol, metric, about, kind)                                                        \
    const struct metric_family symbol = {metric, about, kind, names, LABELS}
FAMILY(request_total, "istio_requests_total", "Requests.", METRIC_COUNTER);
FAMILY(request_duration, "istio_request_duration_milliseconds",
       "From the request's head to the answer's last byte.", METRIC_HISTOGRAM);
FAMILY(request_received, "istio_request_bytes", "Sizes of the requests' bodies.", METRIC_HISTOGRAM);
FAMILY(request_sent, "istio_response_bytes", "Sizes of the answers' bodies.", METRIC_HISTOGRAM);
FAMILY(request_messages, "istio_request_messages_total", "Messages of gRPC that clients sent.",
       METRIC_COUNTER);
FAMILY(request_answer_messages, "istio_response_messages_total",
       "Messages of gRPC that servers sent.", METRIC_COUNTER);

/* ---- The labels ------------------------------------------------------------------------------- */

static struct text number(char digits[static 12], int value)
{
    return (struct text){digits, (size_t)snprintf(digits, 12, "%d", value)};
}

/* ---- Counting --------------------------------------------------------------------------------- */

static bool is_of(const struct request_series *s, const struct exchange_record *r)
{
    return s->total && s->status == r->status && s->grpc_status == response_grpc_status(r) &&
           s->flags == response_flags_of(r) && s->grpc == r->grpc && addr_equal(&s->to, &r->to);
}

static void let_go(struct request_series *s)
{
    if (!s->total)
        return;
    metric_let_go(s->total);
    metric_let_go(s->duration);
    metric_let_go(s->received);
    metric_let_go(s->sent);
    if (s->messages)
        metric_let_go(s->messages);
    if (s->answer_messages)
        metric_let_go(s->answer_messages);
    s->total = NULL;
}

static void find(struct request_account *a, const struct exchange_record *r,
                 struct request_series *ret)
{
    char code[12], grpc_code[12], flags[RESPONSE_FLAGS_TEXT_MAX];
    int grpc_status = response_grpc_status(r);
    struct text v[LABELS];
    struct spiffe_id memory;
    a->labels(a->user, r, &memory, v);
    v[ACCOUNT_LABEL_PROTOCOL] = r->grpc ? TEXT("grpc") : TEXT("http");
    v[ACCOUNT_LABEL_FLAGS] = response_flags_text(response_flags_of(r), flags);
    v[L_RESPONSE_CODE] = number(code, (int)r->status);
    v[L_GRPC_STATUS] = grpc_status >= 0 ? number(grpc_code, grpc_status) : TEXT("");
    *ret = (struct request_series){
        .total = metric_hold(metrics_series(a->metrics, &request_total, v)),
        .duration = metric_hold(metrics_series(a->metrics, &request_duration, v)),
        .received = metric_hold(metrics_series(a->metrics, &request_received, v)),
        .sent = metric_hold(metrics_series(a->metrics, &request_sent, v)),
        .to = r->to,
        .status = (uint16_t)r->status,
        .grpc_status = (int16_t)grpc_status,
        .flags = response_flags_of(r),
        .grpc = r->grpc,
    };
    if (!r->grpc)
        return;
    ret->messages = metric_hold(metrics_series(a->metrics, &request_messages, v));
    ret->answer_messages = metric_hold(metrics_series(a->metrics, &request_answer_messages, v));
}

void request_account_count(struct request_account *a, const struct exchange_record *record)
{
    struct request_series *s = NULL;
    for (size_t i = 0; !s && i < REQUEST_ACCOUNT_KEPT; i++)
        if (is_of(&a->kept[i], record))
            s = &a->kept[i];
    if (!s) {
        s = &a->kept[a->next++ % REQUEST_ACCOUNT_KEPT];
        let_go(s);
        find(a, record, s);
    }
    metric_add(s->total, 1);
    metric_observe(s->duration, record->duration_ms);
    metric_observe(s->received, record->bytes_received);
    metric_observe(s->sent, record->bytes_sent);
    if (s->messages)
        metric_add(s->messages, record->messages_received);
    if (s->answer_messages)
        metric_add(s->answer_messages, record->messages_sent);
}

void request_account_begin(struct request_account *a, struct metrics *metrics,
                           request_account_labels *labels, void *user)
{
    *a = (struct request_account){.metrics = metrics, .labels = labels, .user = user};
}

void request_account_end(struct request_account *a)
{
    for (size_t i = 0; i < REQUEST_ACCOUNT_KEPT; i++)
        let_go(&a->kept[i]);
}

/* ---- What has gone ---------------------------------------------------------------------------- */

enum { NAME_MAX_KEPT = 600 };
static char is_there, is_asked_for;

struct looking {
    struct map workloads; /* that series without a holder speak of: "namespace/name" */
    bool failed;
};

static struct text key_of(const char *ns, const char *name, char out[static NAME_MAX_KEPT])
{
    struct text_out o = {out, 0, NAME_MAX_KEPT, false};
    text_puts(&o, ns);
    text_putc(&o, '/');
    text_puts(&o, name);
    return (struct text){o.data, o.len};
}

static bool known_side(char *const *values, int side, char out[static NAME_MAX_KEPT],
                       struct text *ret)
{
    if (strcmp(values[side], "unknown") == 0 || strcmp(values[side], "overflow") == 0)
        return false;
    *ret = key_of(values[side + 1], values[side], out);
    return true;
}

static bool ask_for(void *user, char *const *values)
{
    static const int sides[] = {ACCOUNT_LABEL_SOURCE, ACCOUNT_LABEL_DESTINATION};
    struct looking *l = user;
    char name[NAME_MAX_KEPT];
    struct text key;
    for (size_t i = 0; i < ARRAY_SIZE(sides); i++)
        if (known_side(values, sides[i], name, &key) &&
            map_put(&l->workloads, key, &is_asked_for, NULL) < 0)
            l->failed = true;
    return false;
}

static bool see(const struct workload *w, void *user)
{
    struct looking *l = user;
    char name[NAME_MAX_KEPT];
    struct text key = key_of(w->ns, w->workload_name, name);
    if (map_get(&l->workloads, key))
        (void)map_put(&l->workloads, key, &is_there, NULL); /* in its place */
    return true;
}

static bool is_gone(void *user, char *const *values)
{
    static const int sides[] = {ACCOUNT_LABEL_SOURCE, ACCOUNT_LABEL_DESTINATION};
    struct looking *l = user;
    char name[NAME_MAX_KEPT];
    struct text key;
    for (size_t i = 0; i < ARRAY_SIZE(sides); i++)
        if (known_side(values, sides[i], name, &key) &&
            map_get(&l->workloads, key) == &is_asked_for)
            return true;
    return false;
}

void request_account_drop_gone(struct metrics *metrics, const struct directory *directory)
{
    static const struct metric_family *const families[] = {
        &request_total, &request_duration, &request_received,
        &request_sent,  &request_messages, &request_answer_messages};
    struct looking l = {.failed = false};
    map_init(&l.workloads, 0);
    for (size_t i = 0; i < ARRAY_SIZE(families); i++)
        (void)metrics_drop(metrics, families[i], ask_for, &l);
    if (l.workloads.count > 0 && !l.failed)
        directory_each_workload(directory, see, &l);
    for (size_t i = 0; i < ARRAY_SIZE(families) && !l.failed; i++)
        (void)metrics_drop(metrics, families[i], is_gone, &l);
    map_done(&l.workloads, NULL);
}
