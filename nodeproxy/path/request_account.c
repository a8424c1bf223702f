#include "nodeproxy/path/request_account.h"

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

/* ---- The labels ------------------------------------------------------------------------------- */

/* Envoy's words for what became of a request (%RESPONSE_FLAGS%); those of connections are others. */
static struct text flags_of(enum ending ending)
{
    static const struct {
        enum ending ending;
        const char *flags;
    } table[] = {
        {ENDING_RESET_BY_CLIENT, "DC"}, {ENDING_RESET_BY_SERVER, "UC"},
        {ENDING_NO_ENDPOINT, "UH"},     {ENDING_UNREACHABLE, "UF"},
        {ENDING_CONNECT_TIMEOUT, "UF"}, {ENDING_TUNNEL_FAILED, "UF"},
        {ENDING_TUNNEL_REFUSED, "UF"},  {ENDING_IDLE_TIMEOUT, "SI"},
        {ENDING_LIMIT, "UO"},           {ENDING_NO_MEMORY, "OM"},
        {ENDING_DENIED, "-"}, /* its code says it, as Envoy's does */
        {ENDING_POLICY_CHANGED, "-"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (table[i].ending == ending)
            return text_of(table[i].flags);
    return text_of(ending_flag(ending));
}

static struct text number(char digits[static 12], int value)
{
    return (struct text){digits, (size_t)snprintf(digits, 12, "%d", value)};
}

/* ---- Counting --------------------------------------------------------------------------------- */

static bool is_of(const struct request_series *s, const struct exchange_record *r)
{
    return s->total && s->status == r->status && s->grpc_status == r->grpc_status &&
           s->ending == r->ending && s->grpc == r->grpc && addr_equal(&s->to, &r->to);
}

static void let_go(struct request_series *s)
{
    if (!s->total)
        return;
    metric_let_go(s->total);
    metric_let_go(s->duration);
    metric_let_go(s->received);
    metric_let_go(s->sent);
    s->total = NULL;
}

static void find(struct request_account *a, const struct exchange_record *r,
                 struct request_series *ret)
{
    char code[12], grpc_code[12];
    struct text v[LABELS];
    struct spiffe_id memory;
    a->labels(a->user, r, &memory, v);
    v[ACCOUNT_LABEL_PROTOCOL] = r->grpc ? TEXT("grpc") : TEXT("http");
    v[ACCOUNT_LABEL_FLAGS] = flags_of(r->ending);
    v[L_RESPONSE_CODE] = number(code, (int)r->status);
    v[L_GRPC_STATUS] = r->grpc_status >= 0 ? number(grpc_code, r->grpc_status) : TEXT("");
    *ret = (struct request_series){
        .total = metric_hold(metrics_series(a->metrics, &request_total, v)),
        .duration = metric_hold(metrics_series(a->metrics, &request_duration, v)),
        .received = metric_hold(metrics_series(a->metrics, &request_received, v)),
        .sent = metric_hold(metrics_series(a->metrics, &request_sent, v)),
        .to = r->to,
        .status = (uint16_t)r->status,
        .grpc_status = (int16_t)r->grpc_status,
        .ending = (uint8_t)r->ending,
        .grpc = r->grpc,
    };
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
    static const struct metric_family *const families[] = {&request_total, &request_duration,
                                                           &request_received, &request_sent};
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
