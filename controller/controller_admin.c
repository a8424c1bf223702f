#include "controller/controller.h"
#include "controller/serve/dump.h"
#include <weir_version.h>

enum { DUMP_BYTES_MAX = 512 * 1024 * 1024 };

static const char *const type_label[] = {"type"};
static const char *const file_label[] = {"file"};
static const char *const kind_label[] = {"kind"};
static const char *const relist_labels[] = {"kind", "reason"};
static const char *const build_labels[] = {"component", "tag"};

static const struct metric_family clients_family = {
    "weir_controller_xds_clients", "Delta ADS streams that are open.", METRIC_GAUGE, NULL, 0};
static const struct metric_family pushes_family = {"weir_controller_xds_pushes_total",
                                                   "Responses sent to clients.", METRIC_COUNTER,
                                                   type_label, 1};
static const struct metric_family sent_family = {"weir_controller_xds_resources_sent_total",
                                                 "Resources in those responses.", METRIC_COUNTER,
                                                 type_label, 1};
static const struct metric_family nacks_family = {"weir_controller_xds_nacks_total",
                                                  "Responses that a client refused.",
                                                  METRIC_COUNTER, type_label, 1};
static const struct metric_family refused_family = {
    "weir_controller_xds_refused_total", "Calls refused for their path or the client's identity.",
    METRIC_COUNTER, NULL, 0};
static const struct metric_family handshake_family = {
    "weir_controller_xds_handshake_failures_total",
    "Connections that failed before they were secured.", METRIC_COUNTER, NULL, 0};
static const struct metric_family resources_family = {
    "weir_controller_resources", "Resources that are served.", METRIC_GAUGE, type_label, 1};
static const struct metric_family objects_family = {
    "weir_controller_objects", "Objects in force, by kind.", METRIC_GAUGE, kind_label, 1};
static const struct metric_family errors_family = {"weir_controller_config_errors",
                                                   "Documents that could not be applied, by file.",
                                                   METRIC_GAUGE, file_label, 1};
static const struct metric_family warnings_family = {
    "weir_controller_config_warnings", "What is applied, but not as its author may think.",
    METRIC_GAUGE, NULL, 0};
static const struct metric_family unlisted_family = {
    "weir_controller_config_problems_unlisted",
    "Problems that no list of this program has: there are too many, or there was no memory.",
    METRIC_GAUGE, NULL, 0};
static const struct metric_family translations_family = {
    "weir_controller_translations_total", "Times that the configuration was translated.",
    METRIC_COUNTER, NULL, 0};
static const struct metric_family expiry_family = {
    "weir_controller_certificate_expiry_seconds",
    "Unix time at which the serving certificate ends.", METRIC_GAUGE, NULL, 0};
static const struct metric_family kube_objects_family = {
    "weir_kube_objects", "Objects that the API server has told of, by kind.", METRIC_GAUGE,
    kind_label, 1};
static const struct metric_family kube_relists_family = {
    "weir_kube_relists_total", "Times that a kind had to be listed, by why.", METRIC_COUNTER,
    relist_labels, 2};
static const struct metric_family kube_errors_family = {
    "weir_kube_watch_errors_total", "Watches of the API server that ended badly.", METRIC_COUNTER,
    kind_label, 1};
static const struct metric_family kube_events_family = {
    "weir_kube_events_total", "Events of the API server's watches, bookmarks included.",
    METRIC_COUNTER, kind_label, 1};
static const struct metric_family kube_age_family = {
    "weir_kube_last_event_age_seconds", "Since the API server last said something, by kind.",
    METRIC_GAUGE, kind_label, 1};
static const struct metric_family translation_family = {"weir_controller_translation_microseconds",
                                                        "What the last translation took.",
                                                        METRIC_GAUGE, NULL, 0};
static const struct metric_family leader_family = {
    "weir_controller_leader", "1: this replica writes to the API server.", METRIC_GAUGE, NULL, 0};
static const struct metric_family writes_family = {
    "weir_controller_status_writes_total", "Conditions written on policies.", METRIC_COUNTER, NULL,
    0};
static const struct metric_family wholes_family = {
    "weir_controller_whole_translations_total",
    "Of the translations, those of all objects instead of what had changed.", METRIC_COUNTER, NULL,
    0};
static const struct metric_family build_family = {"istio_build", "Component and version.",
                                                  METRIC_GAUGE, build_labels, 2};

static void set(struct controller *c, const struct metric_family *f, const struct text *labels,
                uint64_t value)
{
    metric_set(metrics_series(c->metrics, f, labels), (int64_t)value);
}

static void count_xds(struct controller *c)
{
    const struct ads_stats *stats = &c->server.ads.stats;
    set(c, &clients_family, NULL, stats->clients);
    set(c, &refused_family, NULL, stats->refused);
    set(c, &handshake_family, NULL, c->server.handshake_failures);
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++) {
        const struct text name = xds_type_name((enum xds_type)type);
        set(c, &pushes_family, &name, stats->pushes[type]);
        set(c, &sent_family, &name, stats->resources_sent[type]);
        set(c, &nacks_family, &name, stats->nacks[type]);
        set(c, &resources_family, &name,
            catalog_count(&c->catalog, (enum xds_type)type));
    }
}

/* Files that had errors and have none any more show 0. */
static void count_no_errors(struct controller *c)
{
    const struct folder *f = &c->files.folder;
    struct text source = text_of(c->options->folder ? c->options->folder : KUBE_SOURCE_FILE);
    set(c, &errors_family, &source, 0);
    for (size_t i = 0; i < f->n_files; i++) {
        struct text file = text_of(f->files[i]->name);
        set(c, &errors_family, &file, 0);
    }
}

static void count_problems(struct controller *c)
{
    const struct problems *lists[CONTROLLER_PROBLEM_LISTS];
    size_t n = controller_problems(c, lists);
    uint64_t warnings = 0, unlisted = 0;
    count_no_errors(c);
    for (size_t i = 0; i < n; i++) {
        unlisted += lists[i]->dropped;
        for (size_t j = 0; j < lists[i]->n; j++) {
            const struct problem *p = &lists[i]->items[j];
            struct text file = text_of(p->file);
            if (p->severity == PROBLEM_WARNING)
                warnings++;
            else
                metric_add(metrics_series(c->metrics, &errors_family, &file), 1);
        }
    }
    set(c, &warnings_family, NULL, warnings);
    set(c, &unlisted_family, NULL, unlisted);
}

static void count_kube_kind(struct controller *c, const struct kube_kind *k)
{
    const struct kube_informer *i = &k->informer;
    struct text labels[2] = {text_of(object_kind_name(k->kind))};
    set(c, &kube_objects_family, labels, i->reflector.known.count);
    set(c, &kube_errors_family, labels, i->reflector.counters.watch_errors);
    set(c, &kube_events_family, labels, i->reflector.counters.events);
    if (i->heard_ms)
        set(c, &kube_age_family, labels, (ring_now_ms(c->ring) - i->heard_ms) / 1000);
    for (unsigned reason = 0; reason < RELIST_REASON_COUNT; reason++) {
        labels[1] = text_of(relist_reason_name((enum relist_reason)reason));
        set(c, &kube_relists_family, labels, i->reflector.counters.relists[reason]);
    }
}

static void count_kube(struct controller *c)
{
    for (unsigned kind = 0; !c->options->folder && kind < OBJECT_KIND_COUNT; kind++)
        if (c->kube.kinds[kind].running)
            count_kube_kind(c, &c->kube.kinds[kind]);
}

static void count_rest(struct controller *c)
{
    const struct text build[] = {TEXT("weir-controller"), TEXT(WEIR_VERSION)};
    for (unsigned kind = 0; kind < OBJECT_KIND_COUNT; kind++) {
        struct text name = text_of(object_kind_name((enum object_kind)kind));
        set(c, &objects_family, &name, c->store.objects[kind].count);
    }
    set(c, &translations_family, NULL, c->projection.runs);
    set(c, &translation_family, NULL, c->translate_us);
    set(c, &wholes_family, NULL, c->projection.wholes);
    if (!c->options->folder) {
        set(c, &leader_family, NULL, c->leader.leading);
        set(c, &writes_family, NULL, c->status.writes);
    }
    set(c, &expiry_family, NULL, (uint64_t)c->certificate.not_after_s);
    set(c, &build_family, build, 1);
}

static void answer_heap(struct admin_exchange *x, struct text_heap *out, const char *content_type)
{
    if (out->failed)
        admin_answer(x, 503, NULL, TEXT("out of memory, or too large\n"));
    else
        admin_answer(x, 200, content_type, (struct text){out->data ? out->data : "", out->len});
    text_heap_done(out);
}

static void answer_metrics(struct admin_exchange *x, const struct http1_request *request, void *arg)
{
    struct controller *c = arg;
    struct text_heap out;
    bool open_metrics = metrics_accepts_open(request->accept);
    count_xds(c);
    count_problems(c);
    count_kube(c);
    count_rest(c);
    text_heap_init(&out, DUMP_BYTES_MAX);
    metrics_print(&c->metrics, 1, open_metrics, &out);
    answer_heap(x, &out, metrics_content_type(open_metrics));
}

static void answer_ready(struct admin_exchange *x, const struct http1_request *request, void *arg)
{
    struct controller *c = arg;
    char why[256];
    struct text_out out = TEXT_OUT(why);
    (void)request;
    if (lifecycle_ready(&c->lifecycle, &out)) {
        admin_answer(x, 200, NULL, TEXT("ready\n"));
        return;
    }
    text_putc(&out, '\n');
    admin_answer(x, 503, NULL, (struct text){out.data, out.len});
}

static void answer_parts(struct admin_exchange *x, struct controller *c, unsigned parts)
{
    struct text_heap out;
    text_heap_init(&out, DUMP_BYTES_MAX);
    dump_config(&c->catalog, &c->server.ads, ring_now_ms(c->ring), parts, &out);
    answer_heap(x, &out, "application/json");
}

static void answer_config(struct admin_exchange *x, const struct http1_request *request, void *arg)
{
    (void)request;
    answer_parts(x, arg, DUMP_ALL);
}

static void answer_workloads(struct admin_exchange *x, const struct http1_request *request,
                             void *arg)
{
    (void)request;
    answer_parts(x, arg, DUMP_WORKLOADS);
}

static void answer_services(struct admin_exchange *x, const struct http1_request *request,
                            void *arg)
{
    (void)request;
    answer_parts(x, arg, DUMP_SERVICES);
}

static void answer_policies(struct admin_exchange *x, const struct http1_request *request,
                            void *arg)
{
    (void)request;
    answer_parts(x, arg, DUMP_POLICIES);
}

/* What weirctl's status and check need, however large the mesh's tables are. */
static void answer_clients(struct admin_exchange *x, const struct http1_request *request,
                           void *arg)
{
    (void)request;
    answer_parts(x, arg, DUMP_CLIENTS | DUMP_ENROLLED);
}

static void answer_errors(struct admin_exchange *x, const struct http1_request *request, void *arg)
{
    struct controller *c = arg;
    const struct problems *lists[CONTROLLER_PROBLEM_LISTS];
    size_t n = controller_problems(c, lists);
    struct text_heap out;
    (void)request;
    text_heap_init(&out, DUMP_BYTES_MAX);
    dump_problems(lists, n, &out);
    answer_heap(x, &out, "application/json");
}

void controller_routes_fill(struct controller *c,
                            struct admin_route routes[static CONTROLLER_ROUTES])
{
    routes[0] = (struct admin_route){"GET", "/healthz/ready", answer_ready, c};
    routes[1] = (struct admin_route){"GET", "/metrics", answer_metrics, c};
    routes[2] = (struct admin_route){"GET", "/config_dump", answer_config, c};
    routes[3] = (struct admin_route){"GET", "/debug/errors", answer_errors, c};
    routes[4] = (struct admin_route){"GET", "/workloads", answer_workloads, c};
    routes[5] = (struct admin_route){"GET", "/services", answer_services, c};
    routes[6] = (struct admin_route){"GET", "/policies", answer_policies, c};
    routes[7] = (struct admin_route){"GET", "/clients", answer_clients, c};
}
